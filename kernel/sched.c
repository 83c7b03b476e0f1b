#include "kernel/sched.h"

#include "hv/up.h"
#include "hv/x86.h"
#include "kernel/cpu_setup.h"
#include "kernel/domain.h"
#include "kernel/ipc.h"
#include "kernel/smp.h"
#include "kernel/trace.h"
#include "kernel/trap.h"
#include "kernel/vcpu.h"
#include "mm/mm.h"

#define PROMPT_NS (SCHED_SLICE_NS / 8)
#define PROMPT_MIN_NS (SCHED_SLICE_NS / 64)

/* [r] under lock */
struct run_queue {
	spinlock_t lock;
	struct rb_tree tree; /* [r] struct thread.run_node by turn() */
	u32 queued;	     /* [r] */
	u64 min_vruntime;    /* [r] */
	struct timer slice;  /* the CPU's own */
	struct thread *prev; /* the CPU's own: switched away from, until the switch is finished */
};

static struct run_queue queues[MAX_CPUS];

/* first: next never ran, next_rsp is the top of its stack. next_cr3 0: the same. */
void switch_stack(u64 *save_rsp, u64 next_rsp, u64 next_cr3, bool first);

/* Who slept comes first, in order of waking up; the others by what they have run. */
static u64 turn(const struct thread *t) { return t->prompt_ns ? 0 : t->vruntime; }

static bool turn_earlier(const struct rb_node *a, const struct rb_node *b)
{
	return turn(container_of(a, struct thread, run_node)) <
	       turn(container_of(b, struct thread, run_node));
}

static struct run_queue *my_queue(void) { return &queues[this_cpu()->id]; }

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

/* ---- Accounting ---- */

/*
 * Up to now, the thread that runs on the queue's CPU. While nobody is queued, it has had least.
 */
static void charge(struct run_queue *q, struct thread *t, u64 now)
{
	u64 ran = now - MIN(now, t->run_start); /* another CPU's clock may be a little ahead */

	t->vruntime += ran * WEIGHT_DEFAULT / t->weight;
	t->prompt_ns -= MIN(t->prompt_ns, ran);
	t->run_start = now;
	if (!q->queued)
		q->min_vruntime = MAX(q->min_vruntime, t->vruntime);
	__atomic_fetch_add(&t->domain->cpu_ns, ran, __ATOMIC_RELAXED);
}

/* How long t runs while others wait: those that slept have their turns within a slice together. */
static u64 slice_of(const struct run_queue *q, const struct thread *t)
{
	return t->prompt_ns ? MAX(t->prompt_ns / (q->queued + 1), PROMPT_MIN_NS) : SCHED_SLICE_NS;
}

static void slice_over(struct timer *timer) { this_cpu()->resched = 1; }

/* ---- Choice ---- */

static bool may_run_on(const struct thread *t, u32 cpu) { return t->affinity >> cpu & 1; }

static bool is_loaded(const struct thread *t) { return t->vcpu && t->vcpu->cpu >= 0; }

/*
 * What it has run more than others in the old queue is what it has run more in the new one. Old
 * queue locked.
 */
static void set_cpu(struct thread *t, u32 cpu)
{
	u64 lead = t->vruntime - MIN(t->vruntime, queues[t->cpu].min_vruntime);

	if (cpu != t->cpu)
		t->vruntime = queues[cpu].min_vruntime + lead;
	t->cpu = cpu;
}

static struct thread *steal_from(struct run_queue *victim, u32 cpu)
{
	for (struct rb_node *n = rb_first(&victim->tree); n; n = rb_next(n)) {
		struct thread *t = container_of(n, struct thread, run_node);

		if (may_run_on(t, cpu) && !is_loaded(t)) {
			dequeue(victim, t);
			set_cpu(t, cpu);
			return t;
		}
	}
	return NULL;
}

/* Own lock held; others are only tried, so no order between queues is needed. */
static struct thread *steal(void)
{
	u32 me = this_cpu()->id;

	for (u32 i = 1; i < cpu_count; i++) {
		struct run_queue *victim = &queues[(me + i) % cpu_count];
		struct thread *t;

		if (!victim->queued || !spin_trylock(&victim->lock))
			continue;
		t = steal_from(victim, me);
		spin_unlock(&victim->lock);
		if (t)
			return t;
	}
	return NULL;
}

static struct thread *choose(struct run_queue *q)
{
	struct rb_node *n = rb_first(&q->tree);
	struct thread *t;

	if (!n) {
		t = steal();
		return t ? t : this_cpu()->idle;
	}
	t = container_of(n, struct thread, run_node);
	dequeue(q, t);
	q->min_vruntime = MAX(q->min_vruntime, turn(t));
	return t;
}

/* ---- Placing ---- */

static u32 load_of(u32 cpu) { return queues[cpu].queued + (cpus[cpu]->current != cpus[cpu]->idle); }

/* Its own CPU, unless it may not run there or another has less to do. */
static u32 least_loaded(const struct thread *t)
{
	u32 best = t->cpu, least = may_run_on(t, best) ? load_of(best) : ~0u;

	for (u32 cpu = 0; least && cpu < cpu_count; cpu++)
		if (may_run_on(t, cpu) && load_of(cpu) < least) {
			best = cpu;
			least = load_of(cpu);
		}
	return best;
}

