// SOURCES: boot/multiboot2.c lib/ranges.c lib/fmt.c lib/str_copy.c
/*
 * The multiboot2 information: what a good one yields, and that a broken one is refused and never
 * read past its end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/multiboot2.h"

/* As the specification lays them out. */
static_assert(sizeof(struct mb2_info) == 8, "multiboot2 information");
static_assert(sizeof(struct mb2_tag) == 8, "multiboot2 tag");
static_assert(sizeof(struct mb2_module) == 16, "multiboot2 module");
static_assert(sizeof(struct mb2_framebuffer) == 32, "multiboot2 framebuffer");
static_assert(sizeof(struct mb2_memory_map) == 16, "multiboot2 memory map");
static_assert(sizeof(struct mb2_memory_entry) == 24, "multiboot2 memory map entry");

static struct bootinfo b;
static u8 buf[16384] __aligned(8);
static u32 used;

static void put(const void *p, u32 n)
{
	memcpy(buf + used, p, n);
	used += n;
}

static void put32(u32 v) { put(&v, 4); }

static void pad(void)
{
	while (used % 8)
		buf[used++] = 0;
}

static void begin(void)
{
	memset(&b, 0, sizeof(b));
	memset(buf, 0xee, sizeof(buf));
	b.kernel_start = hpa(0x200000);
	b.kernel_bytes = 0x200000;
	used = 8;
}

static void tag_text(u32 type, const char *s)
{
	put32(type);
	put32(8 + (u32)strlen(s) + 1);
	put(s, (u32)strlen(s) + 1);
	pad();
}

static void tag_module(u32 start, u32 end, const char *name)
{
	put32(MB2_TAG_MODULE);
	put32(16 + (u32)strlen(name) + 1);
	put32(start);
	put32(end);
	put(name, (u32)strlen(name) + 1);
	pad();
}

static void tag_map(u32 entry_size, const struct mb2_memory_entry *e, u32 n)
{
	put32(MB2_TAG_MEMORY_MAP);
	put32(16 + n * entry_size);
	put32(entry_size);
	put32(0);
	for (u32 i = 0; i < n; i++) {
		put(&e[i], sizeof(e[i]));
		for (u32 k = sizeof(e[i]); k < entry_size; k++)
			buf[used++] = 0;
	}
	pad();
}

static const struct mb2_memory_entry pc[] = {
	{0, 0x9fc00, 1, 0},	     {0x9fc00, 0x400, 2, 0},	 {0xf0000, 0x10000, 2, 0},
	{0x100000, 0x7ee0000, 1, 0}, {0x7fe0000, 0x20000, 2, 0}, {0x100000000, 0x40000000, 1, 0},
};

static void end_tag(void)
{
	put32(MB2_TAG_END);
	put32(8);
}

/* Parses a copy that ends where the information ends, so that ASan sees a byte too many. */
static void parse(void)
{
	u8 *copy = malloc(used);

	memcpy(buf, &used, 4);
	memcpy(copy, buf, used);
	mb2_parse(copy, used, &b);
	free(copy);
}

static void good(void)
{
	begin();
	tag_text(MB2_TAG_CMDLINE, "loglevel=debug mem=1G");
	tag_text(MB2_TAG_LOADER_NAME, "GRUB 2.06");
	tag_module(0x1000000, 0x1001234, "init");
	tag_module(0x1002000, 0x1003000, "programs");
	tag_map(24, pc, ARRAY_SIZE(pc));
}

static void refused(const char *text)
{
	if (!strstr(b.error, text))
		fail_msg("expected a refusal with '%s', got '%s'", text, b.error);
}

static void a_good_one_is_read_whole(void **state)
{
	good();
	end_tag();
	parse();
	assert_string_equal(b.error, "");
	assert_string_equal(b.cmdline, "loglevel=debug mem=1G");
	assert_string_equal(b.loader, "GRUB 2.06");
	assert_int_equal(b.modules, 2);
	assert_string_equal(b.module[0].name, "init");
	assert_int_equal(b.module[0].start.v, 0x1000000);
	assert_int_equal(b.module[0].bytes, 0x1234);
	assert_int_equal(b.ram.count, 3);
	assert_int_equal(b.ram.r[0].start, 0x1000); /* never page 0 */
	assert_int_equal(b.ram.r[0].end, 0x9f000);  /* the page that the EBDA begins in is out */
	assert_int_equal(b.ram.r[1].start, 0x100000);
	assert_int_equal(b.ram.r[1].end, 0x7fe0000);
	assert_int_equal(b.ram.r[2].start, 0x100000000);
}

