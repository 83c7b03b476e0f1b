/* Quotas count bytes of memory; a child's limit is taken from its parent's. Atomic. */
#pragma once

#include "lib/types.h"

/* [I] immutable, [a] atomic */
struct quota {
	u64 limit;  /* [a] bytes */
	u64 used;   /* [a] bytes charged, limits given to children included */
	u64 tables; /* [a] of used: page tables */
	/* [a] frames held by memory objects charged here; part of what was charged */
	u64 populated;
};

/* Of what the kernel has for itself: without a limit (kernel/domain.c). */
extern struct quota *const kernel_quota;

/* false: nothing charged */
bool quota_charge(struct quota *q, u64 bytes) __must_check;
void quota_uncharge(struct quota *q, u64 bytes); /* asserts that it was charged */
/* Statistics beside `used`: tables or populated. delta may be negative. */
static inline void quota_count(u64 *count, s64 delta)
{
	__atomic_fetch_add(count, (u64)delta, __ATOMIC_RELAXED);
}
