// SOURCES: lib/rbtree.c kernel/sched_group.c kernel/sched_core.c
/*
 * Time given away, in simulated time: what a server runs for a call is its caller's, in the CPU
 * time of its domain, the cap of its group and its turn.
 */
#include "sched_machine.h"

enum { CALLER, SERVER, RIVAL }; /* VMs of one thread each, all on CPU 0 */

static struct thread *const caller = &actor[CALLER].t, *const server = &actor[SERVER].t;

/* Until it has run for so long, and does. */
static void run_on(struct actor *a, u64 ns)
{
	u64 end = a->total + ns;

	while (a->total < end || running(0) != a) {
		if (running(0) == a && a->total < end)
			a->run_left = MIN(a->run_left, end - a->total);
		advance();
	}
}

/* The server waits for a call, the caller runs. */
static void set_up_call(const struct vm_kind *kinds, u32 vms, bool same_group)
{
	set_up(1, 2, 1, false, kinds, vms);
	if (same_group)
		vm[CALLER].group = vm[SERVER].group;
	actor[SERVER].wake_at = DEADLINE_NEVER;
	server->state = THREAD_BLOCKED;
	run_on(&actor[CALLER], MS);
}

/* As channel_call and channel_reply_wait do it. */
static void call(void)
{
	on_cpu(0);
	thread_block_prepare();
	server->channel = (struct channel *)1;
	server->peer = caller;
	actor[SERVER].run_left = MS;
	thread_wake(server);
	thread_block(DEADLINE_NEVER);
	look(0);
}

static void answer(void)
{
	on_cpu(0);
	sched_served(server->peer);
	server->channel = NULL;
	server->peer = NULL;
}

static void wait_for_a_call(void)
{
	thread_wake(caller);
	thread_block_prepare();
	thread_block(DEADLINE_NEVER);
	look(0);
}

static void who_calls_is_charged(void **state)
{
	static const struct vm_kind kinds[] = {{1, 100, 0, 0, 1, 0}, {1, 100, 0, 0, 1, 0}};
	static const struct {
		const char *what;
		bool same_group, gone;
		u64 caller, server; /* CPU time of the domains, ms */
		u64 owed, kept;	    /* by the caller; in the server's virtual run time */
	} cases[] = {
		{"of another group", false, false, 4, 0, 4, 0},
		{"of another domain of the group", true, false, 4, 0, 0, 4},
		{"who has gone", false, true, 0, 4, 0, 4},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 callers, servers, vruntime;

		set_up_call(kinds, ARRAY_SIZE(kinds), cases[i].same_group);
		call();
		assert_ptr_equal(cpu[0].current, server);
		if (cases[i].gone)
			server->peer = NULL;
		callers = vm[CALLER].cpu_ns;
		servers = vm[SERVER].cpu_ns;
		vruntime = server->vruntime;
		run_on(&actor[SERVER], 3 * MS);
		sched_settle(); /* in parts, as when it is preempted */
		run_on(&actor[SERVER], MS);
		answer();
		callers = vm[CALLER].cpu_ns - callers;
		servers = vm[SERVER].cpu_ns - servers;
		vruntime = server->vruntime - vruntime;
		if (callers != cases[i].caller * MS || servers != cases[i].server * MS)
			fail_msg("a caller %s: got %lu us of its domain's and %lu of the server's, "
				 "expected %lu and %lu ms",
				 cases[i].what, callers / 1000, servers / 1000, cases[i].caller,
				 cases[i].server);
		if (caller->owed_ns != cases[i].owed * MS ||
		    vruntime != weighed(server, cases[i].kept * MS))
			fail_msg("a caller %s: got %lu us owed, expected %lu ms; the server's own "
				 "went on by %lu, expected %lu",
				 cases[i].what, caller->owed_ns / 1000, cases[i].owed, vruntime,
				 weighed(server, cases[i].kept * MS));
		assert_int_equal(server->served_ns, 0);
	}
}

/* 15 ms of 10: the caller waits for the next period, and has 5 ms less in it. */
static void the_callers_cap_holds(void **state)
{
	static const struct vm_kind kinds[] = {{1, 100, 0, 0, 1, 10000ull << 32 | 100000},
					       {1, 100, 0, 0, 1, 50000ull << 32 | 100000}};
	struct sched_group *g = &vm[CALLER].own_group;
	s64 callers, servers;
	u64 had, period;

	set_up_call(kinds, ARRAY_SIZE(kinds), false);
	on_cpu(0);
	assert_int_equal(sched_group_set_cap(g, kinds[CALLER].cap, now_ns), 0);
	call();
	callers = g->left_ns;
	servers = vm[SERVER].own_group.left_ns;
	run_on(&actor[SERVER], 15 * MS);
	answer();
	assert_int_equal(callers - g->left_ns, 15 * MS);
	assert_int_equal(vm[SERVER].own_group.left_ns, servers);

	had = actor[CALLER].total;
	period = g->period_end;
	wait_for_a_call();
	play_until(period - 1);
	assert_int_equal(actor[CALLER].total, had);
	play_until(period + 50 * MS);
	assert_in_range(actor[CALLER].total - had, 3 * MS, 5 * MS);
}

/* A fifth of its work is its own. */
static void who_has_others_work_gets_no_more_than_his_share(void **state)
{
	static const struct vm_kind kinds[] = {
		{1, 100, 0, 0, 1, 0}, {1, 100, 0, 0, 1, 0}, {1, 100, 0, 0, 1, 0}};
	u64 begin, had, got;

	set_up_call(kinds, ARRAY_SIZE(kinds), false);
	run_on(&actor[RIVAL], MS);
	begin = now_ns;
	had = actor[RIVAL].total;
	for (u32 i = 0; i < 400; i++) {
		run_on(&actor[CALLER], MS);
		call();
		run_on(&actor[SERVER], 4 * MS);
		answer();
		wait_for_a_call();
	}
	got = (actor[RIVAL].total - had) * 1000 / (now_ns - begin);
	if (got < 480 || got > 520)
		fail_msg("got %lu/1000 of the CPU for the other, expected half", got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_calls_is_charged),
		cmocka_unit_test(the_callers_cap_holds),
		cmocka_unit_test(who_has_others_work_gets_no_more_than_his_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
