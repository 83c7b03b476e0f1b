/*
 * Bench builds count the operations whose cost an instruction count hides: control-register and MSR
 * writes, INVLPG, XSAVE and XRSTOR, world switches. Their wrappers call SLOW_OPS.
 */
#pragma once

#ifdef CAISSON_COUNT_SLOW
#include "hv/slow_count.h"
#else
#define slow_start() ((void)0)
#define SLOW_OPS(n) ((void)0)
#endif

#define SLOW_OP() SLOW_OPS(1)
