// SOURCES: lib/rbtree.c
/* A timer that is cancelled on one CPU while its function runs, and arms it again, on another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <asm/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hv/lock.h"
#include "hv/up.h"

static void other_cpu_goes_on(void);
#define up_spin_wait other_cpu_goes_on
#include "kernel/timer.c"

#define CPUS 2u
#define PERIOD_NS 200000ull

static struct cpu cpu[CPUS];
static u64 now_ns;
static u32 fired, spins;
static bool arms_again;
static struct timer timer;

u64 clock_ns(void) { return now_ns; }
u64 clock_to_tsc(u64 ns) { return ns; }
void lapic_timer_set(u64 tsc) {}
void assert_fail(const char *expr, const char *file, int line) { abort(); }

static void on_cpu(u32 n) { syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu[n]); }

/* What CPU 0 does while CPU 1 waits in timer_cancel: it comes to the end of the function. */
static void other_cpu_goes_on(void)
{
	spins++;
	on_cpu(0);
	if (arms_again)
		timer_arm(&timer, now_ns + PERIOD_NS);
	__atomic_store_n(&bases[0].running, NULL, __ATOMIC_RELEASE);
	on_cpu(1);
}

static void count(struct timer *t) { fired++; }

static void is_cancelled(struct timer *t)
{
	fired++;
	on_cpu(1);
	timer_cancel(t);
	on_cpu(0);
}

static void start(void (*fn)(struct timer *t))
{
	for (u32 i = 0; i < CPUS; i++)
		cpu[i] = (struct cpu){.self = &cpu[i], .id = i};
	now_ns = 1000;
	fired = spins = 0;
	timer = (struct timer){.fn = fn};
	on_cpu(0);
}

static void fires_at_its_deadline_once(void **state)
{
	start(count);
	timer_arm(&timer, now_ns + PERIOD_NS);
	up_timer_interrupt();
	assert_int_equal(fired, 0);
	now_ns += PERIOD_NS;
	up_timer_interrupt();
	up_timer_interrupt();
	assert_int_equal(fired, 1);
	assert_false(timer.armed);
}

static void cancelled_within_its_function_it_stays_so(void **state)
{
	for (u32 again = 0; again < 2; again++) {
		start(is_cancelled);
		arms_again = again;
		timer_arm(&timer, now_ns);
		up_timer_interrupt();
		assert_int_equal(fired, 1);
		assert_int_equal(spins, 1);
		assert_false(timer.armed);
		now_ns += 2 * PERIOD_NS;
		up_timer_interrupt();
		assert_int_equal(fired, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fires_at_its_deadline_once),
		cmocka_unit_test(cancelled_within_its_function_it_stays_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
