// SOURCES: boot/efi/config.c boot/efi/info.c boot/efi/kernel_image.c boot/multiboot2.c
// SOURCES: lib/ranges.c lib/fmt.c lib/str_copy.c
/* The UEFI application: its configuration file, the kernel's file, and what it tells the kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/efi/config.h"
#include "boot/efi/info.h"
#include "boot/efi/kernel_image.h"

static struct config c;

/* A copy without a zero at its end, so that ASan sees a byte too many. */
static bool parse_bytes(const char *text, u64 bytes)
{
	char *copy = malloc(bytes ? bytes : 1);
	bool ok;

	memcpy(copy, text, bytes);
	ok = config_parse(copy, bytes, &c);
	free(copy);
	return ok;
}

static bool parse(const char *text) { return parse_bytes(text, strlen(text)); }

static void a_configuration_is_read_whole(void **state)
{
	assert_true(parse("# Caisson\n\n  kernel\t= /boot/caisson.elf \r\n"
			  "args = exit=last-vm loglevel=debug # and\nargs=mem=1G\n#\n"
			  "module = init /boot/init\nmodule =  vm:a.vm   folder/a b#1.vm\t#"));
	assert_string_equal(c.kernel, "/boot/caisson.elf");
	assert_int_equal(c.kernel_line, 3);
	assert_string_equal(c.args, "exit=last-vm loglevel=debug mem=1G");
	assert_int_equal(c.modules, 2);
	assert_string_equal(c.module[0].name, "init");
	assert_string_equal(c.module[0].path, "/boot/init");
	assert_int_equal(c.module[0].line, 7);
	assert_string_equal(c.module[1].name, "vm:a.vm");
	assert_string_equal(c.module[1].path, "folder/a b#1.vm");
	assert_string_equal(c.error, "");
}

static void a_wrong_line_is_named_with_what_was_expected(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"", " no line kernel = PATH"},
		{"args = x\n", " no line kernel = PATH"},
		{"kernel = k\n\nkernle = x\n",
		 "3: kernle: unknown key: expected kernel, args or module"},
		{"kernel = a\nkernel = b\n", "2: kernel: given before, in line 1"},
		{"module = a b\nmodule = b b\nmodule = a c\n",
		 "3: module a: given before, in line 1"},
		{"kernel\n", "1: kernel: expected key = value"},
		{"kernel # = k\n", "1: kernel: expected key = value"},
		{"kernel =  \n", "1: kernel: has no value"},
		{"kernel = k\nmodule = init\n", "2: module = init: expected a name and a path"},
		{"kernel = k\nmodule = init  \n", "2: module = init: expected a name and a path"},
		{"kernel = caf\xc3\xa9\n", "1: byte 0xc3: expected ASCII text"},
		{"kernel = k\n\x1b[2J\n", "2: byte 0x1b: expected ASCII text"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_false(parse(cases[i].text));
		assert_string_equal(c.error, cases[i].error);
	}
}

static void filled(char *out, const char *before, char fill, u32 n, const char *after)
{
	size_t at = strlen(before);

	memcpy(out, before, at);
	memset(out + at, fill, n);
	strcpy(out + at + n, after);
}

static void what_is_too_long_is_refused(void **state)
{
	static char text[16384];
	u32 used = 0;

	filled(text, "kernel = ", 'k', CONFIG_PATH - 1, "\n");
	assert_true(parse(text));
	filled(text, "kernel = ", 'k', CONFIG_PATH, "\n");
	assert_false(parse(text));
	assert_string_equal(c.error, "1: kernel: the path has more than 255 characters");
	filled(text, "kernel=k\nmodule = ", 'm', BOOT_MODULE_NAME, " path\n");
	assert_false(parse(text));
	assert_string_equal(c.error, "2: module: the name has more than 63 characters");
	filled(text, "kernel=k\nmodule = m ", 'p', CONFIG_PATH, "\n");
	assert_false(parse(text));
	assert_string_equal(c.error, "2: module m: the path has more than 255 characters");
	filled(text, "kernel=k\nargs = ", 'a', BOOT_CMDLINE - 1, "\nargs = b");
	assert_false(parse(text));
	assert_string_equal(c.error, "3: args: more than 1023 characters");
	filled(text, "kernel=k\n", 'x', 1536, "\n");
	assert_false(parse(text));
	assert_string_equal(c.error, "2: the line has more than 1535 characters");
	for (u32 i = 0; i <= BOOT_MAX_MODULES; i++)
		used += (u32)sprintf(text + used, "module = m%u p\n", i);
	assert_false(parse(text));
	assert_string_equal(c.error, "321: module: more than 320");
}

