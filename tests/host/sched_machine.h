/*
 * Threads of VMs that compute and sleep at random, on CPUs of cores with one, two or four of them,
 * in simulated time.
 */
#pragma once

#include "sched_world.h"

#define CPUS_MAX 8u
#define VMS_MAX 12u
#define THREADS_MAX 8u
#define SEEDS 5u
#define MS 1000000ull
#define BEGIN_NS (500 * MS)
#define PLAY_NS (6000 * MS)

#define ANEW (~0u)  /* instead of a sleep it ends, and another thread takes its place */
#define RELAY (~1u) /* for run us; then it wakes the VM's next one and sleeps until its turn, */
#define RELAY_STOP (~2u)  /* or starts it and stops itself */
#define RELAY_TIMER (~3u) /* or it wakes up by a timer, GAP_NS after the end */
#define GAP_NS 20000u
#define WAKER (~4u) /* the VM's first one, each run us, wakes the others, which run for as long */
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
	u64 longest_wait;
	bool slept; /* and has not run since: nobody has asked for its cap */
	const struct vm_kind *kind;
};

static struct cpu cpu[CPUS_MAX];
static struct actor actor[VMS_MAX * THREADS_MAX], idle[CPUS_MAX];
static struct domain vm[VMS_MAX];
static u32 actors, cpus_of_core;
static u64 together; /* moments at which a core had threads of two VMs */
static u32 stride;   /* of the relay: so many take their turns beside each other, this far apart */
static u32 busy;     /* so many threads of the first VM never sleep, whatever its kind is */
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
	a->run_left = a->kind->sleep == ANEW || a->kind->sleep == RELAY_TIMER
			      ? a->kind->run * 1000ull
			      : 1000 + rnd(1 + a->kind->run * 1000ull);
	a->wake_at = DEADLINE_NEVER;
	a->wants_since = now_ns;
	if (a->t.state == THREAD_STOPPED)
		sched_start(&a->t);
	else
		thread_wake(&a->t);
}

static void begin(struct actor *a, struct domain *d, const struct vm_kind *kind, u64 at)
{
	*a = (struct actor){.kind = kind, .wake_at = at, .total = a->total};
	a->t = (struct thread){.domain = d,
			       .weight = WEIGHT_DEFAULT,
			       .affinity = ~0ull,
			       .owed_ns = SCHED_SLICE_NS,
			       .state = THREAD_STOPPED,
			       .vcpu = &a->vcpu};
	a->vcpu.runner = &a->t;
	a->vcpu.cpu = -1;
}

static void in_peace(void) {}

static void end_and_begin(struct actor *a)
{
	vcpu_drop(this_cpu());
	thread_ends = in_peace;
	if (!setjmp(gone))
		thread_exit();
	thread_ends = NULL;
	switch_finish();
	begin(a, a->t.domain, a->kind, now_ns + 50000);
}

static bool same_vm(const struct actor *a, const struct actor *b)
{
	return b >= actor && b < actor + actors && a->t.domain == b->t.domain;
}

static void pass_to(struct actor *next)
{
	wake_up(next);
	next->run_left = next->kind->run * 1000ull;
}

/* To its VM's next thread, from the last one to the first. */
static void pass_on(struct actor *a)
{
	struct actor *next = a + stride;
	u32 here = this_cpu()->id;

	if (!same_vm(a, next))
		for (next = a; same_vm(a, next - stride);)
			next -= stride;
	if (a->kind->sleep == RELAY_TIMER)
		next->wake_at = now_ns + GAP_NS;
	else
		pass_to(next);
	on_cpu(here);
	if (a->kind->sleep == RELAY_STOP) {
		a->t.stop = true;
		thread_stop_here();
		a->t.stop = false;
		return;
	}
	thread_block_prepare();
	thread_block(DEADLINE_NEVER);
}

static void wake_others(struct actor *a)
{
	u32 here = this_cpu()->id;

	for (struct actor *o = a + 1; same_vm(a, o); o++)
		if (o->t.state == THREAD_BLOCKED) {
			wake_up(o);
			o->run_left = o->kind->run * 1000ull;
		}
	on_cpu(here);
	a->run_left = a->kind->run * 1000ull;
}

static void computed(struct actor *a)
{
	if (a->kind->sleep == WAKER && !same_vm(a, a - 1)) {
		wake_others(a);
		return;
	}
	if (a->kind->sleep == WAKER) {
		thread_block_prepare();
		thread_block(DEADLINE_NEVER);
		return;
	}
	if (a->kind->sleep <= RELAY && a->kind->sleep >= RELAY_TIMER) {
		pass_on(a);
		return;
	}
	if (a->kind->sleep == ANEW) {
		end_and_begin(a);
		return;
	}
	if (!a->kind->sleep || a < actor + busy) {
		a->run_left = 2 * MS;
		return;
	}
	a->wake_at = now_ns + 1000 + rnd(a->kind->sleep * 1000ull);
	a->slept = true;
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
		now->longest_wait = MAX(now->longest_wait, now_ns - now->wants_since);
	now->wants_since = 0;
}

/* A capped thread waits for its group's next period on its way to ring 3. */
static bool capped(struct actor *a)
{
	bool slept = a->slept;
	u64 until;

	a->slept = false;
	if (slept || !a->kind)
		return false;
	until = sched_group_capped(a->t.domain->group, now_ns);
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

		if (q->queued && now_ns >= q->balance_at && cpu_count > 1)
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
	together = actors = busy = 0;
	stride = 1;
	settled = false;
	memset(actor, 0, sizeof(actor));
	memset(idle, 0, sizeof(idle));
	memset(cpu, 0, sizeof(cpu));
	memset(queues, 0, sizeof(queues));
	memset(own, 0, sizeof(own));
	memset(vm, 0, sizeof(vm));
	settled_at = 0;
	set_up_cpus(n, per_core, on);
	for (u32 v = 0; v < vms; v++) {
		vm[v].own_group = (struct sched_group){.cpus = kind[v].cpus ? kind[v].cpus : ~0ull,
						       .weight = kind[v].weight};
		vm[v].group = &vm[v].own_group;
		if (kind[v].cap)
			assert_int_equal(sched_group_set_cap(vm[v].group, kind[v].cap, now_ns), 0);
		for (u32 i = 0; i < kind[v].threads; i++)
			begin(&actor[actors++], &vm[v], &kind[v], now_ns + rnd(100 * MS));
	}
}

static inline void play_until(u64 ns)
{
	while (now_ns < ns)
		advance();
}

static inline void play(void)
{
	play_until(BEGIN_NS);
	settled = true;
	for (u32 i = 0; i < actors; i++)
		actor[i].total = 0;
	play_until(PLAY_NS);
}

static inline u64 total_of(u32 v)
{
	u64 sum = 0;

	for (u32 i = 0; i < actors; i++)
		sum += actor[i].t.domain == &vm[v] ? actor[i].total : 0;
	return sum;
}

static inline u64 longest_wait(void)
{
	u64 longest = 0;

	for (u32 i = 0; i < actors; i++)
		longest = MAX(longest, actor[i].longest_wait);
	return longest;
}
