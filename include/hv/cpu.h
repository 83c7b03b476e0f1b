/* The per-CPU structure; GS points to it in ring 0. */
#pragma once

#include "uapi/layout.h"

struct run_queue;
struct thread;
struct vcpu;
struct aspace;

/*
 * All fields belong to the CPU itself unless marked: [a] atomic, set by others too; [I] after
 * start. The first four are used by assembly (see kernel/offsets.c).
 */
struct cpu {
	struct cpu *self; /* [I] */
	u64 user_rsp;	  /* scratch of the system-call entry */
	u64 kstack_top;	  /* of the current thread */
	struct thread *current;
	struct thread *idle;
	struct aspace *aspace;	 /* whose CR3 is loaded */
	struct vcpu *vcpu;	 /* loaded vCPU, or NULL */
	struct run_queue *queue; /* [I] the scheduler's */
	u32 id;			 /* [I] 0..MAX_CPUS-1 */
	u32 apic_id;		 /* [I] */
	u32 node;		 /* [I] NUMA */
	bool claimed;		 /* [a] by its start, or by the boot CPU that gave it up */
	bool up;		 /* [a] */
	u32 resched;		 /* [a] leave ring 3 or the guest and choose again */
	u64 ipi_pending;	 /* [a] enum ipi bits */
	u64 quiesce_seq;	 /* [a] last epoch request answered */
	u64 flush_seq;		 /* [a] address-space flush requests answered */
	u64 unmap_seen;		 /* [a] mm/unmap_epoch.h */
	u64 timer_armed;	 /* deadline in the local APIC, ns; ~0 none, 0 not set */
	u64 slow_ops;		 /* counted by wrappers in bench builds */
	u64 nmis;		 /* that nobody asked for */
	void *window;		 /* [I] WINDOW_BASE + id * WINDOW_SIZE */
	u64 *window_pte;	 /* [I] its 512 page-table entries */
	u64 fixup_rip;		 /* not 0: a #PF or #GP in ring 0 continues here, RAX negative */
};

extern struct cpu *cpus[MAX_CPUS]; /* NULL beyond cpu_count */
extern u32 cpu_count;

static inline struct cpu *this_cpu(void)
{
	struct cpu *c;

	/* volatile: a thread that blocks may continue on another CPU */
	__asm__ volatile("mov %%gs:0, %0" : "=r"(c));
	return c;
}

/* False: the CPU doesn't have it, and *value is 0. For those that no CPUID bit promises. */
static inline bool rdmsr_safe(u32 msr, u64 *value)
{
	u64 *fixup = &this_cpu()->fixup_rip;
	u64 low, high = 0;

	__asm__ volatile("lea 1f(%%rip), %0\n\tmov %0, (%2)\n\trdmsr\n1:\tmovq $0, (%2)"
			 : "=&a"(low), "+&d"(high)
			 : "r"(fixup), "c"(msr)
			 : "memory");
	*value = low >> 32 ? 0 : high << 32 | low;
	return !(low >> 32);
}
