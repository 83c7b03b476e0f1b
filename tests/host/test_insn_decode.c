// SOURCES: lib/insn_decode.c vmm/insn_forms.c kernel/exit_insn.c tests/host/insn_kinds.c
// LIBS: -lZydis
/*
 * insn_decode against Zydis: whatever both accept has the same length and operand; then its own
 * contract.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/host/insn_reference.h"
#include <cmocka.h>

static u64 rng_state = 0x9e3779b97f4a7c15ull;

static u64 rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state * 0x2545f4914f6cdd1dull;
}

static int setup(void **state)
{
	reference_init();
	return 0;
}

/* Counts: [0] both accept, [1] only Zydis, [2] only ours, [3] neither. */
static void compare_one(u32 m, u32 caller, const u8 b[15], u32 count[4], bool strict)
{
	struct reference r = {0};
	struct insn in;
	bool ours = insn_decode(b, 15, reference_modes[m], insn_forms[caller], &in),
	     theirs = reference_decode(m, b, 15, &r);
	const char *what = reference_differs(strict && !caller, caller, &in, ours, &r, theirs);

	if (!what)
		what = reference_modes[m] == INSN_MODE_64 ? reference_differs_at_exit(b, 15) : NULL;
	if (!caller)
		count[ours ? (theirs ? 0 : 2) : (theirs ? 1 : 3)]++;
	if (!what)
		return;
	fprintf(stderr, "%s of %s in mode %d: ours %u, Zydis %u, bytes", what,
		ZydisMnemonicGetString(r.in.mnemonic), reference_modes[m], ours ? in.length : 0,
		r.in.length);
	for (int i = 0; i < 15; i++)
		fprintf(stderr, " %02x", b[i]);
	fprintf(stderr, "\n");
	fail();
}

static void compare(u32 m, const u8 b[15], u32 count[4], bool strict)
{
	compare_one(m, 0, b, count, strict);
	compare_one(m, 1, b, count, strict);
}

static void test_random_bytes(void **state)
{
	u32 count[4] = {0};

	for (u32 i = 0; i < 400000; i++) {
		u64 r[2] = {rng(), rng()};
		u8 b[16];

		memcpy(b, r, 16);
		compare((u32)(i % 3), b, count, false);
	}
	assert_true(count[0] > 100000);
}

/* Every opcode of every legacy map, with every ModRM byte, under a random choice of prefixes. */
static void test_every_opcode(void **state)
{
	static const u8 prefix[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e, 0x36,
				    0x3e, 0x64, 0x65, 0x48, 0x41, 0x44, 0x4f};
	u32 count[4] = {0};

	for (u32 i = 0; i < 4 * 65536 * 3; i++) {
		u64 r[2] = {rng(), rng()};
		u32 n = 0, prefixes = (u32)rng() % 4, map = i >> 16 & 3;
		u8 b[32];

		memcpy(b + 16, r, 16);
		while (prefixes--)
			b[n++] = prefix[rng() % sizeof(prefix)];
		if (map > 0)
			b[n++] = 0x0f;
		if (map > 1)
			b[n++] = map == 2 ? 0x38 : 0x3a;
		b[n++] = (u8)i;
		b[n++] = (u8)(i >> 8);
		memcpy(b + n, r, 15 - n);
		compare((u32)(i >> 18), b, count, true);
	}
	assert_true(count[0] > 300000);
}

static void test_vector_instructions_are_refused(void **state)
{
	static const u8 lead[] = {0xc4, 0xc5, 0x62, 0x8f};
	u32 count[4] = {0};

	for (u32 i = 0; i < 400000; i++) {
		u64 r[2] = {rng(), rng()};
		u8 b[16];

		memcpy(b, r, 16);
		b[0] = lead[i % 4];
		if (b[0] == 0x62)
			b[2] |= 4;
		if (i & 4)
			b[1] = (u8)((b[1] & 0xe0) | (b[0] == 0x8f ? 8 + b[2] % 3 : 1 + b[2] % 3));
		compare((u32)(i / 4 % 3), b, count, true); /* LES, LDS, BOUND and POP are not */
	}
	if (count[0] < 20000 || count[1] < 5000)
		fail_msg("legacy %u, vector %u of 400000", count[0], count[1]);
}

