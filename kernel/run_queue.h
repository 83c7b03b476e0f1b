/* The scheduler's queues, for kernel/sched.c and sched_core.c. */
#pragma once

#include "hv/vcpu.h"
#include "kernel/domain.h"
#include "kernel/sched.h"

#define PROMPT_NS (SCHED_SLICE_NS / 8)
#define PROMPT_MIN_NS (SCHED_SLICE_NS / 64)
#define MOVE_LOOKS 32u /* threads that one search looks at: the time under a lock is bounded */

/*
 * [r] under lock. Of a CPU; with core scheduling of a core, whose CPUs run threads of one group.
 * Members are the threads that run on them and those in the tree.
 */
struct run_queue {
	spinlock_t lock;
	struct rb_tree tree; /* [r] struct thread.run_node in the order of turns */
	u32 queued;	     /* [r] */
	u64 load;	     /* [r] of the members */
	u64 min_vruntime;    /* [r] */
	u64 balance_at;	     /* [a] not before does it look for another queue's load */
	u64 cpus;	     /* [r] mask; [I] when all are up */
	/* [r] of a core, while one of its CPUs runs a thread: whose turn it is, until when, */
	struct sched_group *group;
	u64 turn_ends;
	bool prompt; /* [r] and that it began for one who slept */
};

/* The queue of more than one CPU. */
static inline bool run_queue_is_core(const struct run_queue *q) { return q->cpus & (q->cpus - 1); }

static inline struct thread *run_queue_first(const struct run_queue *q)
{
	struct rb_node *n = rb_first(&q->tree);

	return n ? container_of(n, struct thread, run_node) : NULL;
}

static inline struct cpu *lowest_cpu(u64 mask) { return cpus[__builtin_ctzll(mask)]; }

static inline bool cpu_idles(const struct cpu *c) { return c->current == c->idle; }

/* Virtual times run over: only differences count. */
static inline bool earlier(u64 a, u64 b) { return (s64)(a - b) < 0; }

static inline struct sched_group *group_of(const struct thread *t) { return t->domain->group; }

/* Run time of t, a member, by its weight and its group's. */
static inline u64 weighed(const struct thread *t, u64 ns)
{
	return sched_group_virtual(group_of(t), group_of(t)->active, ns) / t->counted;
}

static inline u64 allowed(const struct thread *t)
{
	u64 cpus_of_group = group_of(t)->cpus, both = t->affinity & cpus_of_group;

	return both ? both : cpus_of_group;
}

static inline bool may_run_on(const struct thread *t, u32 cpu) { return allowed(t) >> cpu & 1; }

static inline bool is_loaded(const struct thread *t) { return t->vcpu && t->vcpu->cpu >= 0; }

/* What its group has in the queue. */
static inline struct sched_group_queue *group_in(const struct run_queue *q, const struct thread *t)
{
	return &group_of(t)->queue[lowest_cpu(q->cpus)->id];
}

/*
 * What the CPU has to do if t, no member, comes: its group's threads will weigh less. 0: it idles.
 */
static inline u64 load_with(const struct thread *t, u32 cpu)
{
	const struct run_queue *q = cpus[cpu]->queue;
	const struct sched_group *g = group_of(t);
	const struct sched_group_queue *in = group_in(q, t);
	u64 with = sched_group_load(g, in->active + t->weight, g->active + t->weight);

	return q->load ? q->load - in->load + with : 0;
}

/* How long t runs while others wait: those that slept have their turns within a slice together. */
static inline u64 slice_of(const struct run_queue *q, const struct thread *t)
{
	return t->prompt_ns ? MAX(t->prompt_ns / (q->queued + 1), PROMPT_MIN_NS) : SCHED_SLICE_NS;
}

/*
 * t, of q's tree or on its way there, may run beside threads of that group though others are first:
 * it has not had two slices more than they.
 */
static inline bool may_fill(const struct run_queue *q, const struct thread *t,
			    const struct sched_group *group)
{
	return group_of(t) == group &&
	       earlier(t->vruntime, q->min_vruntime + 2 * weighed(t, SCHED_SLICE_NS));
}

/* ---- All with q's lock held ---- */

/* t, in q's tree, runs next on this CPU. */
void sched_take(struct run_queue *q, struct thread *t);
/* A thread from another queue, of that group if not NULL; q is this CPU's. NULL: none. */
struct thread *sched_steal(struct run_queue *q, const struct sched_group *group);
/* Makes this CPU choose again at that time. */
void sched_choose_at(u64 ns);
/* What runs next on this CPU of a core, the idle thread at last. */
struct thread *sched_core_choose(struct run_queue *q, u64 now);
