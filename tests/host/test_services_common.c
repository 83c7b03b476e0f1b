// SOURCES: services/common/cap.c services/common/cpulist.c services/common/s5.c
// SOURCES: services/common/cpio.c
// SOURCES: services/common/image.c services/common/reason.c services/init/options.c
// SOURCES: lib/fmt.c lib/str_copy.c
/*
 * What init reads: _S5_ in AML, cpio archives, program images, boot options. Well-formed and
 * malformed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "services/common/cap.h"
#include "services/common/cpio.h"
#include "services/common/cpulist.h"
#include "services/common/image.h"
#include "services/common/reason.h"
#include "services/common/s5.h"
#include "services/init/options.h"

/* ---- _S5_ ---- */

static void s5_cases(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		bool found;
		u8 a, b;
	} cases[] = {
#define AML(text, ...) {text, sizeof(text) - 1, __VA_ARGS__}
#define NO false, 0, 0
		AML("", NO),
		AML("_S5_", NO),
		AML("\x08_S5_", NO),
		AML("\x08_S5_\x12\x06\x04\x00\x00\x00\x00", true, 0, 0), /* QEMU */
		/* VirtualBox */
		AML("\x08_S5_\x12\x0a\x04\x0a\x05\x0a\x05\x0a\x00\x0a\x00", true, 5, 5),
		AML("\x5b\x80\x08_S4_\x12\x07\x04\x0a\x06\x00\x00\x00\x08_S5_\x12\x07\x04\x0a\x07\x00\x00\x00\x14\x1a",
		    true, 7, 0), /* PCs with Intel chipsets: behind _S4_, before a method */
		AML("xx\x08_S5_\x12\x07\x04\x0a\x05\x01\x00\x00", true, 5, 1),
		AML("\x08\\_S5_\x12\x08\x04\x0a\x07\x0a\x07\x00\x00", true, 7, 7), /* with root */
		/* package longer than the table */
		AML("\x08_S5_\x12\x40\x01\x02\x0a\x05\x0a\x06", NO),
		AML("\x08_S5_\x12\x47\x00\x02\x0a\x05\x0a\x06", true, 5, 6), /* two-byte length */
		AML("\x08_S5_\x12\x04\x01\x0a\x03", true, 3, 3),     /* one element: for both */
		AML("\x08_S5_\x12\x03\x01\x0a\x03", NO),	     /* value beyond the package */
		AML("\x08_S5_\x12\x02\x00", NO),		     /* empty package */
		AML("\x08_S5_\x12\x04\x02\x0a\x03", NO),	     /* second missing */
		AML("\x08_S5_\x12\x04\x01\x0a\x08", NO),	     /* not 3 bits */
		AML("\x08_S5_\x12\x05\x01\x0b\x03\x00", true, 3, 3), /* word */
		AML("\x08_S5_\x12\x05\x01\x0b\x03\x01", NO),
		AML("\x08_S5_\x12\x07\x01\x0c\x03\x00\x00\x00", true, 3, 3), /* dword */
		AML("\x08_S5_\x12\x05\x01\x0c\x03\x00", NO),
		AML("\x08_S5_\x12\xff", NO),
		AML("\x08_S5_\x12\x00\x02", NO),
		AML("\x08_S5_\x0a\x05\x0a\x05\x00", NO),	 /* no package */
		AML("\x09_S5_\x12\x06\x02\x0a\x05\x0a\x05", NO), /* no name */
		/* goes on */
		AML("\x08_S5_\x12\xff\xff\xff\x08_S5_\x12\x06\x02\x0a\x05\x0a\x04", true, 5, 4),
#undef NO
#undef AML
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u8 a = 0xee, b = 0xee, *copy = malloc(cases[i].n ? cases[i].n : 1);

		memcpy(copy, cases[i].bytes, cases[i].n);
		if (s5_find(copy, cases[i].n, &a, &b) != cases[i].found)
			fail_msg("case %zu: found != %d", i, cases[i].found);
		if (cases[i].found && (a != cases[i].a || b != cases[i].b))
			fail_msg("case %zu: expected %u %u, got %u %u", i, cases[i].a, cases[i].b,
				 a, b);
		free(copy);
	}
}

static void s5_truncated(void **state)
{
	static const char good[] = "\x08_S5_\x12\x47\x00\x02\x0a\x05\x0a\x06";
	u8 a, b;

	for (size_t n = 0; n < sizeof(good) - 1; n++) {
		u8 *copy = malloc(n ? n : 1);

		memcpy(copy, good, n);
		assert_false(s5_find(copy, n, &a, &b));
		free(copy);
	}
}

/* ---- cpio ---- */

static size_t cpio_add(char *to, const char *name, const char *data)
{
	size_t n = (size_t)sprintf(to,
				   "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x%s",
				   1, 0100644, 0, 0, 1, 0, strlen(data), 0, 0, 0, 0,
				   strlen(name) + 1, 0, name) +
		   1;

	while (n % 4)
		to[n++] = 0;
	memcpy(to + n, data, strlen(data));
	n += strlen(data);
	while (n % 4)
		to[n++] = 0;
	return n;
}