static void the_new_rsdp_wins_in_either_order(void **state)
{
	for (u32 order = 0; order < 2; order++) {
		good();
		for (u32 i = 0; i < 2; i++) {
			bool new = (i == 0) == (order == 0);
			u8 copy[36];

			memset(copy, new ? 2 : 1, sizeof(copy));
			put32(new ? MB2_TAG_RSDP_NEW : MB2_TAG_RSDP_OLD);
			put32(8 + (new ? 36 : 20));
			put(copy, new ? 36 : 20);
			pad();
		}
		end_tag();
		parse();
		assert_int_equal(b.rsdp_bytes, 36);
		assert_int_equal(b.rsdp_copy[0], 2);
	}
}

static void reserved_wins_over_available(void **state)
{
	static const struct mb2_memory_entry e[] = {
		{0x300000, 0x1000, 2, 0},
		{0x100000, 0x400000, 1, 0},
		{0x480000, ~0ull, 5, 0},
	};

	begin();
	tag_map(32, e, ARRAY_SIZE(e)); /* entries may grow */
	end_tag();
	parse();
	assert_string_equal(b.error, "");
	assert_int_equal(b.ram.count, 2);
	assert_int_equal(b.ram.r[0].end, 0x300000);
	assert_int_equal(b.ram.r[1].start, 0x301000);
	assert_int_equal(b.ram.r[1].end, 0x480000);
}

static void unknown_tags_are_skipped(void **state)
{
	good();
	tag_text(99, "something new");
	tag_text(8, "");
	end_tag();
	parse();
	assert_string_equal(b.error, "");
}

static void usable_ranges_are_aligned_inwards_others_outwards(void **state)
{
	static const struct mb2_memory_entry e[] = {
		{0x100001, 0x3fff, 1, 0},
		{0x200001, 0xffe, 1, 0},
		{~0ull - 0xfff, 0x2000, 1, 0},
		{0x102fff, 1, 2, 0},
	};

	begin();
	tag_map(24, e, ARRAY_SIZE(e));
	end_tag();
	parse();
	assert_int_equal(b.ram.count, 2);
	assert_int_equal(b.ram.r[0].start, 0x101000);
	assert_int_equal(b.ram.r[0].end, 0x102000);
	assert_int_equal(b.ram.r[1].start, 0x103000);
	assert_int_equal(b.ram.r[1].end, 0x104000);
}

