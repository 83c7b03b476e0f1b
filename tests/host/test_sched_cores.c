// SOURCES: lib/rbtree.c kernel/sched_group.c kernel/sched_core.c
/*
 * Core scheduling in simulated time: threads of VMs that compute and sleep at random, on cores of
 * two or four CPUs. No two VMs are ever on one core; each gets its share of CPU time, also one that
 * has a single thread and so leaves the core's other CPUs idle; nobody waits without bound.
 */
#include "hv/lock.h"

/* Queues of others that were looked at. */
static unsigned queues_tried;
#define spin_trylock(lock) (queues_tried++, spin_trylock(lock))

#include "sched_machine.h"

static const struct vm_kind crowd[] = {
	{1, 100, 20000, 3000, 0, 0}, {2, 400, 30000, 0, 0, 0},
	{4, 100, 300, 300, 0, 0},    {3, 50, 10000, 20000, 0, 0},
	{8, 100, 100, 2000, 0, 0},   {2, 100, 5000, 500, 3, 0},
	{1, 100, 5000, 0, 2, 0},     {2, 100, 5000, 0, 0, 5000ull << 32 | 20000},
};

static void no_two_vms_are_on_one_core(void **state)
{
	static const u32 cores[][2] = {{2, 2}, {4, 2}, {8, 4}, {8, 2}, {3, 2}};

	for (u32 i = 0; i < ARRAY_SIZE(cores); i++)
		for (u64 seed = 0; seed < SEEDS; seed++) {
			set_up(seed, cores[i][0], cores[i][1], true, crowd, ARRAY_SIZE(crowd));
			play();
			if (together)
				fail_msg("%u CPUs, %u a core, seed %lu: got %lu moments with two "
					 "VMs on a core, expected none",
					 cores[i][0], cores[i][1], seed, together);
			if (longest_wait() > 400 * MS)
				fail_msg("%u CPUs, %u a core, seed %lu: a thread waited %lu ms, "
					 "expected at most 400",
					 cores[i][0], cores[i][1], seed,
					 (u64)(longest_wait() / MS));
		}
}

static void without_the_option_they_are(void **state)
{
	set_up(1, 4, 2, false, crowd, ARRAY_SIZE(crowd));
	play();
	assert_true(together);
}

/* Of one core, which all want all the time, with one, two and three threads: CPU time by weight. */
static void each_vm_gets_its_share_of_a_core(void **state)
{
	static const struct vm_kind kinds[] = {{1, 100, 0, 0, 0, 0},
					       {2, 200, 0, 0, 0, 0},
					       {1, 400, 0, 0, 0, 0},
					       {3, 800, 0, 0, 0, 0}};

	for (u64 seed = 0; seed < SEEDS; seed++) {
		u64 all = 0;

		set_up(seed, 2, 2, true, kinds, ARRAY_SIZE(kinds));
		play();
		for (u32 v = 0; v < ARRAY_SIZE(kinds); v++)
			all += total_of(v);
		for (u32 v = 0; v < ARRAY_SIZE(kinds); v++) {
			double got = (double)total_of(v) * 1500 / (double)all / kinds[v].weight;

			if (got < 0.97 || got > 1.03)
				fail_msg("seed %lu: VM %u got %.3f of its share, expected all",
					 seed, v, got);
		}
	}
}

/*
 * A VM makes one of its threads heavy, to come first, and another light, to run beside it for
 * nothing.
 */
static void who_runs_beside_has_his_group_pay(void **state)
{
	static const struct vm_kind kinds[] = {{2, 100, 0, 0, 0, 0}, {1, 100, 0, 0, 0, 0}};
	u64 percent;

	set_up(1, 2, 2, true, kinds, ARRAY_SIZE(kinds));
	actor[0].t.weight = WEIGHT_MAX;
	actor[1].t.weight = 1;
	play();
	percent = total_of(0) * 100 / (total_of(0) + total_of(1));
	if (percent > 52)
		fail_msg("got %lu%% of the CPU time, expected half", percent);
}

/* Two VMs with as many threads as a core has CPUs: each soon has a core for itself. */
static void threads_of_a_vm_find_each_other(void **state)
{
	static const struct vm_kind kinds[] = {{2, 100, 0, 0, 0, 0}, {2, 100, 0, 0, 0, 0}};

	for (u64 seed = 0; seed < SEEDS; seed++) {
		u64 used;

		set_up(seed, 4, 2, true, kinds, ARRAY_SIZE(kinds));
		play();
		used = (total_of(0) + total_of(1)) * 100 / (4 * (PLAY_NS - BEGIN_NS));
		if (used < 95)
			fail_msg("seed %lu: got %lu%% of the CPUs used, expected nearly all", seed,
				 used);
	}
}

