/*
 * What kernel/sched.c calls, for tests that include it and play its threads in simulated time:
 * nothing is switched, and now_ns is the test's own.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <asm/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hv/facts.h"
#include "kernel/sched.c"

static u64 now_ns, random_state;
static void (*thread_ends)(void); /* what happens to a thread while it answers its last call, */
static jmp_buf gone;		  /* and where the test goes on when it has left */

struct cpu_facts cpu_facts;
struct cpu *cpus[MAX_CPUS];
u32 cpu_count;
struct domain kernel_domain = {.group = &kernel_domain.own_group};
struct aspace kernel_aspace;
bool trace_on;

u64 clock_ns(void) { return now_ns; }
void timer_arm(struct timer *t, u64 deadline_ns)
{
	t->deadline = deadline_ns;
	t->armed = true;
}
void timer_cancel(struct timer *t) { t->armed = false; }
void switch_stack(u64 *save_rsp, u64 next_rsp, u64 next_cr3, bool first)
{
	*save_rsp = 1;
	if (thread_ends)
		longjmp(gone, 1);
}
void smp_ipi(u32 n, u32 bits) {}
void vcpu_drop(struct cpu *c)
{
	if (c->vcpu)
		c->vcpu->cpu = -1;
	c->vcpu = NULL;
}
void aspace_activate(struct aspace *next) { this_cpu()->aspace = next; }
u64 aspace_cr3(const struct aspace *as) { return 0; }
void cpu_set_kstack(u64 top) {}
void channel_thread_ended(struct thread *t)
{
	if (thread_ends)
		thread_ends();
}
void domain_thread_ended(struct thread *t) {}
void object_put(struct object *o) {}
bool thread_must_leave(void) { return false; }
bool thread_must_end(void) { return false; }
void return_to_user(void) { abort(); }
void user_enter(u64 rip, u64 rsp, u64 arg) { abort(); }
void trace_thread_put(enum trace_kind kind, const struct thread *t, u32 n) {}
void assert_fail(const char *expr, const char *file, int line) { abort(); }

static inline u64 rnd(u64 below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (random_state * 0x2545f4914f6cdd1dull >> 16) % below;
}
