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

#include "sched_world.h"

#define CPUS_MAX 8u
#define VMS_MAX 12u
#define THREADS_MAX 8u
#define SEEDS 5u
#define MS 1000000ull
#define BEGIN_NS (500 * MS)
#define PLAY_NS (6000 * MS)

/* What a VM's threads do: compute for at most run us, then sleep for so many; sleep 0: never. */
struct vm_kind {
	u32 threads, weight, run, sleep;
	u64 cpus; /* 0: all */
	u64 cap;  /* quota << 32 | period in us; 0: none */
};

struct actor {
	struct thread t;
	struct vcpu vcpu; /* that it runs */
	u64 run_left, total, wake_at;
	u64 wants_since; /* not yet run since then; 0: it has */
	const struct vm_kind *kind;
};

static struct cpu cpu[CPUS_MAX];
static struct actor actor[VMS_MAX * THREADS_MAX], idle[CPUS_MAX];
static struct domain vm[VMS_MAX];
static u32 actors, cpus_of_core;
static u64 together; /* moments at which a core had threads of two VMs */
static u64 longest_wait;
static bool settled; /* waits count */

/* ---- The machine ---- */

static void on_cpu(u32 n)
{
	if (this_cpu() != &cpu[n])
		syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu[n]);
}

static struct actor *running(u32 n) { return container_of(cpu[n].current, struct actor, t); }

static void check_cores(void)
{
	for (u32 a = 0; a < cpu_count; a++)
		for (u32 b = a + 1; b < cpu_count && b / cpus_of_core == a / cpus_of_core; b++)
			together += running(a) != &idle[a] && running(b) != &idle[b] &&
				    running(a)->t.domain != running(b)->t.domain;
}

static u64 next_event(void)
{
	u64 next = DEADLINE_NEVER;

	for (u32 i = 0; i < cpu_count; i++) {
		if (own[i].slice.armed)
			next = MIN(next, MAX(own[i].slice.deadline, now_ns));
		if (running(i) != &idle[i])
			next = MIN(next, now_ns + running(i)->run_left);
	}
	for (u32 i = 0; i < actors; i++)
		next = MIN(next, actor[i].wake_at);
	return next;
}

static void wake_up(struct actor *a)
{
	on_cpu((u32)rnd(cpu_count));
	a->run_left = 1000 + rnd(1 + a->kind->run * 1000ull);
	a->wake_at = DEADLINE_NEVER;
	a->wants_since = now_ns;
	if (a->t.state == THREAD_STOPPED)
		sched_start(&a->t);
	else
		thread_wake(&a->t);
}

static void computed(struct actor *a)
{
	if (!a->kind->sleep) {
		a->run_left = 2 * MS;
		return;
	}
	a->wake_at = now_ns + 1000 + rnd(a->kind->sleep * 1000ull);
	thread_block_prepare();
	thread_block(DEADLINE_NEVER);
}

/* A thread that runs has its vCPU on its CPU, and nowhere else. */
static void load_vcpu(u32 n)
{
	struct vcpu *v = running(n)->t.vcpu;

	if (!v || cpu[n].vcpu == v)
		return;
	if (v->cpu >= 0)
		vcpu_drop(&cpu[v->cpu]);
	vcpu_drop(&cpu[n]);
	cpu[n].vcpu = v;
	v->cpu = (s32)n;
}

/* Has a thread come to run, or left? */
static void follow(struct actor *before, struct actor *now)
{
	if (before != now && before->t.state == THREAD_RUNNABLE)
		before->wants_since = now_ns;
	if (now->wants_since && settled)
		longest_wait = MAX(longest_wait, now_ns - now->wants_since);
	now->wants_since = 0;
}

/* A capped thread waits for its group's next period on its way to ring 3. */
static bool capped(struct actor *a)
{
	u64 until = a->kind ? sched_group_capped(a->t.domain->group, now_ns) : 0;

	if (!until)
		return false;
	a->wake_at = until;
	thread_block_prepare();
	thread_block(DEADLINE_NEVER);
	return true;
}

