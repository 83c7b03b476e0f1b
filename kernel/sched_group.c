#include "kernel/sched_group.h"

#include "uapi/abi.h"

#define CAP_MIN_US 1000u
#define CAP_PERIOD_MAX_US 1000000u
#define NS_MAX 500000000ull  /* with this the products stay within 63 bits */
#define CAPPED_RUN_NS 50000u /* a thread that wakes up with nothing left gets to where it waits */

u64 sched_group_virtual(const struct sched_group *g, u64 times, u64 ns)
{
	return MIN(ns, NS_MAX) * 16 * WEIGHT_DEFAULT * MIN(times, 2 * ACTIVE_MAX) / g->weight;
}

void sched_group_charge(struct sched_group *g, u64 ran_ns)
{
	__atomic_fetch_add(&g->vruntime, sched_group_virtual(g, 1, ran_ns), __ATOMIC_RELAXED);
	if (unlikely(g->period_ns))
		__atomic_fetch_sub(&g->left_ns, (s64)ran_ns, __ATOMIC_RELAXED);
}

u64 sched_group_left(const struct sched_group *g)
{
	return likely(!g->period_ns) ? ~0ull : (u64)MAX(g->left_ns, (s64)CAPPED_RUN_NS);
}

u64 sched_group_waits(struct sched_group *g, u64 now)
{
	u64 period, end, periods;
	s64 left;

	spin_lock(&g->renewal);
	period = g->period_ns;
	end = g->period_end;
	if (period && now >= end) {
		periods = (now - end) / period + 1;
		/* what was left over is lost, what was taken too much is owed */
		left = __atomic_load_n(&g->left_ns, __ATOMIC_RELAXED);
		left = MIN((s64)(periods * g->quota_ns), (s64)g->quota_ns - left);
		__atomic_fetch_add(&g->left_ns, left, __ATOMIC_RELAXED);
		g->period_end = end += periods * period;
	}
	spin_unlock(&g->renewal);
	return !period || __atomic_load_n(&g->left_ns, __ATOMIC_RELAXED) > 0 ? 0 : end;
}

int sched_group_set_cap(struct sched_group *g, u64 cap, u64 now)
{
	u64 quota = cap >> 32, period = (u32)cap;

	if (cap && (quota < CAP_MIN_US || period < CAP_MIN_US || period > CAP_PERIOD_MAX_US))
		return -E_INVAL;
	spin_lock(&g->renewal);
	g->quota_ns = quota * 1000;
	__atomic_store_n(&g->left_ns, (s64)g->quota_ns, __ATOMIC_RELAXED);
	g->period_end = now + period * 1000;
	__atomic_store_n(&g->period_ns, period * 1000, __ATOMIC_RELEASE);
	spin_unlock(&g->renewal);
	return 0;
}
