/* The local APIC timer: a 1 GHz bus clock behind the divider, so that one count is 1, 2, 4 ... 128 ns. */
#include "arch/apic.h"
#include "hv/up.h"
#include "kernel/domain.h"
#include "kernel/timer.h"
#include "kernel/vlapic.h"
#include "mm/kmem.h"

struct vlapic_timer {
	struct timer timer;
	struct vcpu *v; /* [I] */
};

static u32 shift_of(const struct vlapic *l)
{
	u32 d = (l->timer_divide & 3) | (l->timer_divide >> 1 & 4);

	return (d + 1) & 7;
}

static u64 period_ns(const struct vlapic *l)
{
	return (u64)l->timer_init << shift_of(l);
}

static bool periodic(const struct vlapic *l)
{
	return l->lvt[LVT_TIMER] & APIC_LVT_TIMER_PERIODIC;
}

/*
 * The next multiple of the period after now: what was missed while the host was busy is not made up for,
 * and a period below the floor is stretched, so that no guest makes a storm.
 */
static void next_period(struct vlapic *l, u64 now)
{
	u64 period = MAX(period_ns(l), VLAPIC_TIMER_FLOOR_NS);
	u64 missed = now >= l->timer_deadline ? (now - l->timer_deadline) / period : 0;

	l->timer_deadline += (missed + 1) * period;
}

static void expired(struct timer *timer)
{
	struct vlapic_timer *t = container_of(timer, struct vlapic_timer, timer);
	struct vlapic *l = &t->v->lapic;

	if (!l->timer_init)
		return;
	vlapic_lvt_deliver(t->v, LVT_TIMER);
	if (periodic(l)) {
		next_period(l, clock_ns());
		timer_arm(timer, l->timer_deadline);
	}
}

int vlapic_timer_init(struct vcpu *v)
{
	struct vlapic_timer *t = kmem_alloc(v->obj.quota, sizeof(*t));

	if (!t)
		return -E_NOMEM;
	t->v = v;
	t->timer.fn = expired;
	v->lapic.timer = t;
	return 0;
}

void vlapic_timer_fini(struct vcpu *v)
{
	if (!v->lapic.timer)
		return;
	timer_cancel(&v->lapic.timer->timer);
	kmem_free(v->obj.quota, v->lapic.timer, sizeof(*v->lapic.timer));
	v->lapic.timer = NULL;
}

void vlapic_timer_stop(struct vcpu *v)
{
	timer_cancel(&v->lapic.timer->timer);
}

static void start(struct vcpu *v, u64 ns)
{
	struct vlapic *l = &v->lapic;

	l->timer_start = clock_ns();
	l->timer_deadline = l->timer_start + ns;
	timer_arm(&l->timer->timer, l->timer_deadline);
}

void vlapic_timer_write_init(struct vcpu *v, u32 count)
{
	if (v->lapic.timer_init)
		vlapic_timer_stop(v);
	v->lapic.timer_init = count;
	if (count)
		start(v, period_ns(&v->lapic));
}

void vlapic_timer_write_divide(struct vcpu *v, u32 divide)
{
	u32 left = vlapic_timer_current(v);

	v->lapic.timer_divide = divide;
	if (!left)
		return;
	vlapic_timer_stop(v);
	start(v, (u64)left << shift_of(&v->lapic));
}

u32 vlapic_timer_current(const struct vcpu *v)
{
	const struct vlapic *l = &v->lapic;
	u64 now, deadline = l->timer_deadline, period = period_ns(l);

	if (!l->timer_init)
		return 0;
	now = clock_ns();
	if (now < deadline)
		return (u32)MIN((deadline - now) >> shift_of(l), l->timer_init);
	/* A late callback: a periodic counter has been reloaded meanwhile. */
	return periodic(l) ? (u32)((period - (now - deadline) % period) >> shift_of(l)) : 0;
}