static void test_short_input_is_refused(void **state)
{
	/* movabs rax, imm64 behind a segment prefix: 11 bytes */
	static const u8 b[] = {0x64, 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8};
	struct insn in;

	for (u32 n = 0; n < sizeof(b); n++) {
		u8 *exact = malloc(n ? n : 1); /* an access past the end is seen by the sanitizer */

		memcpy(exact, b, n);
		assert_false(insn_decode(exact, n, INSN_MODE_64, insn_any, &in));
		free(exact);
	}
	assert_true(insn_decode(b, sizeof(b), INSN_MODE_64, insn_any, &in));
	assert_int_equal(in.length, 11);
	assert_int_equal(in.imm, 0x0807060504030201);
}

static void test_more_than_15_bytes_is_refused(void **state)
{
	u8 b[20];
	struct insn in;

	memset(b, 0x66, sizeof(b));
	b[14] = 0x90;
	assert_true(insn_decode(b, sizeof(b), INSN_MODE_32, insn_any, &in));
	b[14] = 0x66;
	b[15] = 0x90;
	assert_false(insn_decode(b, sizeof(b), INSN_MODE_32, insn_any, &in));
}

static void test_kinds(void **state)
{
	static const struct {
		u8 bytes[15];
		enum insn_mode mode;
		u8 length, kind, reg, rm;
	} cases[] = {
		{{0x0f, 0x22, 0xd8}, INSN_MODE_64, 3, INSN_CR_WRITE, 3, 0},
		{{0x0f, 0x22, 0x18}, INSN_MODE_64, 3, INSN_CR_WRITE, 3, 0}, /* mod is ignored */
		{{0x44, 0x0f, 0x20, 0xc7}, INSN_MODE_64, 4, INSN_CR_READ, 8, 7},
		{{0x41, 0x0f, 0x22, 0xe1}, INSN_MODE_64, 4, INSN_CR_WRITE, 4, 9},
		{{0x0f, 0x06}, INSN_MODE_32, 2, INSN_CLTS, 0, 0},
		{{0x0f, 0x01, 0xf0}, INSN_MODE_16, 3, INSN_OTHER, 6, 0}, /* LMSW */
		{{0x66, 0x0f, 0xa2}, INSN_MODE_64, 3, INSN_OTHER, 0, 0}, /* prefixed CPUID */
		{{0xf4}, INSN_MODE_64, 1, INSN_OTHER, 0, 0},
		{{0x0f, 0x01, 0xd9}, INSN_MODE_64, 3, INSN_OTHER, 3, 1}, /* VMMCALL */
		{{0xf3, 0x6e}, INSN_MODE_64, 2, INSN_OTHER, 0, 0},
		{{0xf3, 0x90}, INSN_MODE_64, 2, INSN_OTHER, 0, 0},	 /* PAUSE */
		{{0xf3, 0x0f, 0x09}, INSN_MODE_32, 3, INSN_OTHER, 0, 0}, /* WBNOINVD */
		{{0x48, 0x0f, 0x30}, INSN_MODE_64, 3, INSN_OTHER, 0, 0}, /* WRMSR */
		{{0x0f, 0x01, 0xd1}, INSN_MODE_64, 3, INSN_OTHER, 2, 1}, /* XSETBV */
		{{0x66, 0xe5, 0x60}, INSN_MODE_16, 3, INSN_OTHER, 0, 0}, /* IN */
		{{0x89, 0x48, 0x10}, INSN_MODE_64, 3, INSN_STORE, 1, 0},
		{{0x88, 0x20}, INSN_MODE_32, 2, INSN_STORE, 4, 0},
		{{0xc7, 0x40, 0xb0, 0, 0, 0, 0}, INSN_MODE_64, 7, INSN_STORE_IMM, 0, 0},
		{{0xa1, 1, 2, 3, 4, 5, 6, 7, 8}, INSN_MODE_64, 9, INSN_LOAD, 0, 0},
	};

	for (u32 i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct insn in;

		assert_true(insn_decode(cases[i].bytes, 15, cases[i].mode, insn_kinds, &in));
		if (in.length != cases[i].length || in.kind != cases[i].kind ||
		    in.reg != cases[i].reg || in.rm != cases[i].rm)
			fail_msg(
				"case %u: expected length %u kind %u reg %u rm %u, got %u %u %u %u",
				i, cases[i].length, cases[i].kind, cases[i].reg, cases[i].rm,
				in.length, in.kind, in.reg, in.rm);
	}
}

