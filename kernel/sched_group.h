/*
 * What the threads of a domain have together, with those of the domains that it makes: a weight
 * against other groups, the CPUs that they may use, a cap. A VM is a group: its vCPUs, however
 * many, weigh as much as another VM's one. The kernel's threads and init are a group each.
 */
#pragma once

#include "hv/lock.h"
#include "uapi/layout.h"

#define WEIGHT_DEFAULT 100u
#define WEIGHT_MAX 10000u
#define ACTIVE_MAX (1u << 22) /* of active: beyond it a thread counts as 1 */
#define LOAD_UNIT 64u	      /* load of a group of weight 1 */

/* In a queue, under its lock. */
struct sched_group_queue {
	u64 active; /* sum of the weights of its threads that run or wait there */
	u64 load;   /* what they weigh, when one last came or went */
	u64 base;   /* where the group's virtual time begins in the queue's */
};

/* [a] all */
struct sched_group {
	u64 cpus;		 /* mask; set by another group, ~0 at first */
	u64 active;		 /* sum of the weights of its threads that run or wait for a CPU */
	u32 weight;		 /* 1..WEIGHT_MAX */
	u64 vruntime;		 /* of all its threads */
	u64 period_ns, quota_ns; /* run time in a period, on all CPUs together; 0: no cap */
	s64 left_ns;		 /* of this period's; below 0: owed by the next */
	u64 period_end;
	spinlock_t renewal;			  /* of left_ns by period_end */
	struct sched_group_queue queue[MAX_CPUS]; /* by its first CPU */
};

/* What those that have `part` of all active ones' weight weigh: at least 1, if there are any. */
static inline u64 sched_group_load(const struct sched_group *g, u64 part, u64 active)
{
	return active ? (g->weight * LOAD_UNIT * part + active - 1) / active : 0;
}
/* Run time by the group's weight, so many times, in sixteenths of a ns. */
u64 sched_group_virtual(const struct sched_group *g, u64 times, u64 ns);
void sched_group_charge(struct sched_group *g, u64 ran_ns);
/* How long one of its threads may run on, ~0: as long as it likes. */
u64 sched_group_left(const struct sched_group *g);
/* It has a cap, and has used up its quota: until when its threads wait. 0: they may run. */
u64 sched_group_waits(struct sched_group *g, u64 now);
static inline u64 sched_group_capped(struct sched_group *g, u64 now)
{
	return likely(!g->period_ns) ? 0 : sched_group_waits(g, now);
}
/*
 * cap: quota << 32 | period in us, or 0: none. At least 1 ms each, the period at most 1 s.
 * -E_INVAL
 */
int sched_group_set_cap(struct sched_group *g, u64 cap, u64 now) __must_check;
