/*
 * Threads and what a thread may do in the kernel: run, block, be woken, be preempted at marked
 * points. Interrupts are off in the kernel, except inside preempt_point and the idle loop.
 */
#pragma once

#include "hv/cpu.h"
#include "kernel/object.h"
#include "kernel/timer.h"

struct channel;
struct domain;
struct vcpu;

enum thread_state {
	THREAD_STOPPED,	 /* not started, or stopped by thread_set */
	THREAD_RUNNABLE, /* in a run queue, or running */
	THREAD_BLOCKING, /* has announced that it will block; a wake-up makes it RUNNABLE again */
	THREAD_BLOCKED,
	THREAD_WAKING, /* taken off BLOCKED or STOPPED, on its way to a run queue */
	THREAD_EXITED,
};

/* What trap entry pushes (kernel/entry.asm), for faults and interrupts from any ring. */
struct trap_frame {
	u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

/* [I] immutable, [r] under the run queue's lock, [a] atomic, [t] the thread's own */
struct thread {
	struct object obj;
	struct domain *domain;	 /* [I] kept by the quota that the thread is charged to */
	struct list domain_link; /* domain->lock */
	u32 id;			 /* [I] */
	u32 state;		 /* [a] enum thread_state */
	u32 cpu; /* [r] where it runs, ran last, or will run; changed under the old queue's lock */
	u32 weight;    /* [a] among the threads of its group: 1..WEIGHT_MAX */
	u32 counted;   /* [r] of it, in its group */
	u64 affinity;  /* [r] mask of CPUs */
	u64 vruntime;  /* [r] run time by weight */
	u64 slept_at;  /* [r] its group's virtual time when it went to sleep */
	u64 served_ns; /* [r] what it has run for the call that it serves, */
	/* [a] until it runs again: others for calls of its own; when it is new, a slice */
	u64 owed_ns;
	bool yields;		 /* [t] see sched_yield */
	u64 prompt_ns;		 /* [r] it slept: for so long it runs before those that did not */
	u64 run_start;		 /* [r] clock when it was put on the CPU, last charged or woken */
	u64 cpu_ns;		 /* [r] run time */
	u64 waited_ns;		 /* [r] runnable, but not running; the vCPU that it runs takes it */
	struct rb_node run_node; /* [r] */
	bool queued;		 /* [r] */
	bool stop;		 /* [a] thread_set STOP: stop at the next return to user */
	u64 saved_rsp;		 /* [t] kernel stack pointer while not running */
	void *kstack;	/* [I] in the domain's private slot; NULL for the boot CPU's first */
	u64 kstack_top; /* [I] */
	struct thread_args start; /* [I] */
	void (*kernel_fn)(void);  /* [I] kernel thread */
	struct msg_page *msg;	  /* [I] the kernel's view of the message page */
	struct timer block_timer; /* [t] */
	bool timed_out;		  /* [a] */
	struct vcpu *vcpu;	  /* [t] vCPU that it is running, loaded or to be loaded again */
	struct list wait_link;	  /* under the lock of what it waits for */
	/* under its lock: where a call of this thread is queued or served */
	struct channel *channel;
	/* under the channel's lock: the client served, or the server serving */
	struct thread *peer;
	u64 ipc_words;	/* of the call made, or received: under the channel's lock */
	s64 ipc_result; /* under the channel's lock */
};

static inline struct thread *thread_current(void)
{
	struct thread *t;

	/* not volatile: within one stack it never changes */
	__asm__("mov %%gs:24, %0" : "=r"(t));
	return t;
}

/*
 * Blocking, without lost wake-ups:
 *	thread_block_prepare();
 *	if (condition already true) { thread_block_cancel(); ... }
 *	else r = thread_block(deadline);
 * A thread_wake() after prepare makes thread_block return at once. Objects used afterwards need a
 * reference.
 */
void thread_block_prepare(void);
void thread_block_cancel(void);
/*
 * deadline in ns since boot or DEADLINE_NEVER. 0 = woken; -E_TIMEOUT; -E_INTR: the thread is to end
 * or stop.
 */
int thread_block(u64 deadline);
void thread_wake(struct thread *t);
/* The first of a list by wait_link; it is taken off. False: none is there. Under its lock. */
bool thread_wake_first(struct list *waiters);

/* Its domain dies or it was revoked: it does not return to ring 3. */
bool thread_must_end(void);
/* The thread must go back to its return path soon: it has to end or to stop. */
bool thread_must_leave(void);

/*
 * A marked preemption point: pending interrupts are taken, another thread may run. No lock may be
 * held, objects used afterwards need a reference.
 */
void preempt_point(void);
void user_enter(u64 rip, u64 rsp, u64 arg) __noreturn; /* a thread's first way to ring 3 */

/*
 * In any domain (not only the current one). The thread is stopped. One reference for the caller.
 * -E_NOMEM, -E_DEAD
 */
int thread_create(struct domain *d, const struct thread_args *a, struct thread **out) __must_check;
/* A kernel thread, blocked until its first thread_wake. NULL: no memory. */
struct thread *thread_create_kernel(void (*fn)(void));
