/*
 * The local APIC timer: a 1 GHz bus clock behind the divider, so that one count is 1, 2, 4 ... 128
 * ns.
 */
#include "kernel/timer.h"
#include "kernel/vlapic.h"

static u64 period_ns(const struct vlapic *l)
{
	return (u64)l->page[APIC_TIMER_INIT / 4] << l->timer_shift;
}

static bool mode_is(const struct vlapic *l, u32 mode) { return l->page[APIC_LVT_TIMER / 4] & mode; }

/*
 * The next multiple of the period after now: what was missed while the host was busy is not made up
 * for, and a period below the floor is stretched, so that no guest makes a storm.
 */
static void next_period(struct vlapic *l, u64 now)
{
	u64 period = MAX(period_ns(l), VLAPIC_TIMER_FLOOR_NS);
	u64 missed = now >= l->timer_deadline ? (now - l->timer_deadline) / period : 0;

	l->timer_deadline += (missed + 1) * period;
}

/* The deadline has come, or the kernel's timer looks again when it should have. */
static void deadline_arm(struct vcpu *v)
{
	struct vlapic *l = &v->lapic;
	u64 ns = clock_until_tsc(l->tsc_deadline, v->tsc_offset);

	if (ns) {
		timer_arm(&l->timer, clock_ns() + ns);
	} else {
		l->tsc_deadline = 0;
		vlapic_lvt_deliver(v, APIC_LVT_TIMER);
	}
}

static void expired(struct timer *timer)
{
	struct vcpu *v = container_of(timer, struct vcpu, lapic.timer);
	struct vlapic *l = &v->lapic;

	if (l->tsc_deadline)
		deadline_arm(v);
	else if (period_ns(l))
		vlapic_lvt_deliver(v, APIC_LVT_TIMER);
	if (mode_is(l, APIC_LVT_TIMER_PERIODIC) && period_ns(l)) {
		next_period(l, clock_ns());
		timer_arm(timer, l->timer_deadline);
	} else {
		l->timer_deadline = 0;
	}
}

void vlapic_timer_stop(struct vcpu *v) { timer_cancel(&v->lapic.timer); }

static void start(struct vcpu *v, u64 deadline)
{
	struct vlapic *l = &v->lapic;

	l->timer_deadline = deadline;
	l->timer.fn = expired;
	timer_arm(&l->timer, deadline);
}

void vlapic_timer_follow(struct vcpu *v)
{
	struct vlapic *l = &v->lapic;

	vlapic_timer_stop(v);
	if (l->tsc_deadline)
		deadline_arm(v);
	else if (l->timer_deadline)
		start(v, l->timer_deadline);
}

void vlapic_timer_mode(struct vcpu *v)
{
	struct vlapic *l = &v->lapic;

	if (mode_is(l, APIC_LVT_TIMER_DEADLINE) ? !period_ns(l) : !l->tsc_deadline)
		return;
	vlapic_timer_stop(v);
	l->tsc_deadline = *vlapic_reg(v, APIC_TIMER_INIT) = 0;
}

void vlapic_timer_write_deadline(struct vcpu *v, u64 tsc)
{
	struct vlapic *l = &v->lapic;

	if (!mode_is(l, APIC_LVT_TIMER_DEADLINE))
		return;
	vlapic_timer_stop(v);
	l->timer.fn = expired;
	l->tsc_deadline = tsc;
	if (tsc)
		deadline_arm(v);
}

void vlapic_timer_write_init(struct vcpu *v, u32 count)
{
	if (mode_is(&v->lapic, APIC_LVT_TIMER_DEADLINE))
		count = 0;
	else
		vlapic_timer_stop(v);
	*vlapic_reg(v, APIC_TIMER_INIT) = count;
	if (count)
		start(v, clock_ns() + period_ns(&v->lapic));
}

void vlapic_timer_write_divide(struct vcpu *v, u32 divide)
{
	u32 left = vlapic_timer_current(v);

	*vlapic_reg(v, APIC_TIMER_DIVIDE) = divide;
	v->lapic.timer_shift = ((divide & 3) + (divide >> 1 & 4) + 1) & 7;
	if (!left)
		return;
	vlapic_timer_stop(v);
	start(v, clock_ns() + ((u64)left << v->lapic.timer_shift));
}

void vlapic_timer_set(struct vcpu *v, u64 apic_deadline, u64 tsc_deadline)
{
	vlapic_timer_stop(v);
	vlapic_timer_write_deadline(v, tsc_deadline);
	v->lapic.timer_deadline = apic_deadline;
	if (apic_deadline && period_ns(&v->lapic))
		start(v, apic_deadline);
}

u32 vlapic_timer_current(const struct vcpu *v)
{
	const struct vlapic *l = &v->lapic;
	u64 now, deadline = l->timer_deadline, period = period_ns(l);

	if (!period)
		return 0;
	now = clock_ns();
	if (now < deadline)
		return (u32)(MIN(deadline - now, period) >> l->timer_shift);
	/* A late callback: a periodic counter has been reloaded meanwhile. */
	return mode_is(l, APIC_LVT_TIMER_PERIODIC)
		       ? (u32)((period - (now - deadline) % period) >> l->timer_shift)
		       : 0;
}