/* It sleeps most of the time; two VMs with two threads each never do. */
static void who_wakes_up_has_its_turn_before_the_others_end(void **state)
{
	static const struct vm_kind kinds[] = {
		{2, 100, 0, 0, 0, 0}, {2, 100, 0, 0, 0, 0}, {1, 100, 10, 3000, 0, 0}};

	for (u64 seed = 0; seed < SEEDS; seed++) {
		u64 worst = 0;

		set_up(seed, 2, 2, true, kinds, ARRAY_SIZE(kinds));
		play_until(BEGIN_NS);
		while (now_ns < PLAY_NS) {
			struct actor *a = &actor[4];

			if (a->wants_since)
				worst = MAX(worst, now_ns - a->wants_since);
			advance();
		}
		if (worst > PROMPT_NS)
			fail_msg("seed %lu: got %lu us late, expected far less than a slice", seed,
				 worst / 1000);
	}
}

static void a_cap_holds_on_a_core(void **state)
{
	static const struct vm_kind kinds[] = {{2, 100, 0, 0, 0, 25000ull << 32 | 100000},
					       {1, 100, 0, 0, 0, 0}};
	u64 percent;

	set_up(1, 2, 2, true, kinds, ARRAY_SIZE(kinds));
	play();
	percent = total_of(0) * 1000 / (PLAY_NS - BEGIN_NS);
	if (percent < 247 || percent > 253)
		fail_msg("got %lu/1000 of a CPU, expected 250", percent);
}

/* It has waited in HLT there, and stayed loaded. */
static void wait_on(struct actor *a, u32 n)
{
	a->t.cpu = n;
	a->t.state = THREAD_BLOCKED;
	cpu[n].vcpu = &a->vcpu;
	a->vcpu.cpu = (s32)n;
}

/* Two VMs whose vCPUs waited on the CPUs of one core begin to compute, and another core idles. */
static void a_vcpu_that_waits_for_its_turn_is_free_to_go(void **state)
{
	static const struct vm_kind kinds[] = {{1, 100, 0, 0, 0, 0}, {1, 100, 0, 0, 0, 0}};

	set_up(1, 4, 2, true, kinds, ARRAY_SIZE(kinds));
	wait_on(&actor[0], 0);
	wait_on(&actor[1], 1);
	play();
	for (u32 v = 0; v < ARRAY_SIZE(kinds); v++)
		if (total_of(v) * 100 < 95 * (PLAY_NS - BEGIN_NS))
			fail_msg("VM %u got %lu%% of a CPU, expected nearly all", v,
				 (u64)(total_of(v) * 100 / (PLAY_NS - BEGIN_NS)));
}

/* Where nobody of another VM wants the core, one vCPU's lead keeps no CPU idle. */
static void a_vm_alone_has_all_its_cpus(void **state)
{
	static const struct vm_kind kinds[] = {{3, 100, 0, 0, 0, 0}};

	set_up(1, 2, 2, true, kinds, ARRAY_SIZE(kinds));
	actor[0].t.affinity = 1;
	actor[1].t.affinity = actor[2].t.affinity = 2;
	play();
	if (actor[0].total * 100 < 99 * (PLAY_NS - BEGIN_NS))
		fail_msg("got %lu%% of its CPU, expected all",
			 (u64)(actor[0].total * 100 / (PLAY_NS - BEGIN_NS)));
}

/* Threads of one VM wait on another core, which they may not leave. */
static void who_looks_for_a_thread_looks_at_each_core_once(void **state)
{
	static const struct vm_kind kinds[] = {{6, 100, 0, 0, 0xf0, 0}};
	struct run_queue *q;

	set_up(1, 8, 4, true, kinds, ARRAY_SIZE(kinds));
	play_until(BEGIN_NS);
	on_cpu(0);
	q = cpu[0].queue;
	assert_int_not_equal(cpu[7].queue->queued, 0);
	queues_tried = 0;
	spin_lock(&q->lock);
	assert_null(sched_steal(q, NULL));
	spin_unlock(&q->lock);
	if (queues_tried != 1)
		fail_msg("got %u looks at the other core's queue, expected 1", queues_tried);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_two_vms_are_on_one_core),
		cmocka_unit_test(without_the_option_they_are),
		cmocka_unit_test(each_vm_gets_its_share_of_a_core),
		cmocka_unit_test(who_runs_beside_has_his_group_pay),
		cmocka_unit_test(threads_of_a_vm_find_each_other),
		cmocka_unit_test(who_wakes_up_has_its_turn_before_the_others_end),
		cmocka_unit_test(a_cap_holds_on_a_core),
		cmocka_unit_test(a_vcpu_that_waits_for_its_turn_is_free_to_go),
		cmocka_unit_test(a_vm_alone_has_all_its_cpus),
		cmocka_unit_test(who_looks_for_a_thread_looks_at_each_core_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