static void ask_resched(u32 cpu)
{
	__atomic_store_n(&cpus[cpu]->resched, 1, __ATOMIC_SEQ_CST);
	if (cpu != this_cpu()->id)
		smp_ipi(cpu, IPI_RESCHED);
}

/*
 * On its way to another queue: nobody else moves it before make_runnable. The lock of t->cpu's
 * queue is held.
 */
static void take_off(struct thread *t, u32 cpu)
{
	t->state = THREAD_WAKING;
	set_cpu(t, cpu);
}

/* Puts a thread that was taken off into its CPU's queue. No queue's lock is held. */
static void make_runnable(struct thread *t)
{
	u32 cpu = t->cpu;
	struct run_queue *q = &queues[cpu];
	struct thread *current;
	u64 now = clock_ns();
	bool ask;

	spin_lock(&q->lock);
	current = cpus[cpu]->current; /* switched under the lock */
	if (current != cpus[cpu]->idle)
		charge(q, current, now);
	t->state = THREAD_RUNNABLE;
	t->run_start = now;
	t->vruntime = MAX(t->vruntime, q->min_vruntime);
	/* it has had so much more than others */
	if (t->vruntime > q->min_vruntime + SCHED_SLICE_NS)
		t->prompt_ns = 0;
	enqueue(q, t);
	ask = current == cpus[cpu]->idle || turn(t) < turn(current);
	if (!ask && q->queued == 1 && cpu == this_cpu()->id)
		timer_arm(&q->slice, now + slice_of(q, current));
	spin_unlock(&q->lock);
	if (ask || cpu != this_cpu()->id)
		ask_resched(cpu);
}

/* ---- Switch ---- */

/* On the new thread's stack, queue lock still held. */
static void switch_finish(void)
{
	struct run_queue *q = my_queue();
	struct thread *prev = q->prev;
	u32 state = prev->state;

	q->prev = NULL;
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

static void switch_to(struct run_queue *q, struct thread *next)
{
	struct cpu *c = this_cpu();
	struct thread *prev = c->current;
	struct aspace *as = space_of(next);
	u64 cr3 = 0, rsp = next->saved_rsp;

	vcpu_sched_out(next);
	trace_thread(TRACE_SWITCH, next, c->id);
	if (as != c->aspace) {
		aspace_activate(as);
		cr3 = aspace_cr3(as);
		SLOW_OP(); /* loaded by the switch of stacks */
	}
	c->current = next;
	cpu_set_kstack(next->kstack_top);
	q->prev = prev;
	switch_stack(&prev->saved_rsp, rsp ? rsp : next->kstack_top, cr3, !rsp);
	switch_finish();
}

/* Queue lock held, released on return. The current thread's state says what becomes of it. */
static void schedule(struct run_queue *q)
{
	struct cpu *c = this_cpu();
	struct thread *prev = c->current, *next;
	u64 now = clock_ns();

	c->resched = 0;
	if (prev != c->idle) {
		charge(q, prev, now);
		if (prev->state == THREAD_RUNNABLE && may_run_on(prev, c->id))
			enqueue(q, prev);
		else if (prev->state == THREAD_RUNNABLE)
			/* goes there when it is off its stack */
			take_off(prev, least_loaded(prev));
	}
	next = choose(q);
	next->waited_ns += now - MIN(now, next->run_start);
	next->run_start = now;
	if (q->queued && next != c->idle)
		timer_arm(&q->slice, now + slice_of(q, next));
	if (next == prev)
		spin_unlock(&q->lock);
	else
		switch_to(q, next);
}

static void reschedule(void)
{
	struct run_queue *q = my_queue();

	spin_lock(&q->lock);
	schedule(q);
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
		u32 cpu = __atomic_load_n(&t->cpu, __ATOMIC_RELAXED);

		spin_lock(&queues[cpu].lock);
		if (t->cpu == cpu)
			return &queues[cpu];
		spin_unlock(&queues[cpu].lock);
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

/*
 * Takes t, which waits, stopped or queued elsewhere, to a CPU. q, its queue, is locked; released.
 */
static void send(struct run_queue *q, struct thread *t, u32 cpu)
{
	take_off(t, cpu);
	trace_thread(TRACE_WAKE, t, cpu);
	spin_unlock(&q->lock);
	make_runnable(t);
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

void thread_wake_first(struct list *waiters)
{
	struct list *n = list_pop_front(waiters);

	if (n)
		thread_wake(list_entry(n, struct thread, wait_link));
}

void thread_wake_all(struct list *waiters)
{
	while (!list_empty(waiters))
		thread_wake_first(waiters);
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
	struct run_queue *q = my_queue();

	channel_thread_ended(thread_current());
	spin_lock(&q->lock); /* who wakes it looks at its state and changes it under the lock */
	thread_current()->state = THREAD_EXITED;
	schedule(q);
	__builtin_unreachable();
}

/* ---- Idle ---- */

void sched_init_cpu(struct cpu *c, struct thread *idle)
{
	queues[c->id].slice.fn = slice_over;
	idle->cpu = c->id;
	c->idle = c->current = idle;
}

void sched_idle_loop(void)
{
	for (;;) {
		reschedule();
		if (!this_cpu()->resched && !my_queue()->queued)
			__asm__ volatile("sti; hlt; cli" : : : "memory");
		else
			preempt_point();
	}
}
