/*
 * A thread as far as the handle table looks at it: the real one is found through GS, which CBMC
 * has no word for.
 */
#pragma once

#include "hv/cpu.h"
#include "kernel/object.h"
#include "kernel/timer.h"

struct domain;

struct thread {
	struct domain *domain;
};

extern struct thread proof_thread;
static inline struct thread *thread_current(void) { return &proof_thread; }
