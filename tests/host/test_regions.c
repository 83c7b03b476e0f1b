// SOURCES: boot/regions.c
/* Usable RAM: adding, joining, taking away, aligning; random lists against a model with a flag per block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/regions.h"

#define BLOCK 0x800ull /* half a page, so that alignment matters */
#define BLOCKS 256

static struct bootinfo b;

static void expect(const struct boot_region *want, u32 n)
{
	assert_int_equal(b.regions, n);
	for (u32 i = 0; i < n; i++) {
		assert_int_equal(b.region[i].start.v, want[i].start.v);
		assert_int_equal(b.region[i].bytes, want[i].bytes);
	}
}

static int reset(void **state)
{
	memset(&b, 0, sizeof(b));
	return 0;
}

static void sorts_and_joins_what_overlaps_or_touches(void **state)
{
	regions_add(&b, 0x9000, 0x1000);
	regions_add(&b, 0x1000, 0x1000);
	regions_add(&b, 0x2000, 0x1000);
	regions_add(&b, 0x8000, 0x1800);
	regions_add(&b, 0x8000, 0);
	regions_merge(&b);
	expect((struct boot_region[]){{{0x1000}, 0x2000}, {{0x8000}, 0x2000}}, 2);
}

static void a_region_that_wraps_is_dropped_and_counted(void **state)
{
	regions_add(&b, ~0ull - 0xfff, 0x2000);
	assert_int_equal(b.regions, 0);
	assert_int_equal(b.regions_dropped, 1);
}

static void more_than_the_list_holds_is_counted(void **state)
{
	for (u64 i = 0; i < BOOT_MAX_REGIONS + 3; i++)
		regions_add(&b, i * 0x4000, 0x2000);
	assert_int_equal(b.regions, BOOT_MAX_REGIONS);
	assert_int_equal(b.regions_dropped, 3);
	regions_subtract(&b, 0x800, 0x100); /* no room for the second part */
	assert_int_equal(b.regions, BOOT_MAX_REGIONS);
	assert_int_equal(b.regions_dropped, 4);
}

static void subtracts_ends_middle_and_whole(void **state)
{
	regions_add(&b, 0x10000, 0x10000);
	regions_add(&b, 0x30000, 0x10000);
	regions_subtract(&b, 0xf000, 0x2000);	/* front */
	regions_subtract(&b, 0x1f000, 0x12000); /* end of one, front of the next */
	regions_subtract(&b, 0x14000, 0x1000);	/* hole */
	regions_subtract(&b, 0x50000, 0x1000);	/* beside */
	expect((struct boot_region[]){{{0x11000}, 0x3000}, {{0x15000}, 0xa000}, {{0x31000}, 0xf000}}, 3);
	regions_subtract(&b, 0x10000, ~0ull); /* wraps: to the end */
	expect(NULL, 0);
}

static void aligns_inwards_and_drops_what_is_empty(void **state)
{
	regions_add(&b, 0x1001, 0x2fff);
	regions_add(&b, 0x8001, 0x1ffe);
	regions_add(&b, ~0ull - 0x100, 0x80);
	regions_align(&b);
	expect((struct boot_region[]){{{0x2000}, 0x2000}}, 1);
}

static void contains_only_what_one_region_covers(void **state)
{
	regions_add(&b, 0x1000, 0x3000);
	assert_true(regions_contain(&b, 0x1000, 0x3000));
	assert_true(regions_contain(&b, 0x3000, 0x1000));
	assert_false(regions_contain(&b, 0x3000, 0x1001));
	assert_false(regions_contain(&b, 0, 0x1001));
	assert_false(regions_contain(&b, 0x2000, ~0ull));
}

static void agrees_with_a_model_on_random_lists(void **state)
{
	bool model[BLOCKS];

	srand(1);
	for (u32 round = 0; round < 2000; round++) {
		memset(&b, 0, sizeof(b));
		memset(model, 0, sizeof(model));
		for (u32 i = 0, n = rand() % 12; i < n; i++) {
			u32 at = rand() % BLOCKS, len = rand() % (BLOCKS - at);

			regions_add(&b, at * BLOCK, len * BLOCK);
			memset(model + at, 1, len);
		}
		regions_merge(&b);
		for (u32 i = 0, n = rand() % 12; i < n; i++) {
			u32 at = rand() % BLOCKS, len = rand() % (BLOCKS - at);

			regions_subtract(&b, at * BLOCK, len * BLOCK);
			memset(model + at, 0, len);
		}
		regions_align(&b);
		for (u32 page = 0; page < BLOCKS / 2; page++)
			assert_int_equal(regions_contain(&b, page * PAGE_SIZE, PAGE_SIZE),
					 model[2 * page] && model[2 * page + 1]);
		for (u32 i = 1; i < b.regions; i++)
			assert_true(b.region[i - 1].start.v + b.region[i - 1].bytes <= b.region[i].start.v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(sorts_and_joins_what_overlaps_or_touches, reset),
		cmocka_unit_test_setup(a_region_that_wraps_is_dropped_and_counted, reset),
		cmocka_unit_test_setup(more_than_the_list_holds_is_counted, reset),
		cmocka_unit_test_setup(subtracts_ends_middle_and_whole, reset),
		cmocka_unit_test_setup(aligns_inwards_and_drops_what_is_empty, reset),
		cmocka_unit_test_setup(contains_only_what_one_region_covers, reset),
		cmocka_unit_test_setup(agrees_with_a_model_on_random_lists, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
