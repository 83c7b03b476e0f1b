// SOURCES: lib/ranges.c
/*
 * Lists of ranges: adding, taking away, a full list; random lists against a model with a flag per
 * unit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/ranges.h"

#define UNITS 256

static struct ranges l;

static void expect(const struct range *want, u32 n)
{
	assert_int_equal(l.count, n);
	for (u32 i = 0; i < n; i++) {
		assert_int_equal(l.r[i].start, want[i].start);
		assert_int_equal(l.r[i].end, want[i].end);
	}
}

static int reset(void **state)
{
	memset(&l, 0, sizeof(l));
	return 0;
}

static void is_sorted_and_without_overlap(void **state)
{
	ranges_add(&l, 0x9000, 0xa000);
	ranges_add(&l, 0x1000, 0x2000);
	ranges_add(&l, 0x8000, 0x9800);
	ranges_add(&l, 0x8000, 0x8000);
	ranges_add(&l, 0x9000, 0x8000);
	expect((struct range[]){{0x1000, 0x2000}, {0x8000, 0x9800}, {0x9800, 0xa000}}, 3);
}

static void what_finds_no_room_is_counted(void **state)
{
	for (u64 i = 0; i < RANGES_MAX + 3; i++)
		ranges_add(&l, i * 0x4000, i * 0x4000 + 0x2000);
	assert_int_equal(l.count, RANGES_MAX);
	assert_int_equal(l.dropped, 3);
	ranges_remove(&l, 0x800, 0x900); /* no room for the second part */
	assert_int_equal(l.count, RANGES_MAX);
	assert_int_equal(l.dropped, 4);
}

static void takes_away_ends_middle_and_whole(void **state)
{
	ranges_add(&l, 0x10000, 0x20000);
	ranges_add(&l, 0x30000, 0x40000);
	ranges_remove(&l, 0xf000, 0x11000);  /* front */
	ranges_remove(&l, 0x1f000, 0x31000); /* end of one, front of the next */
	ranges_remove(&l, 0x14000, 0x15000); /* hole */
	ranges_remove(&l, 0x50000, 0x51000); /* beside */
	ranges_remove(&l, 0x16000, 0x16000); /* nothing */
	expect((struct range[]){{0x11000, 0x14000}, {0x15000, 0x1f000}, {0x31000, 0x40000}}, 3);
	ranges_remove(&l, 0x10000, ~0ull);
	expect(NULL, 0);
}

static void counts_the_bytes_of_ranges_side_by_side(void **state)
{
	ranges_add(&l, 0x1000, 0x3000);
	ranges_add(&l, 0x3000, 0x4000);
	assert_int_equal(ranges_bytes(&l, 0x1000, 0x4000), 0x3000);
	assert_int_equal(ranges_bytes(&l, 0x2800, 0x3800), 0x1000);
	assert_int_equal(ranges_bytes(&l, 0x3000, 0x4001), 0x1000);
	assert_int_equal(ranges_bytes(&l, 0xfff, 0x1001), 1);
	assert_int_equal(ranges_bytes(&l, 0x9000, 0x9000), 0);
	assert_int_equal(ranges_bytes(&l, 0x2000, 0x1000), 0);
	assert_int_equal(ranges_bytes(&l, 0x3fff, 0x9000), 1);
	assert_int_equal(ranges_bytes(&l, 0x4000, 0x9000), 0);
	assert_int_equal(ranges_bytes(&l, 0, 0x1000), 0);
	assert_int_equal(ranges_bytes(&l, 0, ~0ull), 0x3000);
}

static void agrees_with_a_model_on_random_lists(void **state)
{
	bool model[UNITS];

	srand(1);
	for (u32 round = 0; round < 2000; round++) {
		memset(&l, 0, sizeof(l));
		memset(model, 0, sizeof(model));
		for (u32 i = 0, n = rand() % 24; i < n; i++) {
			u32 at = rand() % UNITS, end = at + rand() % (UNITS - at);
			bool add = rand() % 2;

			(add ? ranges_add : ranges_remove)(&l, at, end);
			memset(model + at, add, end - at);
		}
		for (u32 i = 0; i < UNITS; i++)
			assert_int_equal(ranges_bytes(&l, i, i + 1), model[i]);
		for (u32 i = 1; i < l.count; i++)
			assert_true(l.r[i - 1].end <= l.r[i].start);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(is_sorted_and_without_overlap, reset),
		cmocka_unit_test_setup(what_finds_no_room_is_counted, reset),
		cmocka_unit_test_setup(takes_away_ends_middle_and_whole, reset),
		cmocka_unit_test_setup(counts_the_bytes_of_ranges_side_by_side, reset),
		cmocka_unit_test_setup(agrees_with_a_model_on_random_lists, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
