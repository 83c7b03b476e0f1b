#include "kernel/sched.h"

#include "arch/msr.h"
#include "hv/facts.h"
#include "hv/x86.h"
#include "kernel/cpu_setup.h"
#include "kernel/ipc.h"
#include "kernel/run_queue.h"
#include "kernel/smp.h"
#include "kernel/trace.h"
#include "kernel/trap.h"
#include "kernel/vcpu.h"
#include "mm/mm.h"

/*
 * A slice of a lone thread of the default weight, in virtual time: by so much another may be ahead
 * of it, whatever its group's load was.
 */
#define LEAD_MAX ((s64)(16 * SCHED_SLICE_NS))
#define BALANCE_NS (4 * SCHED_SLICE_NS)
#define LOADS_ALIKE 64u /* a difference of less than a 64th is none */
#define LOOKS_IN_VAIN 4u
#define CAP_LOOK_NS 100000000u /* so late is heard of a new cap */
#define SETTLE_NS 1000000u     /* who looks all the time disturbs no more */

/* The CPU's own. */
struct sched_cpu {
	u32 looks;   /* at other queues, */
	u32 in_vain; /* since one that helped */
	struct timer slice;
	u64 choose_at;	     /* what slice waits for; it may come earlier */
	struct thread *prev; /* switched away from, until the switch is finished */
	u8 near[MAX_CPUS];   /* [I] all CPUs: itself, then the nearest first */
};

static struct run_queue queues[MAX_CPUS];
static struct sched_cpu own[MAX_CPUS];
static u64 settled_at; /* [a] */

/* first: next never ran, next_rsp is the top of its stack. next_cr3 0: the same. */
void switch_stack(u64 *save_rsp, u64 next_rsp, u64 next_cr3, bool first);

/* Who slept comes first, in order of waking up; the others by what they have run. */
static bool turn_earlier(const struct rb_node *a, const struct rb_node *b)
{
	const struct thread *x = container_of(a, struct thread, run_node),
			    *y = container_of(b, struct thread, run_node);

	if (x->prompt_ns || y->prompt_ns)
		return !y->prompt_ns;
	return earlier(x->vruntime, y->vruntime);
}

static struct run_queue *my_queue(void) { return this_cpu()->queue; }

static struct sched_cpu *my_own(void) { return &own[this_cpu()->id]; }

static void enqueue(struct run_queue *q, struct thread *t)
{
	rb_insert(&q->tree, &t->run_node, turn_earlier);
	t->queued = true;
	q->queued++;
}

static void dequeue(struct run_queue *q, struct thread *t)
{
	rb_erase(&q->tree, &t->run_node);
	t->queued = false;
	q->queued--;
}

/* ---- Members ---- */

/* The weight of its group's members of the queue changes by so much. */
static void count(struct run_queue *q, const struct thread *t, u64 change)
{
	struct sched_group *g = group_of(t);
	struct sched_group_queue *in = group_in(q, t);
	u64 active = __atomic_add_fetch(&g->active, change, __ATOMIC_RELAXED), before = in->load;

	in->active += change;
	in->load = sched_group_load(g, in->active, active);
	q->load += in->load - before;
}

static void join(struct run_queue *q, struct thread *t)
{
	t->counted = group_of(t)->active < ACTIVE_MAX ? t->weight : 1;
	count(q, t, t->counted);
}

static void leave(struct run_queue *q, const struct thread *t) { count(q, t, -(u64)t->counted); }

/* A thread that runs, up to now. A server's client pays. */
static void charge_thread(struct thread *t, u64 now)
{
	u64 ran = now - MIN(now, t->run_start); /* another CPU's clock may be a little ahead */
	struct thread *client = t->channel ? __atomic_load_n(&t->peer, __ATOMIC_RELAXED) : NULL;
	struct domain *payer = client ? client->domain : t->domain;
	struct vcpu *v = t->vcpu;

	t->run_start = now;
	t->cpu_ns += ran;
	if (v) {
		v->cpu_ns = t->cpu_ns;
		v->ran_on = t->cpu;
	}
	t->vruntime += weighed(t, ran);
	t->prompt_ns -= MIN(t->prompt_ns, ran);
	t->served_ns += client ? ran : 0;
	sched_group_charge(payer->group, ran);
	__atomic_fetch_add(&payer->cpu_ns, ran, __ATOMIC_RELAXED);
}

