/*
 * Core scheduling: the CPUs of a core have one queue, and threads of different groups never run on
 * them at the same time. A turn of one group lasts a slice.
 */
#include "kernel/run_queue.h"

/* Mask of the core's other CPUs that run threads: of q->group. */
static u64 running_beside(const struct run_queue *q)
{
	u64 running = 0;

	for (u64 left = q->cpus & ~BIT(this_cpu()->id); left; left &= left - 1)
		running |= cpu_idles(lowest_cpu(left)) ? 0 : left & -left;
	return running;
}

/* Of q->group, the first that may run here, and not far ahead of other groups' that wait. */
static struct thread *first_of_group(const struct run_queue *q)
{
	struct rb_node *n = rb_first(&q->tree);
	u32 me = this_cpu()->id;
	bool others = false;

	for (u32 i = 0; n && i < MOVE_LOOKS; i++, n = rb_next(n)) {
		struct thread *t = container_of(n, struct thread, run_node);

		others |= group_of(t) != q->group;
		/* elsewhere than in this core it goes when it has run */
		if (!may_run_on(t, me) && allowed(t) & q->cpus)
			continue;
		/* the CPU that has its vCPU runs it, or drops that and asks this one */
		if (t->cpu != me && is_loaded(t) && may_run_on(t, t->cpu))
			continue;
		if (others ? may_fill(q, t, q->group) : group_of(t) == q->group)
			return t;
	}
	return NULL;
}

/*
 * When a turn is over, or one comes first that slept, the CPUs that run the old group are asked to
 * leave it; the last of them begins the next turn. Who finds nobody of the group idles.
 */
struct thread *sched_core_choose(struct run_queue *q, u64 now)
{
	struct thread *first = run_queue_first(q), *t;
	u64 beside = running_beside(q);
	bool over = !beside || now >= q->turn_ends;

	if (first && beside && group_of(first) != q->group &&
	    (over || (first->prompt_ns && !q->prompt))) {
		sched_ask(beside);
		return this_cpu()->idle;
	}
	if (!beside)
		q->prompt = false;
	if (first && over) {
		q->group = group_of(first);
		q->prompt = first->prompt_ns;
		q->turn_ends = now + slice_of(q, first);
	}
	t = first_of_group(q);
	if (t) {
		sched_take(q, t);
		t->cpu = this_cpu()->id;
	} else {
		t = sched_steal(q, first || beside ? q->group : NULL);
	}
	if (t && !beside)
		q->group = group_of(t);
	if (q->queued && (t || !beside))
		sched_ask(q->cpus & ~beside & ~BIT(this_cpu()->id));
	else if (q->queued)
		sched_choose_at(q->turn_ends);
	return t ? t : this_cpu()->idle;
}
