/*
 * The scheduler: a queue per CPU ordered by weighted run time; the thread that has had least runs
 * next, but one that slept comes first for a short time. Threads wake where they ran last unless
 * another CPU has less to do; an idle CPU takes from others. A run queue's lock is held
 * across the switch, so a thread that another CPU finds queued is off its stack.
 */
#pragma once

#include "kernel/thread.h"

#define SCHED_SLICE_NS 5000000ull
#define WEIGHT_DEFAULT 100u

void sched_init_cpu(struct cpu *c, struct thread *idle); /* on the CPU */
void sched_idle_loop(void) __noreturn;
void sched_start(struct thread *t); /* STOPPED -> RUNNABLE, on the CPU with the least load */
void thread_exit(void) __noreturn;  /* the current thread */
void thread_stop_here(void); /* the current thread was told to stop; if that still holds, it does */
/* mask: CPUs that are up, at least one. A thread that runs or waits elsewhere moves. */
void sched_set_affinity(struct thread *t, u64 mask);
/* its domain dies or it is to stop: wakes it or makes its CPU look */
void thread_interrupt(struct thread *t);
/*
 * It was marked to end (its domain dies, or it was revoked): makes it run, whatever its state, to
 * do so.
 */
void thread_end(struct thread *t);
