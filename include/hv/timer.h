/* A timer of kernel/timer.c, so that it can stand in what it belongs to. */
#pragma once

#include "lib/rbtree.h"
#include "lib/types.h"

struct timer {
	struct rb_node node;
	u64 deadline; /* ns since boot */
	u32 cpu;      /* where it is queued */
	bool armed;
	/* interrupts off, on the CPU that armed it; may arm it again */
	void (*fn)(struct timer *t);
};
