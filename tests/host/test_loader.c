// SOURCES: guest-loader/loader.c guest-loader/bzimage.c guest-loader/multiboot.c lib/fmt.c
// SOURCES: lib/str_copy.c
/*
 * The loaders: good images land as the protocols say; each malformed one is refused by the name of
 * its field.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "guest-loader/loader.h"

#define RAM_BYTES MiB(64)
#define IMAGE_BYTES 0x8000u

static u8 *ram, *image;
static struct vcpu_state state;
static char error[256];

static u64 get(const u8 *p, u64 at, u32 n)
{
	u64 v = 0;

	memcpy(&v, p + at, n);
	return v;
}

static void put(u64 at, u32 n, u64 v) { memcpy(image + at, &v, n); }

static int setup(void **s)
{
	ram = calloc(1, RAM_BYTES);
	image = calloc(1, IMAGE_BYTES);
	return !ram || !image;
}

static int teardown(void **s)
{
	free(ram);
	free(image);
	return 0;
}

static int load(u64 bytes, const struct loader_image *initrd, const char *cmdline)
{
	u8 *exact = malloc(bytes ? bytes : 1); /* the sanitizer sees a read past the image's end */
	struct loader_image kernel = {exact, bytes, "kernel"};
	struct loader_ram r = {.host = ram, .low_bytes = RAM_BYTES, .rsdp_gpa = 0xe0000};

	memcpy(exact, image, bytes);
	error[0] = 0;
	int e = loader_load(&kernel, initrd, cmdline, &r, &state, error, sizeof(error));

	free(exact);
	return e;
}

/* ---- bzImage ---- */

static void make_bzimage(void)
{
	memset(image, 0, IMAGE_BYTES);
	put(0x1f1, 1, 3); /* setup_sects: the kernel follows at 0x800 */
	put(0x1fe, 2, 0xaa55);
	put(0x200, 2, 0x66eb); /* jump: header ends at 0x268 */
	put(0x202, 4, 0x53726448);
	put(0x206, 2, 0x20f);
	put(0x211, 1, 1);
	put(0x22c, 4, 0x7fffffff);
	put(0x236, 2, 3);
	put(0x238, 4, 2047);
	put(0x258, 8, MiB(16));
	put(0x260, 4, MiB(8));
	memset(image + 0x800, 0xc3, IMAGE_BYTES - 0x800);
}

static void test_bzimage_is_placed_and_described(void **s)
{
	u8 initrd_data[5000];
	struct loader_image initrd = {initrd_data, sizeof(initrd_data), "initrd"};
	static const u64 e820[][3] = {
		{0, 0x9fc00, 1}, {0x9fc00, 0x60400, 2}, {MiB(1), RAM_BYTES - MiB(1), 1}};

	memset(initrd_data, 0x77, sizeof(initrd_data));
	make_bzimage();
	assert_int_equal(load(IMAGE_BYTES, &initrd, "console=ttyS0"), 0);
	assert_memory_equal(ram + MiB(16), image + 0x800, IMAGE_BYTES - 0x800);

	const u8 *zp = ram + state.gpr[GPR_RSI];

	assert_memory_equal(zp + 0x1f1, image + 0x1f1, 0x210 - 0x1f1);
	assert_int_equal(get(zp, 0x210, 1), 0xff);
	assert_string_equal((const char *)ram + get(zp, 0x228, 4), "console=ttyS0");
	assert_int_equal(get(zp, 0x218, 4), RAM_BYTES - 0x2000);
	assert_int_equal(get(zp, 0x21c, 4), sizeof(initrd_data));
	assert_memory_equal(ram + RAM_BYTES - 0x2000, initrd_data, sizeof(initrd_data));
	assert_int_equal(get(zp, 0x70, 8), 0xe0000);
	assert_int_equal(get(zp, 0x1e8, 1), 3);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(get(zp, 0x2d0 + i * 20, 8), e820[i][0]);
		assert_int_equal(get(zp, 0x2d8 + i * 20, 8), e820[i][1]);
		assert_int_equal(get(zp, 0x2e0 + i * 20, 4), e820[i][2]);
	}
}

