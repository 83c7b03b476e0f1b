/*
 * The machine around a device model under test: a clock that only the test moves, lines and
 * messages that are recorded.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/state.h"
#include "vmm/timer.h"

#define FAKE_MSIS 64

struct fake {
	struct platform plat;
	struct timers timers;
	u64 now;
	bool level[24];
	u32 edges[24]; /* rising */
	struct {
		u64 address;
		u32 data;
	} msi[FAKE_MSIS];
	u32 msis;
	u32 ends;
	enum vm_reason reason;
	u32 status;
	u64 cpus_back, cpus_kept; /* by cpu_answer */
	u32 kept_why;
};

void rt_lock(struct rt_mutex *m)
{
	assert_int_equal(m->state, 0);
	m->state = 1;
}

void rt_unlock(struct rt_mutex *m)
{
	assert_int_equal(m->state, 1);
	m->state = 0;
}

static struct fake *fake_of(struct platform *p) { return container_of(p, struct fake, plat); }
static u64 fake_now(struct platform *p) { return fake_of(p)->now; }

static void fake_line(struct platform *p, u32 irq, bool up)
{
	struct fake *f = fake_of(p);

	f->edges[irq] += up && !f->level[irq];
	f->level[irq] = up;
}

static void fake_timer(struct platform *p, struct vtimer *t, u64 deadline)
{
	timers_set(&fake_of(p)->timers, t, deadline);
}

static void fake_msi(struct platform *p, u64 address, u32 data)
{
	struct fake *f = fake_of(p);

	assert_in_range(f->msis, 0, FAKE_MSIS - 1);
	f->msi[f->msis].address = address;
	f->msi[f->msis++].data = data;
}

static void fake_end(struct platform *p, enum vm_reason reason, u32 status)
{
	struct fake *f = fake_of(p);

	f->ends++;
	f->reason = reason;
	f->status = status;
}

static void fake_cpu_answer(struct platform *p, u32 cpu, u32 status)
{
	struct fake *f = fake_of(p);

	assert_in_range(cpu, 1, 63); /* the boot CPU never goes */
	if (status)
		f->cpus_kept |= BIT(cpu);
	else
		f->cpus_back |= BIT(cpu);
	f->kept_why = status;
}

static const struct platform_ops fake_ops = {
	.now = fake_now,
	.line = fake_line,
	.timer = fake_timer,
	.msi = fake_msi,
	.end = fake_end,
	.cpu_answer = fake_cpu_answer,
};

static inline void fake_init(struct fake *f)
{
	memset(f, 0, sizeof(*f));
	f->plat.ops = &fake_ops;
}

/* Lets time pass, deadline by deadline. */
static inline void fake_pass(struct fake *f, u64 ns)
{
	u64 end = f->now + ns;

	while (timers_next(&f->timers) <= end) {
		f->now = MAX(f->now, timers_next(&f->timers));
		timers_run(&f->timers, f->now);
	}
	f->now = end;
}

static inline u64 fake_read(struct device *d, u64 offset, u32 size)
{
	u64 v;

	rt_lock(&d->lock);
	v = d->ops->read(d, offset, size);
	rt_unlock(&d->lock);
	return v;
}

static inline void fake_write(struct device *d, u64 offset, u32 size, u64 v)
{
	rt_lock(&d->lock);
	d->ops->write(d, offset, size, v);
	rt_unlock(&d->lock);
}

/*
 * The state of `used` moves to `fresh` and comes out of it the same; cut anywhere, it is refused.
 */
static inline void fake_check_state(struct device *used, struct device *fresh)
{
	u8 a[4096], b[4096];
	size_t n = state_save(used, a, sizeof(a));

	assert_in_range(n, 1, sizeof(a));
	assert_int_equal(state_save(used, b, n - 1), n);
	assert_int_equal(state_load(fresh, a, n), n);
	assert_int_equal(state_save(fresh, b, sizeof(b)), n);
	assert_memory_equal(a, b, n);
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(state_load(fresh, a, cut), -E_INVAL);
	assert_int_equal(state_load(fresh, a, n), n);
}
