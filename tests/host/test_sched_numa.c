// SOURCES: lib/rbtree.c kernel/sched_group.c kernel/sched_core.c
/* Four CPUs on three NUMA nodes: who wakes up or has no work looks at the nearest first. */
#include "sched_machine.h"

#define CPUS 4u

/* By the numbers of nodes and CPUs it would be another order. */
static const struct numa nodes = {.nodes = 3,
				  .distance = {{10, 20, 40}, {20, 10, 30}, {40, 30, 10}}};
static const u32 node_of[CPUS] = {0, 2, 1, 0};
static const u8 nearest[CPUS][CPUS] = {{0, 3, 2, 1}, {1, 2, 3, 0}, {2, 3, 0, 1}, {3, 0, 2, 1}};

/* The first may run anywhere, as may the second to the fifth; the others are for CPU 0 to 3. */
enum { SLEEPER, WAITING = 1, BUSY = 5 };
static const struct vm_kind kinds[] = {{1, 100, 0, 0, 0, 0}, {4, 100, 0, 0, 0, 0},
				       {1, 100, 0, 0, 1, 0}, {1, 100, 0, 0, 2, 0},
				       {1, 100, 0, 0, 4, 0}, {1, 100, 0, 0, 8, 0}};

/* The CPUs of the mask have work of their own, the others sleep. */
static void set_up_nodes(u64 busy)
{
	set_up(1, CPUS, 1, false, kinds, ARRAY_SIZE(kinds));
	for (u32 i = 0; i < CPUS; i++)
		cpu[i].node = node_of[i];
	sched_order_cpus(&nodes);
	for (u32 i = 0; i < CPUS; i++) {
		if (busy >> i & 1)
			wake_up(&actor[BUSY + i]);
		look(i);
		assert_int_equal(running(i) != &idle[i], busy >> i & 1);
	}
	on_cpu(0);
}

static void each_cpu_knows_the_nearest_first(void **state)
{
	set_up_nodes(0);
	for (u32 i = 0; i < CPUS; i++)
		assert_memory_equal(own[i].near, nearest[i], CPUS);
}

static void who_wakes_goes_to_the_nearest_cpu_that_sleeps(void **state)
{
	struct thread *t = &actor[SLEEPER].t;

	for (u32 from = 0; from < CPUS; from++) {
		u64 busy = 0;

		for (u32 i = 0; i < CPUS; i++) {
			u32 expected = nearest[from][i];

			set_up_nodes(busy);
			t->state = THREAD_BLOCKED;
			t->cpu = from;
			thread_wake(t);
			if (t->cpu != expected)
				fail_msg("from CPU %u with %#lx busy: got CPU %u, expected %u",
					 from, busy, t->cpu, expected);
			busy |= BIT(expected);
		}
	}
}

static void who_has_no_work_takes_it_from_the_nearest(void **state)
{
	for (u32 me = 0; me < CPUS; me++) {
		set_up_nodes(BIT(CPUS) - 1 - BIT(me));
		for (u32 i = 0; i < CPUS; i++)
			if (i != me) {
				actor[WAITING + i].t.cpu = i;
				actor[WAITING + i].t.state = THREAD_WAKING;
				make_runnable(&actor[WAITING + i].t);
			}
		on_cpu(me);
		for (u32 i = 1; i < CPUS; i++) {
			struct thread *t;

			spin_lock(&queues[me].lock);
			t = sched_steal(&queues[me], NULL);
			spin_unlock(&queues[me].lock);
			if (t != &actor[WAITING + nearest[me][i]].t)
				fail_msg("CPU %u: got the thread of %ld, expected that of %u", me,
					 t ? container_of(t, struct actor, t) - actor - WAITING
					   : -1l,
					 nearest[me][i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_cpu_knows_the_nearest_first),
		cmocka_unit_test(who_wakes_goes_to_the_nearest_cpu_that_sleeps),
		cmocka_unit_test(who_has_no_work_takes_it_from_the_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
