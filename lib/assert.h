/* Invariants of our own code; never a reaction to input. They stay on in release builds. */
#pragma once

#include "lib/types.h"

/*
 * Reports the broken invariant and stops: the kernel panics, a program exits, a host test aborts.
 */
void assert_fail(const char *expr, const char *file, int line) __noreturn;

#define ASSERT(e) ((void)(likely(e) || (assert_fail(#e, __FILE__, __LINE__), 0)))

/* Only where the check would cost a hot path: on in debug builds. */
#ifdef CAISSON_DEBUG
#define DEBUG_ASSERT(e) ASSERT(e)
#else
#define DEBUG_ASSERT(e) ((void)sizeof(e))
#endif
