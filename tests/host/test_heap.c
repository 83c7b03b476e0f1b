// SOURCES: user/heap.c
/*
 * The heap of ring-3 programs against a model: nothing overlaps, everything is zeroed, all of it
 * comes back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/assert.h"
#include "user/internal.h"
#include "user/rt.h"

static u32 arenas, arenas_max;
static void *arena[64];
static bool locked;

void *rt_pages(u64 bytes)
{
	assert_true(IS_ALIGNED(bytes, PAGE_SIZE));
	if (arenas == arenas_max)
		return NULL;
	return arena[arenas++] = calloc(1, bytes);
}

void rt_lock(struct rt_mutex *m)
{
	assert_false(locked);
	locked = true;
}

void rt_unlock(struct rt_mutex *m)
{
	assert_true(locked);
	locked = false;
}

void assert_fail(const char *expr, const char *file, int line)
{
	locked = false;
	mock_assert(0, expr, file, line);
	abort();
}

static int setup(void **state)
{
	arenas_max = 64;
	return 0;
}

static void small_blocks(void **state)
{
	u8 *a = rt_alloc(1), *b = rt_alloc(0), *c = rt_alloc(100);

	assert_true(a && b && c && a != b && b != c);
	assert_true(IS_ALIGNED((uintptr_t)a | (uintptr_t)b | (uintptr_t)c, 16));
	memset(c, 0xff, 100);
	rt_free(c);
	c = rt_alloc(100);
	for (u32 i = 0; i < 100; i++)
		assert_int_equal(c[i], 0);
	rt_free(a);
	rt_free(b);
	rt_free(c);
	rt_free(NULL);
	assert_int_equal(arenas, 1);
}

static void random_model(void **state)
{
	static struct {
		u8 *p;
		size_t n;
		u8 fill;
	} live[256];
	u64 seed = 3;

	for (u32 round = 0; round < 100000; round++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		u32 i = (u32)(seed >> 56);

		if (live[i].p) {
			for (size_t k = 0; k < live[i].n; k++)
				assert_int_equal(live[i].p[k], live[i].fill);
			rt_free(live[i].p);
			live[i].p = NULL;
			continue;
		}
		live[i].n = (seed >> 20) % (round % 50 ? 400 : 60000);
		live[i].fill = (u8)(seed >> 48);
		live[i].p = rt_alloc(live[i].n);
		assert_non_null(live[i].p);
		for (size_t k = 0; k < live[i].n; k++)
			assert_int_equal(live[i].p[k], 0);
		memset(live[i].p, live[i].fill, live[i].n);
	}
	for (u32 i = 0; i < 256; i++)
		rt_free(live[i].p);
	u32 before = arenas;
	u8 *whole = rt_alloc(MiB(1) - 64); /* all blocks joined again: one arena in one piece */
	assert_non_null(whole);
	assert_int_equal(arenas, before);
	rt_free(whole);
}

static void large_and_exhausted(void **state)
{
	u8 *big = rt_alloc(MiB(5));

	assert_non_null(big);
	memset(big, 1, MiB(5));
	rt_free(big);
	arenas_max = arenas;
	assert_null(rt_alloc(MiB(64)));
	assert_null(rt_alloc(~(size_t)0));
	assert_null(rt_alloc(~(size_t)0 - 20));
	assert_non_null(big = rt_alloc(MiB(4)));
	rt_free(big);
}

static void double_free_is_caught(void **state)
{
	void *p = rt_alloc(32), *keep = rt_alloc(32);

	rt_free(p);
	expect_assert_failure(rt_free(p));
	rt_free(keep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(small_blocks, setup),
		cmocka_unit_test_setup(random_model, setup),
		cmocka_unit_test_setup(large_and_exhausted, setup),
		cmocka_unit_test_setup(double_free_is_caught, setup),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	while (arenas)
		free(arena[--arenas]);
	return failed;
}