static void random_text_is_survived(void **state)
{
	static const char pieces[] = "kernel=args module \n\n#== \t\r/ab\x80";
	char text[300];

	srand(4);
	for (u32 round = 0; round < 20000; round++) {
		for (u32 i = 0; i < sizeof(text); i++)
			text[i] = pieces[(u32)rand() % (sizeof(pieces) - 1)];
		if (!parse_bytes(text, (u64)rand() % sizeof(text)))
			assert_true(c.error[0]);
	}
}

/* ---- The kernel's file ---- */

static struct __attribute__((packed)) {
	u8 ident[16];
	u16 type, machine;
	u32 version;
	u64 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
	struct {
		u32 type, flags;
		u64 offset, vaddr, paddr, filesz, memsz, align;
	} segment[3];
	u32 magic, architecture, length, checksum;
	u16 entry_type, entry_flags;
	u32 entry_size, entry_address, entry_pad;
	u16 move_type, move_flags;
	u32 move_size, move_min, move_max, move_align, move_preference;
	u16 end_type, end_flags;
	u32 end_size;
	u8 payload[64];
} elf;

static void good_elf(void)
{
	memset(&elf, 0, sizeof(elf));
	memcpy(elf.ident, "\177ELF\2\1\1", 7);
	elf.machine = 62;
	elf.phoff = offsetof(typeof(elf), segment);
	elf.phentsize = 56;
	elf.phnum = 3;
	elf.segment[0].type = 1;
	elf.segment[0].offset = offsetof(typeof(elf), payload);
	elf.segment[0].paddr = 0x200000;
	elf.segment[0].filesz = elf.segment[0].memsz = 16;
	elf.segment[1].type = 4; /* a note: not loaded */
	elf.segment[1].offset = ~0ull;
	elf.segment[2].type = 1;
	elf.segment[2].offset = offsetof(typeof(elf), payload) + 16;
	elf.segment[2].paddr = 0x201000;
	elf.segment[2].filesz = 48;
	elf.segment[2].memsz = 0x1000;
	elf.magic = 0xe85250d6;
	elf.length = 16 + 16 + 24 + 8;
	elf.checksum = -(elf.magic + elf.length);
	elf.entry_type = 3;
	elf.entry_size = 12;
	elf.entry_address = 0x200008;
	elf.move_type = 10;
	elf.move_size = 24;
	elf.move_min = 0x200000;
	elf.move_max = 0xffffffff;
	elf.move_align = 0x200000;
	elf.end_size = 8;
	for (u32 i = 0; i < sizeof(elf.payload); i++)
		elf.payload[i] = (u8)(i + 1);
}

static const char *read_elf(u64 bytes, struct kernel_image *k, u8 **copy)
{
	*copy = malloc(bytes ? bytes : 1);
	memcpy(*copy, &elf, MIN(bytes, sizeof(elf)));
	return kernel_image_read(*copy, bytes, k);
}

static void the_kernel_says_where_it_may_be_loaded(void **state)
{
	struct kernel_image k;
	u8 *file, *memory;

	good_elf();
	elf.segment[1] = elf.segment[0]; /* nothing in memory: nothing is copied */
	elf.segment[1].paddr = 0x90000000;
	elf.segment[1].memsz = 0;
	assert_null(read_elf(sizeof(elf), &k, &file));
	assert_int_equal(k.low, 0x200000);
	assert_int_equal(k.high, 0x202000);
	assert_int_equal(k.entry, 0x200008);
	assert_int_equal(k.load_min, 0x200000);
	assert_int_equal(k.load_max, 0xffffffff);
	assert_int_equal(k.align, 0x200000);
	memory = malloc(k.high - k.low);
	memset(memory, 0xee, k.high - k.low);
	kernel_image_load(&k, memory);
	assert_memory_equal(memory, elf.payload, 16);
	assert_memory_equal(memory + 0x1000, elf.payload + 16, 48);
	for (u32 i = 16; i < 0x2000; i++)
		if (i < 0x1000 || i >= 0x1030)
			assert_int_equal(memory[i], 0);
	free(memory);
	free(file);
}

