// SOURCES: lib/rbtree.c kernel/sched_group.c kernel/sched_core.c
/*
 * VMs that try to have more than their share, or than their cap: by runs that are too short to be
 * looked at, by threads that end and come anew; and who runs alone.
 */
#include "sched_machine.h"

static u64 permille_since(u32 v, u64 ns, u64 before)
{
	return (total_of(v) - before) * 1000 / (now_ns - ns);
}

/* As thread_set does it. */
static void set_cap(u32 v, u64 cap)
{
	on_cpu(1);
	sched_settle();
	assert_int_equal(sched_group_set_cap(vm[v].group, cap, now_ns), 0);
	sched_ask(3);
}

static void a_cap_holds_from_now_on_for_who_runs_alone(void **state)
{
	static const struct vm_kind kinds[] = {{1, 100, 0, 0, 1, 0}};

	set_up(1, 2, 1, false, kinds, ARRAY_SIZE(kinds));
	play_until(20000 * MS);
	set_cap(0, 50000ull << 32 | 100000);
	for (u32 second = 0; second < 5; second++) {
		u64 ns = now_ns, before = total_of(0), got;

		play_until(ns + 1000 * MS);
		got = permille_since(0, ns, before);
		if (got < 450 || got > 550)
			fail_msg("second %u: got %lu/1000 of a CPU, expected 500", second, got);
	}
}

/* Nothing happens on its CPU, and yet what it has had is known. */
static void who_runs_alone_is_charged_when_somebody_looks(void **state)
{
	static const struct vm_kind kinds[] = {{1, 100, 0, 0, 1, 0}};

	set_up(1, 2, 1, false, kinds, ARRAY_SIZE(kinds));
	for (u64 end = 3000 * MS; end < 10000 * MS; end += 1000 * MS) {
		play_until(end);
		sched_settle();
		assert_in_range(vm[0].cpu_ns, total_of(0) - 2 * MS, total_of(0));
	}
}

static void who_ran_alone_takes_turns_with_who_comes_later(void **state)
{
	static const struct vm_kind kinds[] = {{1, 100, 0, 0, 1, 0}, {1, 100, 0, 0, 1, 0}};
	u64 before;

	set_up(1, 2, 1, false, kinds, ARRAY_SIZE(kinds));
	actor[1].wake_at = 10000 * MS;
	play_until(10000 * MS);
	before = total_of(0);
	play_until(10100 * MS);
	assert_in_range(total_of(0) - before, 40 * MS, 60 * MS);
}

/* Woken by its own CPU or by the other, the second has the slices armed; and alone again, none. */
static void who_runs_alone_has_no_ticks(void **state)
{
	static const struct vm_kind kinds[] = {{1, 100, 0, 0, 1, 0}, {1, 100, 0, 0, 1, 0}};

	for (u32 from = 0; from < 2; from++) {
		set_up(1, 2, 1, false, kinds, ARRAY_SIZE(kinds));
		actor[1].wake_at = DEADLINE_NEVER;
		play_until(1000 * MS);
		assert_ptr_equal(running(0), &actor[0]);
		assert_false(own[0].slice.armed);
		assert_false(own[1].slice.armed);

		on_cpu(from);
		actor[1].run_left = 2 * MS;
		sched_start(&actor[1].t);
		look(0);
		assert_true(own[0].slice.armed);
		assert_in_range(own[0].slice.deadline, now_ns + 1, now_ns + SCHED_SLICE_NS);
		play_until(now_ns + 20 * MS);
		assert_in_range(total_of(1), 5 * MS, 15 * MS);

		while (running(0) != &actor[1])
			advance();
		on_cpu(0);
		thread_block_prepare();
		thread_block(DEADLINE_NEVER);
		play_until(now_ns + 2 * SCHED_SLICE_NS);
		assert_ptr_equal(running(0), &actor[0]);
		assert_false(own[0].slice.armed);
	}
}

/* Each run is over before its slice can be. */
static void short_runs_evade_no_cap(void **state)
{
	static const struct vm_kind kinds[] = {{1, 100, 40, 5, 1, 10000ull << 32 | 100000},
					       {1, 100, 40, 5, 2, 0}};
	u64 got;

	set_up(1, 2, 1, false, kinds, ARRAY_SIZE(kinds));
	play();
	got = total_of(0) * 1000 / (now_ns - BEGIN_NS);
	if (got < 90 || got > 110)
		fail_msg("got %lu/1000 of a CPU, expected 100", got);
	assert_true(vm[0].group->left_ns > -(s64)MS); /* nor run up debts */
}

static void threads_made_anew_have_no_more(void **state)
{
	static const struct vm_kind kinds[] = {{1, 100, 0, 0, 1, 0}, {1, 100, 4900, ANEW, 1, 0}};
	u64 got;

	set_up(1, 2, 1, false, kinds, ARRAY_SIZE(kinds));
	play();
	got = total_of(0) * 1000 / (total_of(0) + total_of(1));
	if (got < 480)
		fail_msg("got %lu/1000 for who computes on, expected half", got);
}

