// SOURCES: lib/rbtree.c kernel/sched_group.c kernel/sched_core.c
/*
 * The scheduler in simulated time: threads that compute and sleep at random, and on each CPU one
 * that sleeps most of the time and must have its turn within a slice whatever the others do.
 */
#include "sched_world.h"

#define CPUS 2u
#define CROWD 24u /* hostile threads */
#define BEAT_NS 1000000ull
#define BEAT_RUN_NS 10000ull  /* what the light thread computes in a beat, */
#define LONG_RUN_NS 500000ull /* and what it is charged for when something else took the CPU away */
#define LONG_RUNS 50u	      /* one in so many */
#define TOGETHER_NS 100000000ull
#define SEEDS 50u
#define BEGIN_NS 500000000ull /* all have started */
#define PLAY_NS 3000000000ull

/* What one of the crowd does. Times are at most, in us; sleep 0: it never sleeps. */
struct habit {
	u32 run, sleep;
	u32 together; /* not 0: all wake at the same moment */
};

struct actor {
	struct thread t;
	bool light, same_weight;
	u64 run, run_left; /* what it computes until it sleeps next, ns */
	u64 total;	   /* what it has computed */
	u64 wake_at;	   /* while it sleeps, else DEADLINE_NEVER */
	u64 due;	   /* the light thread's beat, until it has its turn */
	struct habit habit;
};

static struct cpu cpu[CPUS];
static struct actor actor[CPUS + CROWD], idle[CPUS];
static u64 latest_ns, beats;

/* ---- The machine ---- */

static void on_cpu(u32 n)
{
	if (this_cpu() != &cpu[n])
		syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu[n]);
}

static struct actor *running(u32 n) { return container_of(cpu[n].current, struct actor, t); }

static u64 next_event(void)
{
	u64 next = DEADLINE_NEVER;

	for (u32 i = 0; i < CPUS; i++) {
		if (own[i].slice.armed)
			next = MIN(next, MAX(own[i].slice.deadline, now_ns));
		if (running(i) != &idle[i])
			next = MIN(next, now_ns + running(i)->run_left);
	}
	for (u32 i = 0; i < ARRAY_SIZE(actor); i++)
		next = MIN(next, actor[i].wake_at);
	return next;
}

static void wake_up(struct actor *a)
{
	on_cpu(a->light ? a->t.cpu : (u32)rnd(CPUS));
	a->run = !a->light	  ? 1000 + rnd(1 + a->habit.run * 1000ull)
		 : rnd(LONG_RUNS) ? BEAT_RUN_NS
				  : LONG_RUN_NS;
	a->run_left = a->run;
	a->wake_at = DEADLINE_NEVER;
	if (!a->light && !a->same_weight && !rnd(10))
		a->t.weight = 1 + (u32)rnd(300);
	if (a->t.state == THREAD_STOPPED)
		sched_start(&a->t);
	else
		thread_wake(&a->t);
}

/* It has computed what it wanted to. */
static void go_to_sleep(struct actor *a)
{
	if (a->light) {
		a->wake_at = a->due = now_ns + BEAT_NS;
	} else if (a->habit.together) {
		a->wake_at = (now_ns / TOGETHER_NS + 1) * TOGETHER_NS;
	} else if (a->habit.sleep) {
		a->wake_at = now_ns + 1000 + rnd(a->habit.sleep * 1000ull);
	} else {
		a->run_left = 1000000;
		return;
	}
	thread_block_prepare();
	thread_block(DEADLINE_NEVER);
}

/* When it has its turn, the light thread is this late. */
static void begin_beat(struct actor *a)
{
	if (a->due)
		latest_ns = MAX(latest_ns, now_ns - a->due);
	beats += a->due != 0;
	a->due = 0;
}

/* What a CPU does at this moment: its slice or what it computes ends, another thread runs. */
static void look(u32 n)
{
	struct run_queue *q = &queues[n];
	struct timer *slice = &own[n].slice;
	bool slice_ends = slice->armed && slice->deadline <= now_ns;
	bool idles = running(n) == &idle[n], sleeps = !idles && !running(n)->run_left;

	if (!slice_ends && !sleeps && !cpu[n].resched)
		return;
	on_cpu(n);
	if (slice_ends) {
		slice->armed = false;
		slice->fn(slice);
	}
	if (sleeps)
		go_to_sleep(running(n));
	while (cpu[n].resched) {
		spin_lock(&q->lock);
		schedule(q);
	}
	begin_beat(running(n));
}

