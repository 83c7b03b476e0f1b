// SOURCES:
// CFLAGS: -DCAISSON_DEBUG -DUNIT_TESTING
/* The debug check that a frame's last mapping was flushed everywhere before the frame is freed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "mm/unmap_epoch.h"

struct cpu *cpus[MAX_CPUS];
u32 cpu_count = 3;
u64 unmap_epoch;

static struct cpu cpu[3];

void assert_fail(const char *expr, const char *file, int line)
{
	mock_assert(0, expr, file, line);
	abort();
}

static int setup(void **state)
{
	for (u32 i = 0; i < 3; i++) {
		cpu[i] = (struct cpu){.id = i};
		cpus[i] = &cpu[i];
	}
	unmap_epoch = 0;
	return 0;
}

static void flushed_by_every_cpu_that_mapped_it(void **state)
{
	struct unmap_stamp s = {0};

	unmap_stamp_note(&s, 1 << 0 | 1 << 2);
	unmap_flushing(&cpu[0]);
	unmap_flushing(&cpu[2]);
	unmap_stamp_check(&s); /* CPU 1 never mapped it */
}

static void never_mapped_needs_no_flush(void **state)
{
	struct unmap_stamp s = {0};

	unmap_epoch = 7;
	unmap_stamp_check(&s);
}

static void each_cpu_answers_for_its_own_removal(void **state)
{
	struct unmap_stamp s = {0};

	unmap_stamp_note(&s, 1 << 1);
	unmap_flushing(&cpu[1]);
	unmap_stamp_note(&s, 1 << 0); /* CPU 1 has nothing to flush any more */
	unmap_flushing(&cpu[0]);
	unmap_stamp_check(&s);
}

static void a_forgotten_flush_is_found(void **state)
{
	struct unmap_stamp s = {0};

	unmap_stamp_note(&s, 1 << 0 | 1 << 1);
	unmap_flushing(&cpu[0]);
	expect_assert_failure(unmap_stamp_check(&s));
}

static void a_flush_before_the_removal_does_not_count(void **state)
{
	struct unmap_stamp s = {0};

	unmap_flushing(&cpu[1]);
	unmap_stamp_note(&s, 1 << 1);
	expect_assert_failure(unmap_stamp_check(&s));
	unmap_flushing(&cpu[1]);
	unmap_stamp_check(&s);
}

static void the_last_of_several_removals_counts(void **state)
{
	struct unmap_stamp s = {0};

	unmap_stamp_note(&s, 1 << 0);
	unmap_flushing(&cpu[0]);
	unmap_stamp_note(&s, 1 << 0);
	expect_assert_failure(unmap_stamp_check(&s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(flushed_by_every_cpu_that_mapped_it, setup),
		cmocka_unit_test_setup(never_mapped_needs_no_flush, setup),
		cmocka_unit_test_setup(each_cpu_answers_for_its_own_removal, setup),
		cmocka_unit_test_setup(a_forgotten_flush_is_found, setup),
		cmocka_unit_test_setup(a_flush_before_the_removal_does_not_count, setup),
		cmocka_unit_test_setup(the_last_of_several_removals_counts, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