/* What the first VM, of which one thread begins, has of all that is computed. */
static u64 permille_of_relay(u32 on_cpus, const struct vm_kind *kinds, u32 n)
{
	u64 all = 0;

	set_up(1, on_cpus, 1, false, kinds, n);
	for (u32 t = 1; t < kinds->threads; t++)
		actor[t].wake_at = DEADLINE_NEVER;
	play();
	for (u32 v = 0; v < n; v++)
		all += total_of(v);
	assert_int_not_equal(all, 0);
	return total_of(0) * 1000 / all;
}

/*
 * One after the other of its threads runs, and wakes the next: each has slept, the group has not.
 */
static void take_turns(u32 how)
{
	static const u32 run[] = {200, 2000, 10000};

	for (u32 threads = 2; threads <= 8; threads *= 2)
		for (u32 i = 0; i < ARRAY_SIZE(run); i++) {
			const struct vm_kind kinds[] = {{threads, 100, run[i], how, 1, 0},
							{1, 100, 0, 0, 1, 0}};
			u64 got = permille_of_relay(2, kinds, ARRAY_SIZE(kinds));

			if (got < 490 || got > 510)
				fail_msg("%u threads, %u us each: got %lu/1000, expected half",
					 threads, run[i], got);
		}
}

static void who_takes_turns_with_himself_has_no_more(void **state)
{
	take_turns(RELAY);
	take_turns(RELAY_STOP);
	take_turns(RELAY_TIMER);
}

/* The same on several CPUs, with others that compute on on each. */
static void who_takes_turns_between_cpus_has_no_more(void **state)
{
	static const struct {
		u32 cpus, others, least, most;		/* of its share, in hundredths */
	} cases[] = {{2, 2, 75, 120}, {4, 8, 80, 110}}; /* of three, two don't fit on a CPU each */

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++)
		for (u32 threads = 2; threads <= 8; threads *= 2)
			for (u32 us = 200; us <= 40000; us = us * 17 / 10) {
				u32 vms = 1 + cases[i].others;
				struct vm_kind kinds[VMS_MAX] = {{threads, 100, us, RELAY, 0, 0}};
				u64 got;

				for (u32 v = 1; v < vms; v++)
					kinds[v] = (struct vm_kind){1, 100, 0, 0, 0, 0};
				got = permille_of_relay(cases[i].cpus, kinds, vms) * vms / 10;
				if (got < cases[i].least || got > cases[i].most)
					fail_msg("%u CPUs, %u threads, %u us each: got %lu/100",
						 cases[i].cpus, threads, us, got);
			}
}

/* Its threads go to another CPU and come back all the time, where another VM's has to stay. */
static void debts_are_not_lost_elsewhere(void **state)
{
	/* all compute; one after the other, moved at any time; or only in their sleep */
	static const u32 least[] = {900, 650, 600};

	for (u32 how = 0; how < ARRAY_SIZE(least); how++) {
		const struct vm_kind kinds[] = {{4, 100, 2000, how ? RELAY : 0, 0, 0},
						{1, 100, 0, 0, 1, 0}};
		u64 got;

		set_up(1, 2, 1, false, kinds, ARRAY_SIZE(kinds));
		for (u64 at = MS; at < PLAY_NS; at += MS) {
			play_until(at);
			for (u32 i = 0; i < kinds->threads; i++) {
				struct thread *t = &actor[i].t;

				if (rnd(2) && (how < 2 || t->state == THREAD_BLOCKED))
					sched_set_affinity(t, 1 + rnd(2));
			}
		}
		got = total_of(1) * 1000 / PLAY_NS;
		if (got < least[how])
			fail_msg("way %u: got %lu/1000 of a CPU, expected %u", how, got,
				 least[how]);
	}
}

/* On each of eight CPUs four of its threads take turns, and another VM computes. */
static void who_takes_turns_everywhere_has_no_more(void **state)
{
	for (u32 us = 200; us <= 20000; us = us * 17 / 10) {
		struct vm_kind kinds[9] = {{32, 100, us, RELAY, 0, 0}};
		u64 got;

		for (u32 v = 1; v < ARRAY_SIZE(kinds); v++)
			kinds[v] = (struct vm_kind){1, 100, 0, 0, BIT(v - 1), 0};
		set_up(1, 8, 1, false, kinds, ARRAY_SIZE(kinds));
		stride = 8;
		for (u32 i = 0; i < kinds->threads; i++)
			actor[i].t.affinity = BIT(i % stride);
		for (u32 i = stride; i < kinds->threads; i++)
			actor[i].wake_at = DEADLINE_NEVER;
		play();
		got = total_of(0) * 1000 / (PLAY_NS - BEGIN_NS);
		if (got < 870 || got > 910)
			fail_msg("%u us each: got %lu/1000 of a CPU, expected 8/9", us, got);
	}
}