static void test_bzimage_starts_in_long_mode_with_identity_tables(void **s)
{
	make_bzimage();
	assert_int_equal(load(IMAGE_BYTES, NULL, ""), 0);
	assert_int_equal(state.groups, STATE_GPR | STATE_SEG | STATE_CR);
	assert_int_equal(state.rip, MiB(16) + 0x200);
	assert_int_equal(state.rflags, 2);
	assert_int_equal(state.efer, EFER_LME | EFER_LMA);
	assert_true(state.cr0 & CR0_PG && state.cr0 & CR0_PE && state.cr4 & CR4_PAE);
	assert_int_equal(state.seg[SEG_CS].selector, 0x10);
	assert_int_equal(state.seg[SEG_CS].attr & SEG_ATTR_L, SEG_ATTR_L);
	assert_int_equal(state.seg[SEG_DS].selector, 0x18);
	for (u64 at = 0; at < GiB(4); at += MiB(2)) {
		u64 pml4e = get(ram, state.cr3, 8),
		    pdpte = get(ram, (pml4e & ~0xfffull) + (at >> 30) * 8, 8);
		u64 pde = get(ram, (pdpte & ~0xfffull) + (at >> 21 & 511) * 8, 8);

		assert_int_equal(pml4e & pdpte & 3, 3);
		assert_int_equal(pde, at | 0x83);
	}
	assert_int_equal(get(ram, state.gdtr.base + 0x10, 8), 0x00af9b000000ffff);
}

static void test_high_memory_is_in_the_map(void **s)
{
	struct loader_ram r = {.host = ram, .low_bytes = RAM_BYTES, .high_bytes = GiB(1)};
	struct loader_image kernel = {image, IMAGE_BYTES, "kernel"};

	make_bzimage();
	assert_int_equal(loader_load(&kernel, NULL, "", &r, &state, error, sizeof(error)), 0);

	const u8 *zp = ram + state.gpr[GPR_RSI];

	assert_int_equal(get(zp, 0x1e8, 1), 4);
	assert_int_equal(get(zp, 0x2d0 + 60, 8), GiB(4));
	assert_int_equal(get(zp, 0x2d8 + 60, 8), GiB(1));
}

struct bad {
	u64 at;
	u32 n;
	u64 value;
	u64 bytes; /* of the file; 0 = all */
	const char *expect;
};

static void check_bad(const struct bad *b, u32 count, void (*make)(void))
{
	for (u32 i = 0; i < count; i++) {
		make();
		put(b[i].at, b[i].n, b[i].value);
		assert_int_equal(load(b[i].bytes ? b[i].bytes : IMAGE_BYTES, NULL, "quiet"),
				 -E_INVAL);
		if (!strstr(error, b[i].expect))
			fail_msg("case %u: expected \"%s\", got \"%s\"", i, b[i].expect, error);
	}
}

static void test_malformed_bzimage_names_its_field(void **s)
{
	static const struct bad bad[] = {
		{0x1fe, 2, 0, 0, "boot_flag: 0, expected 0xaa55"},
		{0x206, 2, 0x20a, 0, "version: 0x20a, expected 0x20c or later"},
		{0x201, 1, 0x10, 0, "jump: header ends at 0x212"},
		{0x201, 1, 0xff, 0, "jump: header ends at 0x301"},
		{0x211, 1, 0, 0, "loadflags: 0, expected bit 0"},
		{0x236, 2, 2, 0, "xloadflags: 0x2, expected bit 0"},
		{0x1f1, 1, 200, 0, "setup_sects: 200, expected"},
		{0x238, 4, 4, 0, "cmdline_size: 4, expected at least the command line's 5"},
		{0x258, 8, 0x8000, 0, "pref_address: 0x8000, expected"},
		{0x258, 8, ~0xfffull, 0,
		 "init_size: 0x800000 bytes at pref_address 0xfffffffffffff000"},
		{0x260, 4, 0xffffffff, 0, "init_size: 0xffffffff bytes"},
		{0, 1, 0, 0x220, "file size: 544, expected more"},
		{0, 1, 0, 0xa00, "setup_sects: 3, expected"},
		{0x202, 4, 0, 0, "of no known format"},
		{0, 1, 0, 1, "of no known format"},
	};

	check_bad(bad, ARRAY_SIZE(bad), make_bzimage);
}

