/*
 * The one nanosecond clock: an invariant TSC, or one that a start-up check shows to be in step,
 * else HPET or the PM timer. tsc= overrides (tsc=reliable, tsc=off). clock_ns and the conversions
 * are declared in hv/up.h.
 */
#pragma once

#include "hv/cpu.h"
#include "uapi/abi.h"

enum tsc_option { TSC_CHECK, TSC_RELIABLE, TSC_OFF };
/* calibrates; ns 0 = entry_tsc */
void clock_init(u64 entry_tsc, enum tsc_option option);
/* on an AP at its start: is its TSC in step? else falls back */
void clock_check_cpu(struct cpu *c);
/* on the boot CPU, again and again while an AP may be in clock_check_cpu */
void clock_sync_poll(void);
const char *clock_name(void);
u64 clock_tsc_hz(void);
/* When the other CPUs have started: is the TSC the clock? ns = ((tsc - base) * mult) >> 32. */
void clock_tell(struct kinfo *k);