/* Two CPUs, two VMs: each has one, however many threads the one wakes all the time. */
static void who_wakes_many_has_no_more(void **state)
{
	static const u32 run[] = {10, 40, 160};

	for (u32 threads = 2; threads <= 8; threads++)
		for (u32 i = 0; i < 2 * ARRAY_SIZE(run); i++) {
			const struct vm_kind kinds[] = {{threads, 100, run[i / 2], WAKER, 0, 0},
							{1 + i % 2, 100, 0, 0, 0, 0}};
			u64 got;

			set_up(1, 2, 1, false, kinds, ARRAY_SIZE(kinds));
			play();
			got = total_of(1) * 1000 / (PLAY_NS - BEGIN_NS);
			if (got < 980 || got > 1020)
				fail_msg("%u threads, woken every %u us: %u got %lu/1000 of a CPU",
					 threads, run[i / 2], 1 + i % 2, got);
		}
}

/*
 * One thread of a VM seldom runs, the others do all the time, and so do other VMs. It waits for
 * a slice and a half of each thread at most, if all VMs had so many; alone in its VM not at all.
 */
static void busy_siblings_delay_nobody_for_long(void **state)
{
	for (u32 i = 0; i < 3 * 8 * 4 * 3; i++) {
		u32 cpus_now = 1u << i % 3, siblings = i / 3 % 8, rivals = 1u << i / 24 % 4,
		    vms = 2 + i / 96;
		const struct vm_kind kinds[] = {{siblings + 1, 100, 300, 5000, 0, 0},
						{rivals, 100, 0, 0, 0, 0},
						{1, 100, 0, 0, 0, 0},
						{1, 100, 0, 0, 0, 0}};
		u64 most = siblings ? vms * MAX(siblings + 1, rivals) * SCHED_SLICE_NS * 3 / 2 : 0;

		set_up(1, cpus_now, 1, false, kinds, vms);
		busy = siblings;
		play();
		if (actor[siblings].longest_wait > most)
			fail_msg("%u CPUs, %u siblings, %u VMs, one of %u threads: waited %lu us, "
				 "expected at most %lu",
				 cpus_now, siblings, vms, rivals,
				 actor[siblings].longest_wait / 1000, (ulong)most / 1000);
	}
}

/* It goes from queue to queue until it runs: it has waited all the same. */
static void a_light_newcomer_has_its_turn_beside_heavy_ones(void **state)
{
	static const struct vm_kind kinds[] = {
		{1, 100, 0, 0, 0, 0}, {1, 100, 0, 0, 0, 0}, {1, 10, 0, 0, 0, 0}};

	set_up(1, 2, 1, false, kinds, ARRAY_SIZE(kinds));
	actor[2].wake_at = 1000 * MS;
	play_until(1200 * MS);
	assert_int_not_equal(total_of(2), 0);
	play_until(10000 * MS);
	assert_in_range(total_of(2) * 1000 / 9000 / MS, 80, 110); /* 10 of 210, of two CPUs */
}

/* Its affinity changes while it is on its way from one queue to the other. */
static void who_comes_where_he_may_not_run_leaves_at_once(void **state)
{
	static const struct vm_kind kinds[] = {{1, 100, 0, 0, 0, 0}};
	struct thread *t = &actor[0].t;

	set_up(1, 2, 1, false, kinds, ARRAY_SIZE(kinds));
	play_until(BEGIN_NS);
	on_cpu(t->cpu);
	thread_block_prepare();
	thread_block(DEADLINE_NEVER);
	on_cpu(0);
	spin_lock(&cpus[t->cpu]->queue->lock);
	take_off(t, 1);
	spin_unlock(&queues[0].lock);
	sched_set_affinity(t, 1);
	make_runnable(t);
	play_until(now_ns + 10 * MS);
	assert_int_equal(t->cpu, 0);
	assert_ptr_equal(cpu[0].current, t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cap_holds_from_now_on_for_who_runs_alone),
		cmocka_unit_test(who_runs_alone_is_charged_when_somebody_looks),
		cmocka_unit_test(who_ran_alone_takes_turns_with_who_comes_later),
		cmocka_unit_test(who_runs_alone_has_no_ticks),
		cmocka_unit_test(short_runs_evade_no_cap),
		cmocka_unit_test(threads_made_anew_have_no_more),
		cmocka_unit_test(who_takes_turns_with_himself_has_no_more),
		cmocka_unit_test(who_takes_turns_between_cpus_has_no_more),
		cmocka_unit_test(debts_are_not_lost_elsewhere),
		cmocka_unit_test(who_takes_turns_everywhere_has_no_more),
		cmocka_unit_test(who_wakes_many_has_no_more),
		cmocka_unit_test(busy_siblings_delay_nobody_for_long),
		cmocka_unit_test(a_light_newcomer_has_its_turn_beside_heavy_ones),
		cmocka_unit_test(who_comes_where_he_may_not_run_leaves_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
