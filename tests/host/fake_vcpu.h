/*
 * What the local APIC and the policies need of the kernel: a clock that stands still, timers,
 * kicks, a log.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "arch/apic.h"
#include "arch/msr.h"
#include "hv/up.h"
#include "hv/vendor.h"
#include "kernel/domain.h"
#include "kernel/timer.h"
#include "kernel/vlapic.h"
#include "vmm/cpu_reset.h"

struct cpu_facts cpu_facts = {.phys_bits = 40};
static u64 fake_now;
static struct timer *fake_armed; /* the only one at a time */
static u32 fake_kicks, fake_log_lines;
static struct vcpu *fake_kicked;

u64 clock_ns(void) { return fake_now; }
u64 clock_until_tsc(u64 value, u64 offset) /* the TSC counts the nanoseconds */
{
	return value > fake_now + offset ? value - (fake_now + offset) : 0;
}
void log_line(enum log_level level, const char *fmt, ...) { fake_log_lines++; }
void assert_fail(const char *e, const char *f, int l) { abort(); }
void *kmem_alloc(struct quota *q, size_t n) { return calloc(1, n); }
void kmem_free(struct quota *q, void *p, size_t n) { free(p); }

void vcpu_kick(struct vcpu *v, u32 bits)
{
	fake_kicks++;
	fake_kicked = v;
	v->kick |= bits;
}

void timer_arm(struct timer *t, u64 deadline)
{
	t->deadline = deadline;
	t->cpu = 0;
	t->armed = true;
	fake_armed = t;
}

void timer_cancel(struct timer *t)
{
	t->armed = false;
	if (fake_armed == t)
		fake_armed = NULL;
}

/* The registers of the local APIC of vCPU n. */
static inline u32 *fake_apic_page(u32 n)
{
	static u32 page[20][PAGE_SIZE / sizeof(u32)];

	return page[n];
}

/* The local APIC after power-on, or after INIT: as the monitor makes it. */
static inline void fake_apic_reset(struct vcpu *v, bool init)
{
	static struct vcpu_state s, mode;

	vlapic_get_state(v, &mode);
	cpu_power_on(&s, v->index);
	if (init)
		s.apic.base = mode.apic.base;
	vlapic_set_state(v, &s);
}

/* IA32_APIC_BASE by state group APIC, as a monitor does. */
static inline void fake_set_base(struct vcpu *v, u64 base)
{
	static struct vcpu_state s;

	vlapic_get_state(v, &s);
	s.apic.base = base;
	vlapic_set_state(v, &s);
}

/* Lets time pass; timers fire on the way, each at its deadline plus `late`. */
static inline u32 fake_pass(u64 ns, u64 late)
{
	u64 end = fake_now + ns;
	u32 fired = 0;

	while (fake_armed && fake_armed->deadline + late <= end) {
		struct timer *t = fake_armed;

		fake_armed = NULL;
		t->armed = false;
		fake_now = t->deadline + late;
		fired++;
		t->fn(t);
	}
	fake_now = end;
	return fired;
}
