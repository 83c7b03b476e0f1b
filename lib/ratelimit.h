/* A limit on how often something may be said: a stock of words, and a new one now and then. */
#pragma once

#include "lib/types.h"

/* The user sets it to zeros, which is a full stock. */
struct ratelimit {
	u64 spent;   /* words taken, less those that came back */
	u64 since;   /* time up to which words came back */
	u32 dropped; /* refused since the last one that passed */
};

/*
 * May another be said at `now`? At most `burst` at once; one comes back each `period`, in the same
 * unit as now. True: *dropped = how many were refused before it.
 */
static inline bool ratelimit_pass(struct ratelimit *r, u64 now, u32 burst, u64 period, u32 *dropped)
{
	u64 waited =
		now > r->since ? now - r->since : 0; /* another CPU may have been a little ahead */
	u64 back = MIN(waited / period, r->spent);

	r->spent -= back;
	r->since = r->spent ? r->since + back * period : now;
	if (r->spent >= burst) {
		r->dropped++;
		return false;
	}
	r->spent++;
	*dropped = r->dropped;
	r->dropped = 0;
	return true;
}
