/*
 * The scheduler (docs/scheduler.md): a queue per CPU ordered by weighted run time; the thread that
 * has had least runs next, but one that slept comes first for a short time. Threads wake where they
 * ran last unless another CPU has less to do; an idle CPU takes from others, the nearest first; one
 * with more load than another gives from time to time. A run queue's lock is held across the
 * switch, so a thread that another CPU finds queued is off its stack.
 */
#pragma once

#include "kernel/thread.h"

struct numa;

#define SCHED_SLICE_NS 5000000ull

void sched_init_cpu(struct cpu *c, struct thread *idle); /* on the CPU */
void sched_idle_loop(void) __noreturn;
/* All CPUs are up, each at its node. */
void sched_order_cpus(const struct numa *n);
void sched_start(struct thread *t); /* STOPPED -> RUNNABLE, on the CPU with the least load */
void thread_exit(void) __noreturn;  /* the current thread */
void thread_stop_here(void); /* the current thread was told to stop; if that still holds, it does */
/* mask: CPUs that are up, at least one. A thread that runs or waits elsewhere moves. */
void sched_set_affinity(struct thread *t, u64 mask);
/* Charges what runs with its time up to now, or up to a millisecond before. */
void sched_settle(void);
/* The CPUs of the mask choose again. */
void sched_ask(u64 cpu_mask);
/*
 * The current thread is about to answer client, whose channel is locked, or nobody any more: what
 * it has run since it took the call is charged to client.
 */
void sched_served(struct thread *client);
/*
 * The current thread spins: at its next preemption point it lets others of its domain run, also one
 * that has had more than it.
 */
void sched_yield(void);
/* its domain dies or it is to stop: wakes it or makes its CPU look */
void thread_interrupt(struct thread *t);
/*
 * It was marked to end (its domain dies, or it was revoked): makes it run, whatever its state, to
 * do so.
 */
void thread_end(struct thread *t);