/* Up to now, which it returns, the threads that run there, if any. */
static u64 charge(struct run_queue *q)
{
	struct thread *least = NULL;
	u64 now = clock_ns();

	for (u64 left = q->cpus; left; left &= left - 1) {
		struct thread *t = lowest_cpu(left)->current; /* switched under the lock */

		if (cpu_idles(lowest_cpu(left)))
			continue;
		charge_thread(t, now);
		if (!least || earlier(t->vruntime, least->vruntime))
			least = t;
	}
	/* while nobody is queued, one of them has had least */
	if (least && !q->queued && earlier(q->min_vruntime, least->vruntime))
		q->min_vruntime = least->vruntime;
	return now;
}

void sched_served(struct thread *client)
{
	struct thread *t = thread_current();
	struct run_queue *q = my_queue();

	spin_lock(&q->lock);
	charge(q);
	/* within a group it would pay for nothing: the client's debt ends with it */
	if (client && group_of(client) != group_of(t)) {
		t->vruntime -= weighed(t, t->served_ns);
		/* its group's load was another while it served */
		if (earlier(t->vruntime, q->min_vruntime - LEAD_MAX))
			t->vruntime = q->min_vruntime - LEAD_MAX;
		client->owed_ns = t->served_ns;
	}
	t->served_ns = 0;
	spin_unlock(&q->lock);
}