static void bad_modules_are_refused(void **state)
{
	static const struct {
		u32 start, end;
		const char *name, *want;
	} cases[] = {
		{0x1000800, 0x1001000, "a", "'a' does not start on a page"},
		{0x1001000, 0x1000000, "b", "'b' ends before it starts"},
		{0x8000000, 0x8001000, "c", "'c' does not lie in usable memory"},
		{0x7fdf000, 0x7fe0001, "d", "'d' does not lie in usable memory"},
		{0x3ff000, 0x400000, "e", "'e' does not lie in usable memory, or overlaps"},
		{0x1003000 - 1 - 0xfff, 0x1003000, "f",
		 "'f' does not lie in usable memory, or overlaps"},
		{0x2000000, 0x2001000,
		 "0123456789012345678901234567890123456789012345678901234567890123",
		 "longer than 63"},
		{0xfffff000, 0xffffffff, "g", "'g' does not lie in usable memory"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		good();
		tag_module(cases[i].start, cases[i].end, cases[i].name);
		end_tag();
		parse();
		refused(cases[i].want);
	}
	good();
	for (u32 i = 0; i < BOOT_MAX_MODULES; i++)
		tag_module(0, 0, "many");
	end_tag();
	parse();
	refused("more than 320 modules");
}

static void bad_text_is_refused_or_replaced(void **state)
{
	char text[BOOT_CMDLINE + 1];

	memset(text, 'x', sizeof(text));
	text[BOOT_CMDLINE] = 0;
	good();
	tag_text(MB2_TAG_CMDLINE, text);
	end_tag();
	parse();
	refused("the command line is longer than 1023");

	good();
	put32(MB2_TAG_CMDLINE); /* not terminated */
	put32(8 + 4);
	put("abcd", 4);
	pad();
	end_tag();
	parse();
	refused("the command line");

	good();
	tag_text(MB2_TAG_LOADER_NAME, "a loader with a name that is longer than the field");
	end_tag();
	parse();
	assert_string_equal(b.error, "");
	assert_string_equal(b.loader, "unknown loader");
}

static void broken_tags_are_refused(void **state)
{
	static const struct {
		u32 type, size;
		const char *want;
	} cases[] = {
		{1, 0, "has size 0"},
		{1, 7, "has size 7"},
		{1, 0xffffffff, "has size 4294967295"},
		{3, 8, "type 3 at offset 280 has size 8"},
		{6, 12, "has size 12"},
		{6, 16, "entry size"},
		{0x80000001, 4000, "4000"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		good();
		put32(cases[i].type);
		put32(cases[i].size);
		put32(0);
		put32(0);
		end_tag();
		parse();
		refused(cases[i].want);
	}
}

static void no_memory_and_bad_totals_are_refused(void **state)
{
	u32 total = 9000;

	begin();
	end_tag();
	parse();
	refused("no usable memory");

	good();
	parse();
	refused("without an end tag");

	begin();
	memcpy(buf, &total, 4);
	mb2_parse(buf, 4000, &b);
	refused("9000 bytes, 4000 can be read");

	begin();
	mb2_parse(buf, 3, &b);
	refused("0 bytes, 3 can be read");
}

static void tag_framebuffer(const struct mb2_framebuffer *t)
{
	struct mb2_framebuffer copy = *t;

	copy.tag = (struct mb2_tag){MB2_TAG_FRAMEBUFFER, sizeof(copy) + 6};
	put(&copy, sizeof(copy));
	put("\x10\x08\x08\x08\x00\x08", 6);
	pad();
}

static void with_framebuffer(struct mb2_framebuffer t)
{
	good();
	tag_framebuffer(&t);
	end_tag();
	parse();
	assert_string_equal(b.error, "");
}

static void a_framebuffer_or_vga_text_is_the_screen(void **state)
{
	with_framebuffer((struct mb2_framebuffer){.addr = 0xfd000000,
						  .pitch = 5120,
						  .width = 1280,
						  .height = 800,
						  .bpp = 32,
						  .type = 1});
	assert_int_equal(b.screen.base.v, 0xfd000000);
	assert_int_equal(b.screen.bytes, 5120 * 800);
	assert_int_equal(b.screen.pitch, 5120);
	assert_int_equal(b.screen.width, 1280);
	assert_int_equal(b.screen.height, 800);
	assert_false(b.screen.text);
	with_framebuffer((struct mb2_framebuffer){
		.addr = 0xb8000, .pitch = 160, .width = 80, .height = 25, .bpp = 16, .type = 2});
	assert_int_equal(b.screen.base.v, 0xb8000);
	assert_int_equal(b.screen.bytes, 4000);
	assert_true(b.screen.text);
}

static void a_screen_is_never_usable_memory(void **state)
{
	with_framebuffer((struct mb2_framebuffer){.addr = 0x2000010,
						  .pitch = 4096,
						  .width = 1024,
						  .height = 768,
						  .bpp = 32,
						  .type = 1});
	assert_int_equal(b.screen.bytes, 768 * 4096);
	assert_int_equal(ranges_bytes(&b.ram, 0x1f00000, 0x2000000), 0x100000);
	assert_int_equal(ranges_bytes(&b.ram, 0x2000000, 0x2301000), 0);
	assert_int_equal(ranges_bytes(&b.ram, 0x2301000, 0x2400000), 0xff000);
}

static void a_large_screen_is_used_as_far_as_it_can_be_mapped(void **state)
{
	with_framebuffer((struct mb2_framebuffer){.addr = 0x4000100000,
						  .pitch = 30720,
						  .width = 7680,
						  .height = 4320,
						  .bpp = 32,
						  .type = 1});
	assert_int_equal(b.screen.height, (64 * 1048576 - 1048576) / 30720);
	assert_true(b.screen.bytes <= MiB(63));
}

/* A broken tag hides what comes after it: the refusal is shown on the VGA text screen. */
static void a_refusal_has_a_screen(void **state)
{
	struct mb2_framebuffer fb = {.addr = 0xfd000000,
				     .pitch = 5120,
				     .width = 1280,
				     .height = 800,
				     .bpp = 32,
				     .type = 1};

	for (u32 order = 0; order < 2; order++) {
		good();
		if (!order)
			tag_framebuffer(&fb);
		put32(MB2_TAG_MEMORY_MAP);
		put32(12);
		put32(0);
		put32(0);
		if (order)
			tag_framebuffer(&fb);
		end_tag();
		parse();
		refused("has size 12");
		assert_int_equal(b.screen.base.v, order ? 0xb8000 : 0xfd000000);
		assert_int_equal(b.screen.bytes, order ? 4000 : 5120 * 800);
		assert_int_equal(b.screen.text, order);
	}
	begin();
	mb2_parse(buf, 3, &b);
	refused("0 bytes, 3 can be read");
	assert_int_equal(b.screen.base.v, 0xb8000);
	good();
	end_tag();
	parse();
	assert_int_equal(b.screen.bytes, 0);
}

/* clang-format off */
#define FB(a, p, w, h, bits, kind) \
	{.addr = a, .pitch = p, .width = w, .height = h, .bpp = bits, .type = kind}
/* clang-format on */

static void a_screen_that_cannot_be_used_is_none(void **state)
{
	static const struct mb2_framebuffer cases[] = {
		FB(0xfd000000, 3840, 1280, 800, 24, 1), FB(0xfd000000, 1280, 1280, 800, 8, 0),
		FB(0xfd000000, 5116, 1280, 800, 32, 1), FB(0xfd000000, 5122, 1280, 800, 32, 1),
		FB(0xfd000002, 5120, 1280, 800, 32, 1), FB(0xfd000000, 5120, 1280, 31, 32, 1),
		FB(0xfd000000, 5120, 7, 800, 32, 1),	FB(~0ull - 3, 5120, 1280, 800, 32, 1),
		FB(0xfd000000, ~3u, 1280, 800, 32, 1),	FB(0xfd000000, 5120, ~0u, 800, 32, 1),
		FB(0xb8000, 0, 0, 25, 16, 2),		FB(0xb8000, 160, 80, 1, 16, 2),
		FB(0xb8000, 160, 80, 25, 0, 2),
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		with_framebuffer(cases[i]);
		if (b.screen.bytes)
			fail_msg("case %u is taken for a screen", i);
	}
}

static void every_truncation_and_random_damage_is_survived(void **state)
{
	u8 whole[sizeof(buf)];
	u32 size;

	good();
	end_tag();
	size = used;
	memcpy(whole, buf, size);
	for (used = 8; used < size; used++) {
		memset(&b, 0, sizeof(b));
		parse();
		assert_true(b.error[0]);
	}
	srand(2);
	for (u32 round = 0; round < 20000; round++) {
		memset(&b, 0, sizeof(b));
		memcpy(buf, whole, size);
		for (u32 i = 0; i < 4; i++)
			buf[8 + rand() % (size - 8)] = (u8)rand();
		used = size;
		parse();
		for (u32 i = 0; i < b.ram.count; i++)
			assert_true(IS_ALIGNED(b.ram.r[i].start | b.ram.r[i].end, PAGE_SIZE));
		assert_true(b.modules <= BOOT_MAX_MODULES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_one_is_read_whole),
		cmocka_unit_test(the_new_rsdp_wins_in_either_order),
		cmocka_unit_test(reserved_wins_over_available),
		cmocka_unit_test(unknown_tags_are_skipped),
		cmocka_unit_test(usable_ranges_are_aligned_inwards_others_outwards),
		cmocka_unit_test(bad_modules_are_refused),
		cmocka_unit_test(bad_text_is_refused_or_replaced),
		cmocka_unit_test(broken_tags_are_refused),
		cmocka_unit_test(no_memory_and_bad_totals_are_refused),
		cmocka_unit_test(a_framebuffer_or_vga_text_is_the_screen),
		cmocka_unit_test(a_screen_is_never_usable_memory),
		cmocka_unit_test(a_large_screen_is_used_as_far_as_it_can_be_mapped),
		cmocka_unit_test(a_refusal_has_a_screen),
		cmocka_unit_test(a_screen_that_cannot_be_used_is_none),
		cmocka_unit_test(every_truncation_and_random_damage_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
