// SOURCES: mm/ucopy.c
/* No pointer of ring 3 makes the kernel copy from or to anything above user memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_cpu.h"
#include "hv/facts.h"
#include "mm/ucopy.h"
#include "uapi/abi.h"
#include "uapi/layout.h"

struct cpu_facts cpu_facts;
const char ucopy_fault[1];

static struct {
	u64 dst, src, bytes, fixup;
	u32 calls;
	s64 result;
} copied;

s64 ucopy_words(void *dst, const void *src, size_t n);
s64 ucopy_words(void *dst, const void *src, size_t n)
{
	copied.dst = (u64)dst;
	copied.src = (u64)src;
	copied.bytes = n;
	copied.fixup = fake_cpu.fixup_rip;
	copied.calls++;
	return copied.result;
}

static int setup(void **state)
{
	fake_cpu_install(NULL);
	copied.calls = 0;
	copied.result = 0;
	return 0;
}

static void ranges_that_leave_user_memory_are_refused(void **state)
{
	static const struct {
		u64 user, bytes;
		bool good;
	} cases[] = {
		{USER_VA_MIN, 8, true},
		{USER_VA_MAX - 8, 8, true},
		{USER_VA_MIN, USER_VA_MAX - USER_VA_MIN, true},
		{USER_VA_MAX - 8, 9, false},
		{USER_VA_MAX, 1, false},
		{USER_VA_MAX, 0, false},
		{DIRECT_BASE, 8, false},
		{~0ull, 1, false},
		{~7ull, 16, false}, /* wraps to 0 */
		{USER_VA_MIN, ~0ull, false},
		{USER_VA_MIN, USER_VA_MAX, false},
	};
	char kernel;

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		u32 calls = copied.calls;
		int want = cases[i].good ? 0 : -E_FAULT;

		assert_int_equal(ucopy_in(&kernel, cases[i].user, cases[i].bytes), want);
		assert_int_equal(ucopy_out(cases[i].user, &kernel, cases[i].bytes), want);
		assert_int_equal(copied.calls - calls, cases[i].good ? 2 : 0);
	}
}

static void each_direction_has_its_ends(void **state)
{
	char kernel;

	assert_int_equal(ucopy_in(&kernel, 0x5000, 3), 0);
	assert_int_equal(copied.dst, &kernel);
	assert_int_equal(copied.src, 0x5000);
	assert_int_equal(copied.bytes, 3);
	assert_int_equal(ucopy_out(0x6000, &kernel, 4), 0);
	assert_int_equal(copied.dst, 0x6000);
	assert_int_equal(copied.src, &kernel);
	assert_int_equal(copied.bytes, 4);
}

/* A fault is only fixed up while the copy runs: elsewhere in ring 0 it stays a bug. */
static void a_fault_ends_the_copy_and_the_fixup_with_it(void **state)
{
	char kernel;

	copied.result = -E_FAULT;
	assert_int_equal(ucopy_in(&kernel, 0x5000, 1), -E_FAULT);
	assert_int_equal(copied.fixup, ucopy_fault);
	assert_int_equal(fake_cpu.fixup_rip, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ranges_that_leave_user_memory_are_refused, setup),
		cmocka_unit_test_setup(each_direction_has_its_ends, setup),
		cmocka_unit_test_setup(a_fault_ends_the_copy_and_the_fixup_with_it, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
