// SOURCES: vmm/vm_clock.c
/* The VM's clock: it stands while the VM does, and goes on without a step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "user/rt.h"
#include "vmm/vm_clock.h"

#define S 1000000000ull

/* A host whose TSC counts three ticks a nanosecond, and 7 more. */
static u64 host_ns;

u64 rt_clock_tsc(u64 *tsc)
{
	*tsc = host_ns * 3 + 7;
	return host_ns;
}

u64 rt_clock_ns(void) { return host_ns; }

static struct vm_clock vm;

static int setup(void **state)
{
	host_ns = 5 * S;
	vm_clock_init(&vm);
	return 0;
}

static void it_begins_at_0_and_runs_with_the_host(void **state)
{
	assert_int_equal(vm_clock_now(&vm), 0);
	assert_false(vm_clock_stands(&vm));
	host_ns += 12345;
	assert_int_equal(vm_clock_now(&vm), 12345);
}

static void it_stands_and_goes_on_there(void **state)
{
	host_ns += 12345;
	vm_clock_stop(&vm);
	assert_true(vm_clock_stands(&vm));
	host_ns += 3600 * S;
	assert_int_equal(vm_clock_now(&vm), 12345);
	vm_clock_go(&vm);
	assert_false(vm_clock_stands(&vm));
	assert_int_equal(vm_clock_now(&vm), 12345);
	host_ns += 1;
	assert_int_equal(vm_clock_now(&vm), 12346);
}

/* A guest's TSC is the host's plus an offset: what is taken from it by each pause. */
static void its_origin_moves_by_what_the_tsc_is_held_back(void **state)
{
	u64 offset = 1ull << 40, since = vm.start_tsc + offset;

	for (u32 i = 1; i <= 100; i++) {
		struct vm_clock_stood before = vm.stood;

		host_ns += 1000;
		vm_clock_stop(&vm);
		host_ns += i * S + i;
		vm_clock_go(&vm);
		offset -= vm.stood.tsc - before.tsc;
		assert_int_equal(vm.stood.ns - before.ns, i * S + i);
		assert_int_equal(vm.start_tsc + offset, since);
		assert_int_equal(host_ns * 3 + 7 + offset - since, i * 1000 * 3);
		assert_int_equal(vm_clock_now(&vm), i * 1000);
	}
}

/* 0 would mean that it runs. */
static void it_can_stand_at_its_beginning(void **state)
{
	vm_clock_stop(&vm);
	assert_true(vm_clock_stands(&vm));
	host_ns += S;
	assert_in_range(vm_clock_now(&vm), 0, 1);
	vm_clock_go(&vm);
	assert_int_equal(vm_clock_now(&vm), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(it_begins_at_0_and_runs_with_the_host, setup),
		cmocka_unit_test_setup(it_stands_and_goes_on_there, setup),
		cmocka_unit_test_setup(its_origin_moves_by_what_the_tsc_is_held_back, setup),
		cmocka_unit_test_setup(it_can_stand_at_its_beginning, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