static void test_initrd_that_does_not_fit_is_refused(void **s)
{
	struct loader_image initrd = {ram, MiB(41), "initrd"};

	make_bzimage();
	assert_int_equal(load(IMAGE_BYTES, &initrd, ""), -E_INVAL);
	assert_non_null(
		strstr(error, "initrd initrd: 42991616 bytes, expected at most the 41943040"));
}

/* ---- multiboot ---- */

static void put_mb_header(u64 at, u32 flags)
{
	put(at, 4, 0x1badb002);
	put(at + 4, 4, flags);
	put(at + 8, 4, (u32) - (0x1badb002 + flags));
}

static void make_elf32(void)
{
	memset(image, 0, IMAGE_BYTES);
	put(0, 4, 0x464c457f);
	put(4, 4, 0x00010101);
	put(16, 2, 2);
	put(18, 2, 3);
	put(24, 4, 0xc0100010); /* e_entry: linked high */
	put(28, 4, 52);
	put(42, 2, 32);
	put(44, 2, 1);
	put(52, 4, 1);		/* PT_LOAD */
	put(56, 4, 0x1000);	/* p_offset */
	put(60, 4, 0xc0100000); /* p_vaddr */
	put(64, 4, 0x100000);	/* p_paddr */
	put(68, 4, 0x2000);	/* p_filesz */
	put(72, 4, 0x3000);	/* p_memsz */
	put_mb_header(0x1000, 3);
	memset(image + 0x100c, 0x90, 0x1000);
}

static void make_elf64(void)
{
	memset(image, 0, IMAGE_BYTES);
	put(0, 4, 0x464c457f);
	put(4, 4, 0x00010102);
	put(18, 2, 62);
	put(24, 8, 0x200020);
	put(32, 8, 64);
	put(54, 2, 56);
	put(56, 2, 1);
	put(64, 4, 1);
	put(72, 8, 0x1000);
	put(80, 8, 0x200000);
	put(88, 8, 0x200000);
	put(96, 8, 0x1000);
	put(104, 8, 0x1000);
	put_mb_header(0x1000, 0);
	memset(image + 0x100c, 0x90, 0x800);
}

static void make_aout(void)
{
	memset(image, 0, IMAGE_BYTES);
	put_mb_header(0x100, 0x10000);
	put(0x10c, 4, 0x300100); /* header_addr */
	put(0x110, 4, 0x300000); /* load_addr */
	put(0x114, 4, 0x302000); /* load_end_addr */
	put(0x118, 4, 0x303000); /* bss_end_addr */
	put(0x11c, 4, 0x300200); /* entry_addr */
}