void sched_settle(void)
{
	u64 now = clock_ns(), before = __atomic_load_n(&settled_at, __ATOMIC_RELAXED);

	if (now < before + SETTLE_NS ||
	    !__atomic_compare_exchange_n(&settled_at, &before, now, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return;
	for (u32 i = 0; i < cpu_count; i++) {
		spin_lock(&cpus[i]->queue->lock);
		charge(cpus[i]->queue);
		spin_unlock(&cpus[i]->queue->lock);
	}
}

/* Mostly the time only moves on: a timer that is armed and comes too early arms itself again. */
void sched_choose_at(u64 ns)
{
	struct sched_cpu *o = my_own();

	o->choose_at = ns;
	if (!o->slice.armed || ns < o->slice.deadline)
		timer_arm(&o->slice, ns);
}

static void slice_over(struct timer *timer)
{
	if (clock_ns() < my_own()->choose_at)
		timer_arm(timer, my_own()->choose_at);
	else
		this_cpu()->resched = 1;
}

/* t runs from now on. */
static void arm_slice(const struct run_queue *q, const struct thread *t, u64 now)
{
	u64 run = !q->queued ? ~0ull : run_queue_is_core(q) ? q->turn_ends - now : slice_of(q, t);

	run = MIN(sched_group_left(group_of(t)), run);
	if (run != ~0ull)
		sched_choose_at(now + run);
}

/* ---- Placing ---- */

/* Its own CPU, unless it may not run there or another, then the nearest, has less to do. */
static u32 least_loaded(const struct thread *t)
{
	u64 mask = allowed(t), least = mask >> t->cpu & 1 ? load_with(t, t->cpu) : ~0ull;
	u32 best = t->cpu;

	for (u32 i = 1; least && i < cpu_count; i++) {
		u32 cpu = own[t->cpu].near[i];
		u64 load = mask >> cpu & 1 ? load_with(t, cpu) : ~0ull;

		if (load < least) {
			best = cpu;
			least = load;
		}
	}
	return best;
}

static void ask_resched(u32 cpu)
{
	__atomic_store_n(&cpus[cpu]->resched, 1, __ATOMIC_SEQ_CST);
	if (cpu != this_cpu()->id)
		smp_ipi(cpu, IPI_RESCHED);
}

void sched_ask(u64 mask)
{
	for (; mask; mask &= mask - 1)
		ask_resched(lowest_cpu(mask)->id);
}

/*
 * On its way to another queue, no member of one: nobody else moves it before it is placed. Until
 * then vruntime is what it has had more than others. The lock of the old queue is held.
 */
static void take_off(struct thread *t, u32 cpu)
{
	s64 lead = (s64)(t->vruntime - cpus[t->cpu]->queue->min_vruntime);

	if (t->state == THREAD_RUNNABLE && may_run_on(t, t->cpu))
		t->slept_at = group_of(t)->vruntime;
	else if (cpus[cpu]->queue != cpus[t->cpu]->queue) /* there it stands where its group does */
		t->slept_at = group_of(t)->vruntime - (1ull << 60);
	/* what it missed in a sleep is made up for within bounds: see give_turn() */
	t->vruntime = (u64)(t->state == THREAD_BLOCKED ? lead : MAX(lead, 0));
	t->state = THREAD_WAKING;
	t->cpu = cpu;
}

/*
 * The turn of t, a member from now on: by what it has had more than others, and, up to where its
 * group stands, what the group has had while it slept.
 */
static void give_turn(struct run_queue *q, struct thread *t)
{
	struct sched_group *g = group_of(t);
	struct sched_group_queue *in = group_in(q, t);
	s64 slice = (s64)weighed(t, SCHED_SLICE_NS), least = -MIN(slice, LEAD_MAX);
	s64 lone = (s64)sched_group_virtual(g, 1, SCHED_SLICE_NS);
	s64 stood = (s64)(in->base + g->vruntime - q->min_vruntime);
	s64 had = MIN(MAX(stood, least), lone * (cpu_count + 1));
	s64 lead = MIN(MAX((s64)t->vruntime, least), 2 * slice), followed;

	if (in->load == q->load)
		had = MIN(had, 0); /* nobody else is there to have missed it */
	in->base += (u64)(had - stood);
	followed = MIN(lead + (s64)(g->vruntime - t->slept_at), had);
	lead += (s64)weighed(t, t->owed_ns);
	if (lead > slice || had > lone)
		t->prompt_ns = 0;
	t->owed_ns = 0;
	t->vruntime = q->min_vruntime + (u64)MAX(lead, followed);
}

/* A thread that was taken off comes into q, its queue, which is locked and charged; released. */
static void place(struct run_queue *q, struct thread *t, u64 now)
{
	u32 cpu = t->cpu;
	struct thread *current = cpus[cpu]->current;
	bool ask = current == cpus[cpu]->idle;

	t->state = THREAD_RUNNABLE;
	t->run_start = now;
	join(q, t);
	give_turn(q, t);
	enqueue(q, t);
	ask = ask || turn_earlier(&t->run_node, &current->run_node);
	if (!ask && q->queued == 1 && cpu == this_cpu()->id && !run_queue_is_core(q))
		arm_slice(q, current, now);
	spin_unlock(&q->lock);
	if (run_queue_is_core(q)) /* whose turn it is concerns all */
		sched_ask(q->cpus);
	else if (ask || cpu != this_cpu()->id)
		ask_resched(cpu);
}

/* The same; no queue's lock is held. */
static void make_runnable(struct thread *t)
{
	struct run_queue *q = cpus[t->cpu]->queue;

	spin_lock(&q->lock);
	place(q, t, charge(q));
}

/* Takes t, no member, to a CPU. q, where it was, is locked; released. */
static void send(struct run_queue *q, struct thread *t, u32 cpu)
{
	u64 now = charge(q);

	take_off(t, cpu);
	trace_thread(TRACE_WAKE, t, cpu);
	if (q == cpus[cpu]->queue) {
		place(q, t, now);
		return;
	}
	spin_unlock(&q->lock);
	make_runnable(t);
}

/* ---- Moving between CPUs ---- */

/*
 * Takes out of q the thread, of that group if not NULL, that may go to cpu and makes two loads that
 * differ by gap most alike, but no more unlike than `worst`.
 */
static struct thread *pull(struct run_queue *q, u32 cpu, const struct sched_group *group, u64 gap,
			   u64 worst)
{
	struct rb_node *n = rb_first(&q->tree);
	struct thread *best = NULL;
	s64 least = (s64)worst;

	for (u32 i = 0; n && i < MOVE_LOOKS; i++, n = rb_next(n)) {
		struct thread *t = container_of(n, struct thread, run_node);
		const struct sched_group_queue *in = group_in(q, t);
		s64 rest = (s64)gap - 2 * (s64)(in->load * t->counted / MAX(in->active, 1));

		rest = rest < 0 ? -rest : rest;
		if (rest <= least && may_run_on(t, cpu) && !is_loaded(t) &&
		    (!group || may_fill(q, t, group))) {
			best = t;
			least = rest - 1; /* the first of equal ones */
		}
	}
	if (best) {
		dequeue(q, best);
		leave(q, best);
	}
	return best;
}

/* Own lock held; others are only tried, so no order between queues is needed. */
struct thread *sched_steal(struct run_queue *q, const struct sched_group *group)
{
	for (u32 i = 1; i < cpu_count; i++) {
		u32 cpu = my_own()->near[i];
		struct run_queue *victim = cpus[cpu]->queue;
		struct thread *t;

		/* a core's, by the first of its CPUs */
		if (victim == q || (victim->cpus & (BIT(cpu) - 1)) || !victim->queued ||
		    !spin_trylock(&victim->lock))
			continue;
		t = pull(victim, this_cpu()->id, group, victim->load, victim->load);
		if (t) {
			take_off(t, this_cpu()->id);
			t->state = THREAD_RUNNABLE;
			t->vruntime += q->min_vruntime;
			join(q, t);
		}
		spin_unlock(&victim->lock);
		if (t)
			return t;
	}
	return NULL;
}

/*
 * Gives a thread to another CPU if the loads are no more unlike then: what can't be divided evenly
 * goes round. If none helps for long, one that does not may open a way.
 */
static void balance(struct run_queue *q, struct sched_cpu *o, u64 now)
{
	u32 cpu = o->near[1 + o->looks++ % (cpu_count - 1)];
	u64 other = __atomic_load_n(&cpus[cpu]->queue->load, __ATOMIC_RELAXED);
	struct thread *t = NULL;

	q->balance_at = now + BALANCE_NS;
	spin_lock(&q->lock);
	if (q->load > other + q->load / LOADS_ALIKE) {
		u64 gap = q->load - other;

		t = pull(q, cpu, NULL, gap, ++o->in_vain < LOOKS_IN_VAIN ? gap : q->load);
	}
	if (t) {
		o->in_vain = 0;
		cpus[cpu]->queue->balance_at = now + BALANCE_NS;
		send(q, t, cpu);
	} else {
		spin_unlock(&q->lock);
	}
}

/* ---- Choosing ---- */

void sched_take(struct run_queue *q, struct thread *t)
{
	/* others may be first, of groups that don't run on the core now */
	if (rb_first(&q->tree) == &t->run_node && !t->prompt_ns &&
	    earlier(q->min_vruntime, t->vruntime))
		q->min_vruntime = t->vruntime;
	dequeue(q, t);
}

static struct thread *choose(struct run_queue *q, u64 now)
{
	struct thread *t = run_queue_first(q);

	if (unlikely(run_queue_is_core(q)))
		return sched_core_choose(q, now);
	if (t)
		sched_take(q, t);
	else
		t = sched_steal(q, NULL);
	return t ? t : this_cpu()->idle;
}

/* ---- Switch ---- */

/* On the new thread's stack, queue lock still held. */
static void switch_finish(void)
{
	struct run_queue *q = my_queue();
	struct thread *prev = my_own()->prev;
	u32 state = prev->state;

	my_own()->prev = NULL;
	spin_unlock(&q->lock);
	if (state == THREAD_WAKING)
		make_runnable(prev);
	if (state == THREAD_EXITED) {
		domain_thread_ended(prev);
		object_put(&prev->obj);
	}
}

void thread_first_run(void);
void thread_first_run(void)
{
	struct thread *t = thread_current();

	switch_finish();
	if (t->kernel_fn) {
		t->kernel_fn();
		thread_exit();
	}
	if (return_work_pending())
		return_to_user();
	user_enter(t->start.entry, t->start.stack, t->start.arg);
}

/*
 * The idle thread has no address space: it keeps the one loaded, and the vCPU with it (see
 * smp_quiesce).
 */
static struct aspace *space_of(struct thread *t)
{
	if (t == this_cpu()->idle)
		return this_cpu()->aspace;
	return t->domain == &kernel_domain ? &kernel_aspace : &t->domain->aspace;
}

/*
 * A vCPU that waits in HLT stays loaded while its CPU idles: the idle thread keeps the address
 * space too. Its thread then runs here again (thread->vcpu). Not one that could run: others must
 * be able to, and its guest is told that it doesn't.
 */
static void unload(struct cpu *c, const struct thread *next)
{
	const struct vcpu *v = c->vcpu;

	if (v && v->runner != next &&
	    (next != c->idle || !v->runner || v->runner->state != THREAD_BLOCKED || v->obj.dead))
		vcpu_drop(c);
}

static void switch_to(struct thread *next)
{
	struct cpu *c = this_cpu();
	struct thread *prev = c->current;
	struct aspace *as = space_of(next);
	u64 cr3 = 0, rsp = next->saved_rsp;

	trace_thread(TRACE_SWITCH, next, c->id);
	if (as != c->aspace) {
		aspace_activate(as);
		if (cpu_facts.spec & SPEC_IBPB)
			wrmsr(MSR_PRED_CMD, 1);
		cr3 = aspace_cr3(as);
		SLOW_OP(); /* loaded by the switch of stacks */
	}
	c->current = next;
	cpu_set_kstack(next->kstack_top);
	my_own()->prev = prev;
	switch_stack(&prev->saved_rsp, rsp ? rsp : next->kstack_top, cr3, !rsp);
	switch_finish();
}

/*
 * t changes places with the last of its domain's threads in the queue, which was preempted last: if
 * t spins for it, it runs soon. What the domain's threads have had together stays the same.
 */
static void stand_back(struct run_queue *q, struct thread *t)
{
	struct rb_node *n = rb_first(&q->tree);
	struct thread *last = t;
	u64 vruntime = t->vruntime;

	for (u32 i = 0; n && i < MOVE_LOOKS; i++, n = rb_next(n)) {
		struct thread *o = container_of(n, struct thread, run_node);

		if (o->domain == t->domain && earlier(last->vruntime, o->vruntime))
			last = o;
	}
	t->yields = false;
	t->prompt_ns = 0;
	if (last == t)
		return;
	dequeue(q, last);
	t->vruntime = last->vruntime;
	last->vruntime = vruntime;
	enqueue(q, last);
}

/* Queue lock held, released on return. The current thread's state says what becomes of it. */
static void schedule(struct run_queue *q)
{
	struct cpu *c = this_cpu();
	struct thread *prev = c->current, *next;
	u64 now = charge(q);

	c->resched = 0;
	if (prev != c->idle) {
		leave(q, prev);
		if (prev->yields)
			stand_back(q, prev);
		if (prev->state == THREAD_RUNNABLE && may_run_on(prev, c->id)) {
			join(q, prev); /* what it weighs may have changed */
			enqueue(q, prev);
		} else if (prev->state == THREAD_RUNNABLE) {
			/* goes there when it is off its stack */
			take_off(prev, least_loaded(prev));
		} else {
			prev->slept_at = group_of(prev)->vruntime;
		}
	}
	next = choose(q, now);
	next->waited_ns += now - MIN(now, next->run_start);
	next->run_start = now;
	unload(c, next);
	if (next != c->idle) {
		arm_slice(q, next, now);
		/* on its way out it looks again, also if it comes from a sleep */
		if (unlikely(sched_group_capped(group_of(next), now) || !may_run_on(next, c->id)))
			c->resched = 1;
	}
	if (next == prev)
		spin_unlock(&q->lock);
	else
		switch_to(next);
}

static void reschedule(void)
{
	struct run_queue *q = my_queue();
	u64 now = clock_ns(), until;

	if (q->queued && now >= q->balance_at && cpu_count > 1)
		balance(q, my_own(), now);
	spin_lock(&q->lock);
	schedule(q);
	while ((until = sched_group_capped(current_domain()->group, clock_ns())) &&
	       !thread_must_leave()) {
		if (thread_current()->vcpu) /* its guest is preempted: it is told so */
			vcpu_drop(this_cpu());
		thread_block_prepare();
		thread_block(MIN(until, clock_ns() + CAP_LOOK_NS));
	}
}

void sched_yield(void)
{
	thread_current()->yields = true;
	this_cpu()->resched = 1;
}

void preempt_point(void)
{
	__asm__ volatile("sti; nop; cli" : : : "memory");
	if (this_cpu()->resched)
		reschedule();
}

/* ---- Blocking and waking ---- */

static struct run_queue *lock_queue_of(struct thread *t)
{
	for (;;) {
		struct run_queue *q = cpus[__atomic_load_n(&t->cpu, __ATOMIC_RELAXED)]->queue;

		spin_lock(&q->lock);
		if (cpus[t->cpu]->queue == q)
			return q;
		spin_unlock(&q->lock);
	}
}

void thread_block_prepare(void)
{
	struct run_queue *q = my_queue();

	spin_lock(&q->lock);
	thread_current()->state = THREAD_BLOCKING;
	spin_unlock(&q->lock);
}

void thread_block_cancel(void) { thread_current()->state = THREAD_RUNNABLE; }

static void block_timeout(struct timer *timer)
{
	struct thread *t = container_of(timer, struct thread, block_timer);

	t->timed_out = true;
	thread_wake(t);
}

int thread_block(u64 deadline)
{
	struct thread *t = thread_current();
	struct run_queue *q = my_queue();

	if (thread_must_leave()) {
		thread_block_cancel();
		return -E_INTR;
	}
	t->timed_out = false;
	if (deadline != DEADLINE_NEVER) {
		t->block_timer.fn = block_timeout;
		timer_arm(&t->block_timer, deadline);
	}
	spin_lock(&q->lock);
	if (t->state == THREAD_BLOCKING) {
		t->state = THREAD_BLOCKED;
		schedule(q);
	} else {
		spin_unlock(&q->lock);
	}
	if (deadline != DEADLINE_NEVER)
		timer_cancel(&t->block_timer);
	if (thread_must_leave())
		return -E_INTR;
	return t->timed_out ? -E_TIMEOUT : 0;
}

static void wake(struct thread *t, bool interrupt)
{
	struct run_queue *q = lock_queue_of(t);

	if (t->state == THREAD_BLOCKED) {
		t->prompt_ns = PROMPT_NS;
		send(q, t, is_loaded(t) && may_run_on(t, t->cpu) ? t->cpu : least_loaded(t));
		return;
	}
	if (t->state == THREAD_BLOCKING)
		t->state = THREAD_RUNNABLE;
	if (interrupt && cpus[t->cpu]->current == t)
		ask_resched(t->cpu);
	spin_unlock(&q->lock);
}

void thread_wake(struct thread *t) { wake(t, false); }

bool thread_wake_first(struct list *waiters)
{
	struct list *n = list_pop_front(waiters);

	if (n)
		thread_wake(list_entry(n, struct thread, wait_link));
	return n;
}

void thread_interrupt(struct thread *t) { wake(t, true); }

void thread_end(struct thread *t)
{
	thread_interrupt(t);
	sched_start(t);
}

void sched_start(struct thread *t)
{
	struct run_queue *q = lock_queue_of(t);

	if (t->state == THREAD_STOPPED)
		send(q, t, least_loaded(t));
	else
		spin_unlock(&q->lock);
}

void sched_set_affinity(struct thread *t, u64 mask)
{
	struct run_queue *q = lock_queue_of(t);

	t->affinity = mask;
	if (t->queued && !may_run_on(t, t->cpu)) {
		dequeue(q, t);
		leave(q, t);
		send(q, t, least_loaded(t));
		return;
	}
	if (cpus[t->cpu]->current == t)
		ask_resched(t->cpu);
	spin_unlock(&q->lock);
}

/*
 * Under the lock it is certain whether sched_start, by THREAD_START or for its end, comes before or
 * after.
 */
void thread_stop_here(void)
{
	struct thread *t = thread_current();
	struct run_queue *q = my_queue();

	spin_lock(&q->lock);
	if (t->stop && !thread_must_end()) {
		t->state = THREAD_STOPPED;
		schedule(q);
	} else {
		spin_unlock(&q->lock);
	}
}

void thread_exit(void)
{
	channel_thread_ended(thread_current()); /* may be a preemption point */
	spin_lock(&my_queue()->lock); /* who wakes it looks at its state and changes it under it */
	thread_current()->state = THREAD_EXITED;
	schedule(my_queue());
	__builtin_unreachable();
}

/* ---- Idle ---- */

void sched_order_cpus(const struct numa *n)
{
	for (u32 me = 0; me < cpu_count; me++)
		for (u32 i = 0; i < cpu_count; i++) {
			/* those of the same distance from `me` on, so that not all look at one */
			u32 at = i, cpu = (me + i) % cpu_count;
			const u8 *distance = n->distance[cpus[me]->node];
			u8 *near = own[me].near;

			for (; at > 1 &&
			       distance[cpus[near[at - 1]]->node] > distance[cpus[cpu]->node];
			     at--)
				near[at] = near[at - 1];
			near[at] = (u8)cpu;
		}
}

void sched_init_cpu(struct cpu *c, struct thread *idle)
{
	struct run_queue *q = &queues[c->id];

	for (u32 i = 0; cpu_facts.spec & SPEC_CORES && i < c->id; i++)
		if (cpus[i]->apic_id >> cpu_facts.core_shift == c->apic_id >> cpu_facts.core_shift)
			q = cpus[i]->queue;
	own[c->id].slice.fn = slice_over;
	idle->cpu = c->id;
	spin_lock(&q->lock);
	c->idle = c->current = idle;
	c->queue = q;
	q->cpus |= BIT(c->id);
	spin_unlock(&q->lock);
}

void sched_idle_loop(void)
{
	for (;;) {
		reschedule();
		if (!this_cpu()->resched)
			__asm__ volatile("sti; hlt; cli" : : : "memory");
		else
			preempt_point();
	}
}
