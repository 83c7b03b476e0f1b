/*
 * The trace (uapi/trace.h): a ring per CPU, of which the newest records are kept. Off it costs the
 * scheduler a branch and exits nothing: on, the table of the back-end's callbacks is another one.
 */
#pragma once

#include "hv/cpu.h"
#include "uapi/trace.h"

struct thread;
union sys_request;

extern bool trace_on; /* [a] */

/*
 * on: makes the rings at the first time, for good; not 0: it is on. -E_NOMEM: it is off, though
 * some CPUs may have a ring. A preemption point. NMI handlers write no records.
 */
s64 trace_set(union sys_request *unused, u64 on);

/*
 * Copies up to TRACE_CHUNK records of r->cpu that are whole. -E_NOENT: no such CPU, or it has no
 * ring. -E_FAULT. Any CPU.
 */
int trace_read(struct trace_read *r);

/* TRACE_SWITCH or TRACE_WAKE, of a thread that has not ended; interrupts off. */
void trace_thread_put(enum trace_kind kind, const struct thread *t, u32 cpu);

static inline void trace_thread(enum trace_kind kind, const struct thread *t, u32 cpu)
{
	if (unlikely(trace_on))
		trace_thread_put(kind, t, cpu);
}