static void cpio_finds_files(void **state)
{
	char archive[1024];
	size_t n = cpio_add(archive, "manager", "abcde"), size;
	const u8 *data;

	n += cpio_add(archive + n, "vmm", "xyz");
	n += cpio_add(archive + n, "TRAILER!!!", "");
	assert_true(cpio_find((u8 *)archive, n, "manager", &data, &size));
	assert_int_equal(size, 5);
	assert_memory_equal(data, "abcde", 5);
	assert_true(cpio_find((u8 *)archive, n, "vmm", &data, &size));
	assert_memory_equal(data, "xyz", 3);
	assert_false(cpio_find((u8 *)archive, n, "vm", &data, &size));
	assert_false(cpio_find((u8 *)archive, n, "init", &data, &size));
	/* every truncation: no read beyond, nothing half found */
	for (size_t cut = 0; cut < n; cut++) {
		u8 *copy = malloc(cut ? cut : 1);

		memcpy(copy, archive, cut);
		if (cpio_find(copy, cut, "vmm", &data, &size))
			assert_true(data >= copy && data + size <= copy + cut);
		free(copy);
	}
}

static void cpio_malformed(void **state)
{
	static const struct {
		u32 at;
		const char *bytes;
	} cases[] = {
		{0, "070702"},
		{0, "PK\x03\x04"},
		{6 + 6 * 8, "ffffffff"},
		{6 + 6 * 8, "0000000g"},
		{6 + 11 * 8, "00000000"},
		{6 + 11 * 8, "ffffffff"},
		{6 + 11 * 8, "-0000001"},
	};
	char archive[1024];
	const u8 *data;
	size_t size;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t n = cpio_add(archive, "manager", "abcde");

		memcpy(archive + cases[i].at, cases[i].bytes, strlen(cases[i].bytes));
		if (cpio_find((u8 *)archive, n, "manager", &data, &size))
			fail_msg("case %zu: found", i);
	}
}

/* ---- Images ---- */

static void image_cases(void **state)
{
	static const struct image_header good = {
		.magic = IMAGE_MAGIC,
		.uapi_version = UAPI_VERSION,
		.header_size = sizeof(good),
		.base = 0x400000,
		.entry = 0x400040,
		.text_size = 0x2000,
		.rodata_size = 0x1000,
		.data_size = 0x1000,
		.bss_size = 0x3000,
	};
	static const struct {
		size_t at;
		u64 value;
		u32 bytes;
		const char *why;
	} cases[] = {
#define SET(field, v, why) {offsetof(struct image_header, field), v, sizeof(good.field), why}
		SET(magic, 1, "no image: magic"),
		SET(header_size, 72, "header_size"),
		SET(uapi_version, 99, "uapi_version is not this system's"),
		SET(base, 0x400001, "a segment is not page-aligned"),
		SET(text_size, 0x800, "a segment is not page-aligned"),
		SET(text_size, 0, "a segment is outside the file"),
		SET(text_size, 0x5000, "a segment is outside the file"),
		SET(rodata_size, 0xfffffffffffff000, "a segment is outside the file"),
		SET(data_size, 0x2000, "a segment is outside the file"),
		SET(base, 0, "base and sizes are outside the program range"),
		SET(base, 0xfffffffffffff000, "base and sizes are outside the program range"),
		SET(bss_size, 0xfffffffffffff000, "base and sizes are outside the program range"),
		SET(bss_size, GiB(64), "base and sizes are outside the program range"),
		SET(entry, 0x3fffff, "entry is outside text"),
		SET(entry, 0x402000, "entry is outside text"),
#undef SET
	};
	static u8 file[0x4000];
	struct image_header h;
	const char *why;

	memcpy(file, &good, sizeof(good));
	assert_true(image_check(file, sizeof(file), &h, &why));
	assert_memory_equal(&h, &good, sizeof(h));
	assert_false(image_check(file, sizeof(good) - 1, &h, &why));
	assert_string_equal(why, "shorter than its header");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		memcpy(file, &good, sizeof(good));
		memcpy(file + cases[i].at, &cases[i].value, cases[i].bytes);
		if (image_check(file, sizeof(file), &h, &why))
			fail_msg("case %zu: accepted", i);
		assert_string_equal(why, cases[i].why);
	}
}

/* ---- Boot options ---- */

static char complaints[512];

static void complain(const char *option, const char *value, const char *expected)
{
	size_t n = strlen(complaints);

	snprintf(complaints + n, sizeof(complaints) - n, "%s=%s%s|", option, value,
		 expected ? "" : "?");
}

