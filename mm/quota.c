/* Quotas: compare-and-swap on one counter, so that two CPUs can't both take the last byte. */
#include "mm/quota.h"

#include "lib/assert.h"

bool quota_charge(struct quota *q, u64 bytes)
{
	u64 used = __atomic_load_n(&q->used, __ATOMIC_RELAXED);

	do {
		u64 limit = __atomic_load_n(&q->limit, __ATOMIC_RELAXED);

		if (used > limit || bytes > limit - used)
			return false;
	} while (!__atomic_compare_exchange_n(&q->used, &used, used + bytes, false,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

void quota_uncharge(struct quota *q, u64 bytes)
{
	u64 before = __atomic_fetch_sub(&q->used, bytes, __ATOMIC_RELAXED);

	ASSERT(before >= bytes);
}