static void test_multiboot_elf32_with_module(void **s)
{
	u8 data[100];
	struct loader_image module = {data, sizeof(data), "ramdisk"};

	memset(data, 0x55, sizeof(data));
	memset(ram + MiB(1), 0xee, 0x4000);
	make_elf32();
	assert_int_equal(load(IMAGE_BYTES, &module, "a=1"), 0);
	assert_memory_equal(ram + MiB(1), image + 0x1000, 0x2000);
	assert_int_equal(ram[MiB(1) + 0x2000], 0);
	assert_int_equal(ram[MiB(1) + 0x2fff], 0);
	assert_int_equal(ram[MiB(1) + 0x3000], 0xee);
	assert_int_equal(state.rip, 0x100010);
	assert_int_equal(state.gpr[GPR_RAX], 0x2badb002);
	assert_int_equal(state.cr0 & (CR0_PE | CR0_PG), CR0_PE);
	assert_int_equal(state.seg[SEG_CS].limit, 0xffffffff);

	const u8 *info = ram + state.gpr[GPR_RBX];
	const u8 *mod = ram + get(info, 24, 4), *map = ram + get(info, 48, 4);

	assert_int_equal(get(info, 0, 4), 0x24d);
	assert_int_equal(get(info, 4, 4), 639);
	assert_int_equal(get(info, 8, 4), (RAM_BYTES - MiB(1)) >> 10);
	assert_string_equal((const char *)ram + get(info, 16, 4), "kernel a=1");
	assert_int_equal(get(info, 20, 4), 1);
	assert_int_equal(get(mod, 4, 4) - get(mod, 0, 4), 100);
	assert_memory_equal(ram + get(mod, 0, 4), data, 100);
	assert_string_equal((const char *)ram + get(mod, 8, 4), "ramdisk");
	assert_int_equal(get(info, 44, 4), 72);
	assert_int_equal(get(map, 48, 4), 20);
	assert_int_equal(get(map, 52, 8), MiB(1));
	assert_int_equal(get(map, 68, 4), 1);
}

static void test_multiboot_elf64(void **s)
{
	make_elf64();
	assert_int_equal(load(IMAGE_BYTES, NULL, ""), 0);
	assert_int_equal(state.rip, 0x200020);
	assert_memory_equal(ram + 0x200000, image + 0x1000, 0x1000);
	assert_int_equal(get(ram, state.gpr[GPR_RBX] + 20, 4), 0);
}

static void test_multiboot_with_address_fields(void **s)
{
	make_aout();
	assert_int_equal(load(IMAGE_BYTES, NULL, ""), 0);
	assert_int_equal(state.rip, 0x300200);
	assert_memory_equal(ram + 0x300000, image, 0x2000);
}