static void look(u32 n)
{
	struct timer *slice = &own[n].slice;
	bool slice_ends = slice->armed && slice->deadline <= now_ns;
	struct actor *before = running(n);
	bool ends = before != &idle[n] && !before->run_left;

	if (!slice_ends && !ends && !cpu[n].resched)
		return;
	on_cpu(n);
	if (slice_ends) {
		slice->armed = false;
		slice->fn(slice);
	}
	if (ends)
		computed(before);
	while (cpu[n].resched) {
		struct run_queue *q = cpu[n].queue;

		if (q->queued && now_ns >= own[n].balance_at)
			balance(q, &own[n], now_ns);
		spin_lock(&q->lock);
		schedule(q);
		check_cores();
		while (running(n) != &idle[n] && capped(running(n)))
			;
	}
	load_vcpu(n);
	follow(before, running(n));
	check_cores();
}

static bool somebody_is_asked(void)
{
	for (u32 i = 0; i < cpu_count; i++)
		if (cpu[i].resched)
			return true;
	return false;
}

static void advance(void)
{
	u64 next = next_event();

	for (u32 i = 0; i < cpu_count; i++) {
		running(i)->run_left -= next - now_ns;
		running(i)->total += next - now_ns;
	}
	now_ns = next;
	for (u32 i = 0; i < actors; i++)
		if (actor[i].wake_at <= now_ns)
			wake_up(&actor[i]);
	do
		for (u32 i = 0; i < cpu_count; i++)
			look(i);
	while (somebody_is_asked());
}

static const struct numa one_node;

static void set_up_cpus(u32 n, u32 per_core, bool on)
{
	cpu_facts.spec = on ? SPEC_CORES : 0;
	cpu_facts.core_shift = per_core == 4 ? 2 : 1;
	cpus_of_core = per_core;
	cpu_count = n;
	kernel_domain.group = &kernel_domain.own_group;
	for (u32 i = 0; i < n; i++) {
		cpus[i] = &cpu[i];
		cpu[i] =
			(struct cpu){.self = &cpu[i],
				     .id = i,
				     .apic_id = i / per_core << cpu_facts.core_shift | i % per_core,
				     .up = true,
				     .aspace = &kernel_aspace};
		idle[i].t.domain = &kernel_domain;
		idle[i].t.state = THREAD_RUNNABLE;
		sched_init_cpu(&cpu[i], &idle[i].t);
	}
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu[0]);
	sched_order_cpus(&one_node);
}

static void set_up(u64 seed, u32 n, u32 per_core, bool on, const struct vm_kind *kind, u32 vms)
{
	random_state = seed * 2 + 1;
	now_ns = SCHED_SLICE_NS;
	together = longest_wait = actors = 0;
	settled = false;
	memset(actor, 0, sizeof(actor));
	memset(idle, 0, sizeof(idle));
	memset(cpu, 0, sizeof(cpu));
	memset(queues, 0, sizeof(queues));
	memset(own, 0, sizeof(own));
	set_up_cpus(n, per_core, on);
	for (u32 v = 0; v < vms; v++) {
		vm[v].own_group = (struct sched_group){.cpus = kind[v].cpus ? kind[v].cpus : ~0ull,
						       .weight = kind[v].weight};
		vm[v].group = &vm[v].own_group;
		if (kind[v].cap)
			assert_int_equal(sched_group_set_cap(vm[v].group, kind[v].cap, now_ns), 0);
		for (u32 i = 0; i < kind[v].threads; i++) {
			struct actor *a = &actor[actors++];

			a->t.domain = &vm[v];
			a->t.weight = WEIGHT_DEFAULT;
			a->t.affinity = ~0ull;
			a->t.state = THREAD_STOPPED;
			a->t.vcpu = &a->vcpu;
			a->vcpu.runner = &a->t;
			a->vcpu.cpu = -1;
			a->kind = &kind[v];
			a->wake_at = now_ns + rnd(100 * MS);
		}
	}
}

static void play_until(u64 ns)
{
	while (now_ns < ns)
		advance();
}

static void play(void)
{
	play_until(BEGIN_NS);
	settled = true;
	for (u32 i = 0; i < actors; i++)
		actor[i].total = 0;
	play_until(PLAY_NS);
}

static u64 total_of(u32 v)
{
	u64 sum = 0;

	for (u32 i = 0; i < actors; i++)
		sum += actor[i].t.domain == &vm[v] ? actor[i].total : 0;
	return sum;
}

/* ---- The tests ---- */

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
			if (longest_wait > 400 * MS)
				fail_msg("%u CPUs, %u a core, seed %lu: a thread waited %lu ms, "
					 "expected at most 400",
					 cores[i][0], cores[i][1], seed, (u64)(longest_wait / MS));
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
