// SOURCES: lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/ratelimit.h"

#define BURST 3u
#define PERIOD 10u

static void a_burst_passes_and_then_none(void **state)
{
	struct ratelimit r = {0};
	u32 dropped;

	for (u32 i = 0; i < BURST; i++)
		assert_true(ratelimit_pass(&r, 5, BURST, PERIOD, &dropped));
	assert_false(ratelimit_pass(&r, 5, BURST, PERIOD, &dropped));
	assert_false(ratelimit_pass(&r, 14, BURST, PERIOD, &dropped));
}

static void one_comes_back_each_period_and_tells_what_was_dropped(void **state)
{
	struct ratelimit r = {0};
	u32 dropped = 9, passed = 0;

	for (u64 now = 0; now < 1000; now++)
		passed += ratelimit_pass(&r, now, BURST, PERIOD, &dropped);
	assert_in_range(passed, BURST + 1000 / PERIOD - 1, BURST + 1000 / PERIOD);
	assert_int_equal(dropped, PERIOD - 1);
}

static void after_a_long_silence_no_more_than_a_burst(void **state)
{
	struct ratelimit r = {0};
	u32 dropped, passed = 0;

	for (u32 i = 0; i < 10; i++)
		passed += ratelimit_pass(&r, 0, BURST, PERIOD, &dropped);
	for (u32 i = 0; i < 10; i++)
		passed += ratelimit_pass(&r, ~0ull / 2, BURST, PERIOD, &dropped);
	assert_int_equal(passed, 2 * BURST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_passes_and_then_none),
		cmocka_unit_test(one_comes_back_each_period_and_tells_what_was_dropped),
		cmocka_unit_test(after_a_long_silence_no_more_than_a_burst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