static void test_malformed_multiboot_names_its_field(void **s)
{
	static const struct bad bad32[] = {
		{0x1008, 4, 0, 0,
		 "multiboot checksum: magic, flags and checksum add up to 0x1badb005, expected 0"},
		{0, 4, 0, 0, "ELF magic: 0, expected 0x464c457f"},
		{4, 1, 3, 0, "ELF class: 3, expected 1"},
		{5, 1, 2, 0, "ELF data encoding: 2, expected 1"},
		{18, 2, 40, 0, "e_machine: 40, expected 3"},
		{42, 2, 31, 0, "e_phentsize: 31, expected 32"},
		{44, 2, 0, 0, "e_phnum: 0, expected 1 to 64"},
		{44, 2, 0xffff, 0, "e_phnum: 65535, expected 1 to 64"},
		{28, 4, 0xffffffff, 0, "e_phoff: 0xffffffff with 1 headers"},
		{28, 4, IMAGE_BYTES - 16, 0, "e_phoff: 0x7ff0 with 1 headers"},
		{24, 4, 0x12345678, 0, "e_entry: 0x12345678, expected within a PT_LOAD segment"},
		{52, 4, 2, 0, "e_entry: 0xc0100010, expected within a PT_LOAD segment"},
		{56, 4, 0xfffffff0, 0, "PT_LOAD segment: 0x2000 bytes at offset 0xfffffff0"},
		{68, 4, 0xffffffff, 0, "PT_LOAD segment: 0xffffffff bytes at offset 0x1000"},
		{72, 4, 0x1fff, 0,
		 "PT_LOAD segment: 0x1fff bytes in memory, expected at least its 0x2000"},
		{72, 4, 0xfff00000, 0,
		 "PT_LOAD segment: 0xfff00000 bytes at address 0x100000, expected within memory"},
		{64, 4, 0xfffff000, 0,
		 "PT_LOAD segment: 0x3000 bytes at address 0xfffff000, expected within memory"},
		{64, 4, 0x8f000, 0,
		 "PT_LOAD segment: 0x3000 bytes at address 0x8f000, expected outside 0x90000"},
		{0, 1, 0x7f, 0x1010,
		 "PT_LOAD segment: 0x2000 bytes at offset 0x1000, expected within the file's 0x1010"},
	};
	static const struct bad bad64[] = {
		{32, 8, ~0ull, 0, "e_phoff: 0xffffffffffffffff with 1 headers"},
		{72, 8, ~0ull - 0xfff, 0, "at offset 0xfffffffffffff000"},
		{96, 8, ~0ull, 0, "PT_LOAD segment: 0xffffffffffffffff bytes at offset"},
		{104, 8, ~0ull, 0, "PT_LOAD segment: 0xffffffffffffffff bytes at address"},
		{88, 8, ~0ull - 0xfff, 0, "at address 0xfffffffffffff000, expected within memory"},
		{88, 8, GiB(4), 0, "at address 0x100000000, expected within memory"},
	};
	static const struct bad bad_aout[] = {
		{0x110, 4, 0x300101, 0,
		 "load_addr: 0x300101, expected at most header_addr 0x300100"},
		{0x110, 4, 0x2fff00, 0,
		 "load_addr: 0x2fff00, expected at most header_addr 0x300100 and at least 0x300000"},
		{0x114, 4, 0x2ff000, 0, "load_end_addr: 0x2ff000, expected at least load_addr"},
		{0x114, 4, 0x900000, 0, "load_addr: 0x600000 bytes at offset 0"},
		{0x11c, 4, 0x302000, 0, "entry_addr: 0x302000, expected from"},
		{0x118, 4, 0xffffffff, 0,
		 "load_addr: 0xffcfffff bytes at address 0x300000, expected within memory"},
		{0, 1, 0, 0x110, "multiboot header: at 0x100, expected 32 bytes"},
		{0, 1, 0, 0x1000,
		 "load_addr: 0x2000 bytes at offset 0, expected within the file's 0x1000"},
	};

	check_bad(bad32, ARRAY_SIZE(bad32), make_elf32);
	check_bad(bad64, ARRAY_SIZE(bad64), make_elf64);
	check_bad(bad_aout, ARRAY_SIZE(bad_aout), make_aout);
}

static void test_required_multiboot_flag_that_is_unknown_is_refused(void **s)
{
	make_elf32();
	put_mb_header(0x1000, 8);
	assert_int_equal(load(IMAGE_BYTES, NULL, ""), -E_INVAL);
	assert_non_null(strstr(error, "multiboot flags: 0x8, expected none of bits 3 to 15"));
}

static void test_every_truncation_is_refused_or_loads(void **s)
{
	for (u32 bytes = 0; bytes < 0x1100; bytes++) {
		make_bzimage();
		load(bytes, NULL, "");
		make_elf32();
		load(bytes, NULL, "");
		make_elf64();
		load(bytes, NULL, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bzimage_is_placed_and_described),
		cmocka_unit_test(test_bzimage_starts_in_long_mode_with_identity_tables),
		cmocka_unit_test(test_high_memory_is_in_the_map),
		cmocka_unit_test(test_malformed_bzimage_names_its_field),
		cmocka_unit_test(test_initrd_that_does_not_fit_is_refused),
		cmocka_unit_test(test_multiboot_elf32_with_module),
		cmocka_unit_test(test_multiboot_elf64),
		cmocka_unit_test(test_multiboot_with_address_fields),
		cmocka_unit_test(test_malformed_multiboot_names_its_field),
		cmocka_unit_test(test_required_multiboot_flag_that_is_unknown_is_refused),
		cmocka_unit_test(test_every_truncation_is_refused_or_loads),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