#define BROKEN(field, value, text)                                                                 \
	{                                                                                          \
		offsetof(typeof(elf), field), sizeof(elf.field), value, text                       \
	}

static void a_file_that_is_no_kernel_is_refused(void **state)
{
	static const struct {
		size_t at, size;
		u64 value;
		const char *text;
	} cases[] = {
		BROKEN(machine, 3, "not an ELF file for x86-64"),
		BROKEN(ident[4], 1, "not an ELF file for x86-64"),
		BROKEN(phentsize, 32, "not an ELF file for x86-64"),
		BROKEN(phoff, ~0ull, "ends before its program headers"),
		BROKEN(phnum, 9, "ends before its program headers"),
		BROKEN(segment[0].offset, ~0ull - 7, "ends before its segments"),
		BROKEN(segment[2].filesz, 49, "ends before its segments"),
		BROKEN(segment[0].memsz, 15, "impossible sizes"),
		BROKEN(segment[2].memsz, 1ull << 40, "impossible sizes"),
		BROKEN(segment[2].paddr, ~0ull, "impossible sizes"),
		BROKEN(segment[2].paddr, 0x80000000, "too far apart"),
		BROKEN(phnum, 0, "no segment to load"),
		BROKEN(magic, 1, "no multiboot2 header"),
		BROKEN(checksum, 1, "no multiboot2 header"),
		BROKEN(entry_type, 99, "no multiboot2 entry address"),
		BROKEN(entry_address, 0x202000, "no multiboot2 entry address"),
		BROKEN(entry_address, 0x1ff000, "no multiboot2 entry address"),
		BROKEN(entry_size, 4, "no multiboot2 entry address"),
		BROKEN(move_type, 99, "loaded where memory is free"),
		BROKEN(move_align, 0, "loaded where memory is free"),
		BROKEN(move_align, 0x300000, "loaded where memory is free"),
		BROKEN(move_size, 0xfffffff8, "loaded where memory is free"),
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kernel_image k;
		const char *bad;
		u8 *file;

		good_elf();
		memcpy((u8 *)&elf + cases[i].at, &cases[i].value, cases[i].size);
		bad = read_elf(sizeof(elf), &k, &file);
		if (!bad || !strstr(bad, cases[i].text))
			fail_msg("case %u: got '%s', expected '%s'", i, bad ? bad : "(accepted)",
				 cases[i].text);
		free(file);
	}
}

static void every_short_or_damaged_kernel_is_survived(void **state)
{
	struct kernel_image k;
	u8 *file;

	good_elf();
	for (u64 bytes = 0; bytes < sizeof(elf); bytes++) {
		assert_non_null(read_elf(bytes, &k, &file));
		free(file);
	}
	srand(5);
	for (u32 round = 0; round < 50000; round++) {
		good_elf();
		for (u32 i = 0; i < 3; i++)
			((u8 *)&elf)[(u32)rand() % sizeof(elf)] = (u8)rand();
		if (!read_elf(sizeof(elf), &k, &file) && k.high - k.low <= MiB(4)) {
			u8 *memory = malloc(k.high - k.low);

			kernel_image_load(&k, memory);
			assert_true(k.entry >= k.low && k.entry < k.high);
			free(memory);
		}
		free(file);
	}
}

/* ---- What the kernel is told ---- */

static u8 buf[4096] __attribute__((aligned(8)));
static struct info info;
static struct bootinfo b;

