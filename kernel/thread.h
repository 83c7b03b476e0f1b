/*
 * Threads and what a thread may do in the kernel: run, block, be woken, be preempted at marked points.
 * Interrupts are off in the kernel, except inside preempt_point and the idle loop.
 */
#pragma once

#include "hv/cpu.h"
#include "kernel/object.h"
#include "kernel/timer.h"

struct domain;
struct vcpu;

enum thread_state {
	THREAD_STOPPED,	 /* not started, or stopped by thread_set */
	THREAD_RUNNABLE, /* in a run queue, or running */
	THREAD_BLOCKING, /* has announced that it will block; a wake-up makes it RUNNABLE again */
	THREAD_BLOCKED,
	THREAD_EXITED,
};

/*
 * The user registers, at the top of the kernel stack while the thread is in the kernel. The order is the
 * pushes' in kernel/entry.asm.
 */
struct user_regs {
	u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

/* [I] immutable, [r] under the run queue's lock, [a] atomic, [t] the thread's own */
struct thread {
	struct object obj;
	struct domain *domain;	/* [I] holds a reference */
	struct list domain_link; /* domain->lock */
	u32 id;			/* [I] */
	u32 state;		/* [a] enum thread_state */
	u32 cpu;		/* [r] where it runs or ran last */
	u32 weight;		/* [r] 1..10000 */
	u64 affinity;		/* [r] mask of CPUs */
	u64 vruntime;		/* [r] weighted ns */
	u64 run_start;		/* [t] clock when it was put on the CPU */
	struct rb_node run_node; /* [r] */
	bool queued;		/* [r] */
	bool stop;		/* [a] thread_set STOP: stop at the next return to user */
	u64 saved_rsp;		/* [t] kernel stack pointer while not running */
	void *kstack;		/* [I] in the domain's private slot; NULL for the boot CPU's first */
	u64 kstack_top;		/* [I] */
	struct thread_args start; /* [I] */
	void (*kernel_fn)(void *arg); /* [I] kernel thread */
	void *kernel_arg;	/* [I] */
	struct msg_page *msg;	/* [I] the kernel's view of the message page */
	struct timer block_timer; /* [t] */
	bool timed_out;		/* [a] */
	struct vcpu *vcpu;	/* [t] vCPU that it is running, loaded or to be loaded again */
	/* channel calls, under the channel's lock */
	struct list ipc_link;
	u64 ipc_words;
	s64 ipc_result;
};

#define KSTACK_PAGES 2

static inline struct thread *thread_current(void)
{
	struct thread *t;

	__asm__ volatile("mov %%gs:24, %0" : "=r"(t));
	return t;
}

/*
 * Blocking, without lost wake-ups:
 *	thread_block_prepare();
 *	if (condition already true) { thread_block_cancel(); ... }
 *	else r = thread_block(deadline);
 * A thread_wake() after prepare makes thread_block return at once. Objects used afterwards need a reference.
 */
void thread_block_prepare(void);
void thread_block_cancel(void);
/* deadline in ns since boot or DEADLINE_NEVER. 0 = woken; -E_TIMEOUT; -E_INTR: the thread is to end or stop. */
int thread_block(u64 deadline);
void thread_wake(struct thread *t);

/* The thread must go back to its return path soon: its domain dies or it was told to stop. */
bool thread_must_leave(void);

/*
 * A marked preemption point: pending interrupts are taken, another thread may run. No lock may be held,
 * objects used afterwards need a reference.
 */
void preempt_point(void);
/* Is a preemption (resched) pending on this CPU? Cheap; for loops that enter guests. */
static inline bool preempt_pending(void) { return this_cpu()->resched != 0; }

struct thread *thread_create_kernel(const char *name, void (*fn)(void *), void *arg);
