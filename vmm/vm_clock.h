/*
 * The VM's clock: the host's since the VM's start, without the time that it stood. That time is
 * also taken from each vCPU's TSC (struct vcpu_state, `clock`), so that what a guest computes from
 * its TSC never shows a pause.
 */
#pragma once

#include "lib/types.h"

/* [a] atomic, others: the event thread alone writes them, while no vCPU runs */
struct vm_clock {
	u64 start_tsc, start_ns; /* host's TSC and clock when this one was 0, moved by each pause */
	u64 standing;		 /* [a] ns that it shows while it stands; 0: it runs */
	u64 stop_tsc, stop_ns;	 /* host's, when it stopped last */
	struct vm_clock_stood {
		u64 tsc, ns;
	} stood; /* how long it has stood, over all pauses that have ended */
};

void vm_clock_init(struct vm_clock *c); /* it starts at 0 */
void vm_clock_stop(struct vm_clock *c); /* it runs */
void vm_clock_go(struct vm_clock *c);	/* it stands */
u64 vm_clock_now(const struct vm_clock *c);

static inline bool vm_clock_stands(const struct vm_clock *c)
{
	return __atomic_load_n(&c->standing, __ATOMIC_ACQUIRE);
}
