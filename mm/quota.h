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

/* false: nothing charged. NULL q: always true */
bool quota_charge(struct quota *q, u64 bytes) __must_check;
void quota_uncharge(struct quota *q, u64 bytes); /* asserts that it was charged */
/* Statistics beside `used`; NULL q: nothing. delta may be negative. */
void quota_count_tables(struct quota *q, s64 delta);
void quota_count_populated(struct quota *q, s64 delta);