static void parse_info(void)
{
	const void *p = info_end(&info);

	assert_non_null(p);
	memset(&b, 0, sizeof(b));
	b.kernel_start = hpa(0x200000);
	b.kernel_bytes = 0x200000;
	mb2_parse(p, sizeof(buf), &b);
	assert_string_equal(b.error, "");
}

static void the_kernel_reads_what_the_application_wrote(void **state)
{
	u8 rsdp[36];

	for (u32 i = 0; i < sizeof(rsdp); i++)
		rsdp[i] = (u8)(i + 1);
	info_begin(&info, buf, sizeof(buf));
	info_string(&info, MB2_TAG_CMDLINE, "exit=last-vm");
	info_string(&info, MB2_TAG_LOADER_NAME, "BOOTX64.EFI");
	info_module(&info, 0x1000000, 0x1001234, "init");
	info_module(&info, 0x1002000, 0x1002000, "empty");
	info_rsdp(&info, rsdp, 20, false);
	info_rsdp(&info, rsdp, 36, true);
	info_framebuffer(&info, 0x80000000, 5120, 1280, 800);
	info_memory(&info, 0, 0xa0000, true);
	info_memory(&info, 0x100000, 0x100000, true);
	info_memory(&info, 0x200000, 0x3e00000, true);
	info_memory(&info, 0x4000000, 0x1000, false);
	info_memory(&info, 0x4001000, 0x1000, false);
	info_memory(&info, 0x4002000, 0x1000, true);
	parse_info();
	assert_string_equal(b.cmdline, "exit=last-vm");
	assert_string_equal(b.loader, "BOOTX64.EFI");
	assert_int_equal(b.modules, 2);
	assert_int_equal(b.module[0].start.v, 0x1000000);
	assert_int_equal(b.module[0].bytes, 0x1234);
	assert_string_equal(b.module[1].name, "empty");
	assert_int_equal(b.rsdp_bytes, 36);
	assert_memory_equal(b.rsdp_copy, rsdp, 36);
	assert_int_equal(b.screen.base.v, 0x80000000);
	assert_int_equal(b.screen.width, 1280);
	assert_int_equal(b.screen.height, 800);
	assert_int_equal(b.ram.count, 3);
	assert_int_equal(b.ram.r[1].start, 0x100000);
	assert_int_equal(b.ram.r[1].end, 0x4000000);
	assert_int_equal(b.ram.r[2].start, 0x4002000);
}

static void neighbours_of_one_kind_are_one_entry(void **state)
{
	info_begin(&info, buf, sizeof(buf));
	for (u32 i = 0; i < 1000; i++)
		info_memory(&info, 0x100000 + i * 0x1000, 0x1000, true);
	assert_int_equal(info.used, 8 + 16 + 24);
	info_memory(&info, 0x100000 + 1000 * 0x1000, 0x1000, false);
	info_memory(&info, 0x100000 + 1002 * 0x1000, 0x1000, false);
	assert_int_equal(info.used, 8 + 16 + 3 * 24);
}

static void what_does_not_fit_is_no_information(void **state)
{
	for (u32 size = 0; size <= 120; size++) {
		u8 *room = malloc(size ? size : 1);
		const void *p;

		info_begin(&info, room, size);
		info_module(&info, 0x1000000, 0x1001000, "init");
		info_memory(&info, 0x100000, 0x1000, true);
		info_memory(&info, 0x200000, 0x1000, false);
		p = info_end(&info);
		assert_int_equal(p != NULL, size >= 8 + 24 + 16 + 2 * 24 + 8);
		free(room);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_configuration_is_read_whole),
		cmocka_unit_test(a_wrong_line_is_named_with_what_was_expected),
		cmocka_unit_test(what_is_too_long_is_refused),
		cmocka_unit_test(random_text_is_survived),
		cmocka_unit_test(the_kernel_says_where_it_may_be_loaded),
		cmocka_unit_test(a_file_that_is_no_kernel_is_refused),
		cmocka_unit_test(every_short_or_damaged_kernel_is_survived),
		cmocka_unit_test(the_kernel_reads_what_the_application_wrote),
		cmocka_unit_test(neighbours_of_one_kind_are_one_entry),
		cmocka_unit_test(what_does_not_fit_is_no_information),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
