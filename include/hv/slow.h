/*
 * Bench builds count the operations whose cost an instruction count hides: control-register and MSR
 * writes, INVLPG, XSAVE and XRSTOR, world switches. Their wrappers call SLOW_OPS.
 */
#pragma once

#include "lib/types.h"

#ifdef CAISSON_COUNT_SLOW
#include "hv/cpu.h"

extern bool slow_counting; /* set once every CPU has its GS base: before, this_cpu() can't be used */
#define SLOW_OPS(n) ((void)(slow_counting && (this_cpu()->slow_ops += (n))))
#else
#define SLOW_OPS(n) ((void)0)
#endif

#define SLOW_OP() SLOW_OPS(1)
