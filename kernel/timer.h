/* Timers: a tree per CPU over the local APIC's one-shot timer. */
#pragma once

#include "hv/timer.h"

/*
 * Arms on this CPU, replacing an earlier deadline. A deadline in the past fires at once (by
 * interrupt). No two CPUs arm or cancel the same timer at once: its owner sees to that.
 */
void timer_arm(struct timer *t, u64 deadline_ns);
/* From any CPU. After return fn is not running and will not run (unless armed again). */
void timer_cancel(struct timer *t);