static void boot_options(void **state)
{
	struct init_options o;
	char long_list[256];

	complaints[0] = 0;
	init_options_parse("", &o, complain);
	assert_true(o.autostart && !o.exit_last_vm);
	init_options_parse("  autostart=off exit=last-vm ", &o, complain);
	assert_true(!o.autostart && o.exit_last_vm);
	assert_string_equal(complaints, "");
	init_options_parse(
		"autostart=2 exit=now exitport=65533 exitport= exitport=0 exitport=7x exit", &o,
		complain);
	assert_true(o.autostart && !o.exit_last_vm);
	assert_string_equal(
		complaints,
		"autostart=2|exit=now|exitport=65533|exitport=|exitport=0|exitport=7x|exit=|");
	complaints[0] = 0;
	init_options_parse("mem=1M noreboot=1 colour=blue exits", &o, complain);
	assert_string_equal(complaints, "mem=1M|noreboot=1|colour=blue?|exits=?|");
	strcpy(long_list, "isolcpus=1");
	for (u32 i = 2; i < 64; i++)
		sprintf(long_list + strlen(long_list), ",%u", i);
	init_options_parse(long_list, &o, complain);
	assert_int_equal(o.isolated, ~1ull);
}

static void cpu_lists(void **state)
{
	static const struct {
		u64 cpus;
		const char *text;
	} cases[] = {
		{0, ""},    {1, "0"},	     {0xf, "0-3"},	 {0x10f, "0-3,8"},
		{6, "1-2"}, {~0ull, "0-63"}, {1ull << 63, "63"}, {5ull << 61, "61,63"},
	};
	char text[CPULIST_MAX], small[6];

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		cpulist_print(cases[i].cpus, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
	}
	cpulist_print(0xb6db6db6db6db6db, text, sizeof(text)); /* the longest */
	assert_int_equal(strlen(text), CPULIST_MAX - 1);
	assert_string_equal(text + strlen(text) - 9, ",60-61,63");
	cpulist_print(0xaaaaaaaaaaaaaaaa, small, sizeof(small));
	assert_string_equal(small, "1,3,5");
}

static void cpu_lists_read(void **state)
{
	static const struct {
		const char *text;
		u64 cpus; /* 0: refused */
	} cases[] = {
		{"0", 1},
		{"0-3,8", 0x10f},
		{"63", 1ull << 63},
		{"0-63", ~0ull},
		{"2,0-1,2", 7},
		{"", 0},
		{",", 0},
		{"1,", 0},
		{"64", 0},
		{"3-1", 0},
		{"1-2-3", 0},
		{"a", 0},
		{"1 2", 0},
		{"-1", 0},
		{"0-64", 0},
		{"1x", 0},
		{"99999999999999999999", 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 cpus = 0;
		bool ok = cpulist_parse(cases[i].text, &cpus);

		if (ok != !!cases[i].cpus || (ok && cpus != cases[i].cpus))
			fail_msg("%s: got %d, %#lx, expected %#lx", cases[i].text, ok, cpus,
				 cases[i].cpus);
	}
}

static void caps(void **state)
{
	static const struct {
		const char *text;
		u64 quota, period; /* us; 0: refused */
	} cases[] = {
		{"25%", 25000, 100000},
		{"150%", 150000, 100000},
		{"1%", 1000, 100000},
		{"5000/20000", 5000, 20000},
		{"3000000/1000000", 3000000, 1000000},
		{"0%", 0, 0},
		{"", 0, 0},
		{"50", 0, 0},
		{"999/1000", 0, 0},
		{"1000/999", 0, 0},
		{"1000/1000001", 0, 0},
		{"1000/", 0, 0},
		{"/1000", 0, 0},
		{"25%x", 0, 0},
		{"4294967296/1000", 0, 0},
		{"5000000%", 0, 0},
	};
	char text[CAP_TEXT_MAX];
	u64 cap;

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 expected = cases[i].quota << 32 | cases[i].period;
		bool ok = cap_parse(cases[i].text, &cap);

		if (ok != !!expected || (ok && cap != expected))
			fail_msg("%s: got %d, %#lx, expected %#lx", cases[i].text, ok, cap,
				 expected);
	}
	assert_true(cap_parse("none", &cap));
	assert_int_equal(cap, 0);
	cap_print(cap, text, sizeof(text));
	assert_string_equal(text, "none");
	cap_print(5000ull << 32 | 20000, text, sizeof(text));
	assert_string_equal(text, "5000/20000");
}

static void reasons(void **state)
{
	assert_string_equal(vm_reason_text(VM_REASON_POWEROFF), "power-off");
	assert_string_equal(vm_reason_text(VM_REASONS), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(s5_cases),
		cmocka_unit_test(s5_truncated),
		cmocka_unit_test(cpio_finds_files),
		cmocka_unit_test(cpio_malformed),
		cmocka_unit_test(image_cases),
		cmocka_unit_test(boot_options),
		cmocka_unit_test(reasons),
		cmocka_unit_test(cpu_lists_read),
		cmocka_unit_test(caps),
		cmocka_unit_test(cpu_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
