/*
 * Bench builds count the operations whose cost an instruction count hides: control-register and MSR
 * writes, INVLPG, XSAVE and XRSTOR, world switches. Their wrappers call SLOW_OPS.
 */
#pragma once

#include "lib/types.h"

#ifdef CAISSON_COUNT_SLOW
#include "hv/cpu.h"

extern bool slow_counting; /* false until slow_start */
/* Called once every CPU has its GS base: before that, this_cpu() can't be used. */
static inline void slow_start(void) { slow_counting = true; }
#define SLOW_OPS(n) ((void)(slow_counting && (this_cpu()->slow_ops += (n))))
#else
static inline void slow_start(void) {}
#define SLOW_OPS(n) ((void)0)
#endif

#define SLOW_OP() SLOW_OPS(1)
