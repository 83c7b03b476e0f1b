#include "services/common/s5.h"

#include "lib/string.h"

/* ACPI 6.4, 20.2: AML grammar */
enum aml_op {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,  /* and 1 byte */
	AML_WORD = 0x0b,  /* and 2 */
	AML_DWORD = 0x0c, /* and 4 */
	AML_PACKAGE = 0x12,
	AML_ROOT = '\\',
};

#define SLP_TYP_MAX 7 /* a field of 3 bits */

/* One constant at *at, below end. Only the low byte counts; the others must be 0. */
static bool take_const(const u8 *aml, size_t end, size_t *at, u8 *out)
{
	u32 bytes;

	if (*at >= end)
		return false;
	switch (aml[(*at)++]) {
	case AML_ZERO: *out = 0; return true;
	case AML_ONE: *out = 1; return true;
	case AML_BYTE: bytes = 1; break;
	case AML_WORD: bytes = 2; break;
	case AML_DWORD: bytes = 4; break;
	default: return false;
	}
	if (end - *at < bytes)
		return false;
	*out = aml[*at];
	for (u32 i = 1; i < bytes; i++)
		if (aml[*at + i])
			return false;
	*at += bytes;
	return *out <= SLP_TYP_MAX;
}

/* The package whose opcode is at `at`. */
static bool take_package(const u8 *aml, size_t n, size_t at, u8 *a, u8 *b)
{
	size_t start, length;
	u32 extra, elements;

	if (n - at < 4 || aml[at] != AML_PACKAGE)
		return false;
	/* PkgLength: bits 6-7 of the first byte count the bytes that follow; it includes itself. */
	start = ++at;
	extra = aml[at] >> 6;
	if (n - at < 1u + extra)
		return false;
	length = extra ? aml[at] & 0x0f : aml[at] & 0x3f;
	for (u32 i = 0; i < extra; i++)
		length |= (size_t)aml[at + 1 + i] << (4 + 8 * i);
	at += 1 + extra;
	if (length > n - start || at - start >= length)
		return false;
	elements = aml[at++];
	if (elements < 1 || !take_const(aml, start + length, &at, a))
		return false;
	*b = *a;
	return elements == 1 || take_const(aml, start + length, &at, b);
}

bool s5_find(const u8 *aml, size_t n, u8 *slp_typa, u8 *slp_typb)
{
	for (size_t i = 1; n >= 5 && i <= n - 4; i++) {
		bool named = aml[i - 1] == AML_NAME ||
			     (aml[i - 1] == AML_ROOT && i >= 2 && aml[i - 2] == AML_NAME);
		u8 a, b;

		if (!named || memcmp(aml + i, "_S5_", 4))
			continue;
		if (take_package(aml, n, i + 4, &a, &b)) {
			*slp_typa = a;
			*slp_typb = b;
			return true;
		}
	}
	return false;
}
