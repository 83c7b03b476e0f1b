/*
 * The devices' deadlines, in one list; the event thread waits for the first and runs what is due.
 */
#pragma once

#include "vmm/device.h"

struct timers {
	struct rt_mutex lock; /* below every device's */
	struct vtimer *first;
};

/*
 * Arms t for `deadline` (VM clock), or takes it out (VTIMER_OFF). The caller holds t->dev's lock.
 * True when t is now the first: whoever waits has to wait less.
 */
bool timers_set(struct timers *ts, struct vtimer *t, u64 deadline);

u64 timers_next(struct timers *ts); /* the first deadline, or VTIMER_OFF */

/* Runs everything due at `now`, at most once each, with its device's lock. */
void timers_run(struct timers *ts, u64 now);