static void advance(void)
{
	u64 next = next_event();

	for (u32 i = 0; i < CPUS; i++) {
		running(i)->run_left -= next - now_ns;
		running(i)->total += next - now_ns;
	}
	now_ns = next;
	for (u32 i = 0; i < ARRAY_SIZE(actor); i++)
		if (actor[i].wake_at <= now_ns)
			wake_up(&actor[i]);
	for (u32 i = 0; i < CPUS; i++)
		look(i);
}

static void add(struct actor *a, u64 affinity)
{
	a->t.domain = &kernel_domain;
	a->t.weight = WEIGHT_DEFAULT;
	a->t.affinity = affinity;
	a->t.state = THREAD_STOPPED;
	a->wake_at = now_ns + (a->light ? 0 : rnd(100000000));
}

static void set_up(u64 seed)
{
	random_state = seed * 2 + 1;
	now_ns = SCHED_SLICE_NS;
	latest_ns = beats = 0;
	memset(actor, 0, sizeof(actor));
	for (u32 i = 0; i < ARRAY_SIZE(actor); i++)
		actor[i].wake_at = DEADLINE_NEVER;
	memset(idle, 0, sizeof(idle));
	memset(cpu, 0, sizeof(cpu));
	memset(queues, 0, sizeof(queues));
	memset(own, 0, sizeof(own));
	kernel_domain.own_group = (struct sched_group){.cpus = ~0ull, .weight = WEIGHT_DEFAULT};
	cpu_count = CPUS;
	for (u32 i = 0; i < CPUS; i++) {
		cpus[i] = &cpu[i];
		cpu[i] = (struct cpu){
			.self = &cpu[i], .id = i, .up = true, .aspace = &kernel_aspace};
		add(&idle[i], BIT(i));
		idle[i].t.state = THREAD_RUNNABLE;
		sched_init_cpu(&cpu[i], &idle[i].t);
		actor[i].light = true;
		actor[i].t.cpu = i;
		add(&actor[i], BIT(i));
	}
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu[0]);
}

static void play(u64 seed, const struct habit *habits, u32 n)
{
	set_up(seed);
	for (u32 i = 0; i < CROWD; i++) {
		struct actor *a = &actor[CPUS + i];
		u64 affinity = 1 + rnd(3);

		a->habit = habits[rnd(n)];
		a->t.cpu = affinity == 2;
		add(a, affinity);
	}
	while (now_ns < PLAY_NS)
		advance();
}

/* ---- The tests ---- */

static const struct {
	const char *name;
	struct habit habit[4];
} crowds[] = {
	{"who never sleep", {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}}},
	{"who sleep a little", {{100, 100, 0}, {1000, 1000, 0}, {5000, 1000, 0}, {20000, 500, 0}}},
	{"who sleep long", {{20000, 100000, 0}, {10000, 300000, 0}, {50000, 50000, 0}, {0, 0, 0}}},
	{"of all kinds", {{100, 300, 0}, {1000, 30000, 0}, {30000, 3000, 0}, {0, 0, 0}}},
	{"who wake together", {{20000, 0, 1}, {5000, 0, 1}, {1000, 0, 1}, {0, 0, 0}}},
};

static void a_light_thread_has_its_turn_within_a_slice_beside_a_crowd(void **state)
{
	u32 failed = 0;

	for (u32 i = 0; i < ARRAY_SIZE(crowds); i++)
		for (u64 seed = 0; seed < SEEDS; seed++) {
			play(seed, crowds[i].habit, ARRAY_SIZE(crowds[i].habit));
			assert_true(beats > PLAY_NS / BEAT_NS);
			if (latest_ns <= SCHED_SLICE_NS)
				continue;
			print_error("beside threads %s, seed %lu: got %lu us late, expected %llu\n",
				    crowds[i].name, seed, latest_ns / 1000, SCHED_SLICE_NS / 1000);
			failed++;
		}
	assert_int_equal(failed, 0);
}

