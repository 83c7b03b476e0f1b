/* Sorted lists of address ranges that don't overlap. */
#pragma once

#include "lib/types.h"

#define RANGES_MAX 384

struct range {
	u64 start, end; /* end is exclusive, start < end */
};

struct ranges {
	u32 count, dropped; /* dropped: parts for which the list had no room */
	struct range r[RANGES_MAX];
};

/* Both ignore an empty range. */
void ranges_add(struct ranges *l, u64 start, u64 end);
void ranges_remove(struct ranges *l, u64 start, u64 end);
/* How much of [start, end) is in the list. */
u64 ranges_bytes(const struct ranges *l, u64 start, u64 end);
