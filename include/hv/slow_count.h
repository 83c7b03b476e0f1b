/* hv/slow.h of a bench build. */
#pragma once

#include "hv/cpu.h"

extern bool slow_counting; /* false until slow_start */
/* Called once every CPU has its GS base: before that, this_cpu() can't be used. */
static inline void slow_start(void) { slow_counting = true; }
#define SLOW_OPS(n) ((void)(slow_counting && (this_cpu()->slow_ops += (n))))