static void test_what_the_kernel_meets(void **state)
{
	static const struct {
		u8 bytes[15], length, access, reg;
	} cases[] = {
		{{0x66, 0x0f, 0xa2}, 3, ACCESS_NONE, 0}, /* prefixed CPUID */
		{{0xf4}, 1, ACCESS_NONE, 0},
		{{0xf3, 0x90}, 2, ACCESS_NONE, 0},	 /* PAUSE */
		{{0x0f, 0x01, 0xd9}, 3, ACCESS_NONE, 0}, /* VMMCALL */
		{{0xf3, 0x0f, 0x09}, 3, ACCESS_NONE, 0}, /* WBNOINVD */
		{{0x48, 0x0f, 0x30}, 3, ACCESS_NONE, 0}, /* WRMSR */
		{{0x89, 0x48, 0x10}, 3, ACCESS_STORE, 1},
		{{0x44, 0x8b, 0x24, 0x25, 0x80, 0, 0xe0, 0xfe}, 8, ACCESS_LOAD, 12},
		{{0x8b, 0x05, 1, 2, 3, 4}, 6, ACCESS_LOAD, 0},
		{{0x67, 0x89, 0x07}, 3, ACCESS_STORE, 0},
		{{0xc7, 0x40, 0xb0, 0, 0, 0, 0}, 7, ACCESS_STORE_IMM, 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct exit_insn in;

		assert_true(exit_insn_decode(cases[i].bytes, 15, &in));
		if (in.length != cases[i].length || in.access != cases[i].access ||
		    in.reg != cases[i].reg)
			fail_msg("case %u: expected length %u access %u reg %u, got %u %u %u", i,
				 cases[i].length, cases[i].access, cases[i].reg, in.length,
				 in.access, in.reg);
		for (u32 n = 0; n < 15; n++)
			assert_int_equal(exit_insn_decode(cases[i].bytes, n, &in),
					 n >= cases[i].length);
	}
}

/* All else is refused, whatever it is. */
static void test_the_kernel_knows_what_it_meets_alone(void **state)
{
	static const u8 others[][15] = {
		{0x0f, 0xb6, 0x03}, {0xff, 0x30},
		{0x01, 0xc0},	    {0xcd, 0x80},
		{0x0f, 0x38, 0xf0}, {0xc4, 0xe1, 0x78, 0x77},
		{0x0f, 0x0b},	    {0x0f, 0x20, 0xc0},
		{0xe8, 1, 2, 3, 4}, {0x66, 0x89, 0x07},
		{0x48, 0x89, 0x07}, {0x88, 0x07},
		{0x89, 0xc0},	    {0xc7, 0x48, 0, 0, 0, 0},
		{0x0f, 0x01, 0x17}, {0xa1, 1, 2, 3, 4, 5, 6, 7, 8},
	};
	struct exit_insn in;

	for (u32 i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(exit_insn_decode(others[i], 15, &in));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_every_opcode),
		cmocka_unit_test(test_vector_instructions_are_refused),
		cmocka_unit_test(test_short_input_is_refused),
		cmocka_unit_test(test_more_than_15_bytes_is_refused),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_what_the_kernel_meets),
		cmocka_unit_test(test_the_kernel_knows_what_it_meets_alone),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