static void who_sleeps_gets_no_more_than_his_share(void **state)
{
	/* the last two use all that is given to who wakes up, or more */
	static const struct habit rival[] = {
		{0, 0, 0}, {0, 0, 0}, {PROMPT_NS / 1000, 1, 0}, {10000000, 1, 0}};

	for (u64 seed = 0; seed < SEEDS; seed++) {
		set_up(seed);
		for (u32 i = 0; i < ARRAY_SIZE(rival); i++) {
			actor[CPUS + i].habit = rival[i];
			actor[CPUS + i].same_weight = true;
			add(&actor[CPUS + i], 1);
		}
		while (now_ns < BEGIN_NS)
			advance();
		for (u32 i = 0; i < ARRAY_SIZE(actor); i++)
			actor[i].total = 0;
		while (now_ns < PLAY_NS)
			advance();
		for (u32 i = 0; i < ARRAY_SIZE(rival); i++) {
			u64 got = actor[CPUS + i].total * 1000 * ARRAY_SIZE(rival) /
				  (PLAY_NS - BEGIN_NS - actor[0].total);

			if (got < 980 || got > 1020)
				fail_msg(
					"seed %lu, rival %u: got %lu/1000 of its share, expected all",
					seed, i, got);
		}
	}
}

/* The server's own group has much to do at the moment of an answer, and little else. */
static void an_answer_gives_back_no_more_than_the_call_took(void **state)
{
	static struct domain own = {.name = "own"}, others = {.name = "others"},
			     callers = {.name = "callers"};
	static struct thread client = {.domain = &callers, .weight = WEIGHT_DEFAULT};
	struct actor *server = &actor[CPUS], *victim = &actor[CPUS + 1], *crowd = &actor[CPUS + 2];
	u64 had, end;

	set_up(1);
	own.own_group = others.own_group = callers.own_group =
		(struct sched_group){.cpus = ~0ull, .weight = WEIGHT_DEFAULT};
	own.group = &own.own_group;
	others.group = &others.own_group;
	callers.group = &callers.own_group;
	actor[0].wake_at = actor[1].wake_at = DEADLINE_NEVER; /* no beats */
	for (struct actor *a = server; a < actor + ARRAY_SIZE(actor); a++) {
		a->same_weight = true;
		add(a, a < crowd ? 1 : 2);
		a->t.cpu = a < crowd ? 0 : 1;
		a->wake_at = now_ns + (a < crowd ? 1000 : 1500000000);
		a->t.weight = a < crowd ? WEIGHT_DEFAULT : WEIGHT_MAX;
		a->t.domain = a == victim ? &others : &own;
	}
	server->t.channel = (struct channel *)1;
	server->t.peer = &client;
	while (now_ns < 2000000000 || running(0) != server)
		advance();
	on_cpu(0);
	sched_served(&client);
	server->t.channel = NULL;
	server->t.peer = NULL;
	for (struct actor *a = crowd; a < actor + ARRAY_SIZE(actor); a++)
		a->habit.sleep = ~0u;
	had = victim->total;
	end = now_ns + 4000000000;
	while (now_ns < end)
		advance();
	if (victim->total - had < 1800000000)
		fail_msg("in 4 s another's thread had %lu ms, expected about half",
			 (victim->total - had) / 1000000);
}

/* It goes on at the other CPU. */
static void move_to_the_other(void)
{
	cpu[1].current = cpu[0].current;
	cpu[1].current->cpu = 1;
	cpu[0].current = &idle[0].t;
	on_cpu(1);
}

static void who_ends_does_so_where_it_is_then(void **state)
{
	set_up(1);
	actor[0].t.affinity = 3;
	wake_up(&actor[0]);
	on_cpu(0);
	look(0);
	assert_ptr_equal(running(0), &actor[0]);
	thread_ends = move_to_the_other;
	if (!setjmp(gone))
		thread_exit();
	thread_ends = NULL;
	assert_int_equal(actor[0].t.state, THREAD_EXITED);
	assert_int_equal(cpu[0].queue->lock.locked, 0);
	assert_ptr_equal(cpu[0].current, &idle[0].t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_ends_does_so_where_it_is_then),
		cmocka_unit_test(a_light_thread_has_its_turn_within_a_slice_beside_a_crowd),
		cmocka_unit_test(who_sleeps_gets_no_more_than_his_share),
		cmocka_unit_test(an_answer_gives_back_no_more_than_the_call_took),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
