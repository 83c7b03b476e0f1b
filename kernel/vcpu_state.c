/* vcpu_get and vcpu_set. */
#include "kernel/pv.h"
#include "kernel/syscall.h"
#include "kernel/vcpu_run.h"
#include "kernel/vlapic.h"
#include "lib/string.h"
#include "mm/ucopy.h"

#define GROUPS_VENDOR (STATE_GPR | STATE_SEG | STATE_CR | STATE_DR | STATE_MSR | STATE_EVENT)
static_assert(sizeof(struct vcpu_record) <= sizeof(struct vcpu_state), "vcpu->scratch");
static_assert(sizeof(struct vcpu_run) <= PAGE_SIZE, "the run page");
#define HEAD_BYTES offsetof(struct vcpu_state, fpu)

static struct vcpu *vcpu_of(struct object *o) { return container_of(o, struct vcpu, obj); }

/* ---- Get ---- */

static void get(struct vcpu *v, struct vcpu_state *s, u32 groups)
{
	s->size = sizeof(*s);
	s->groups = groups;
	hv_ops->get_state(v, s, groups & GROUPS_VENDOR);
	if (groups & STATE_MSR)
		memcpy(s->msr.pv, v->pv.msr, sizeof(s->msr.pv));
	if (groups & STATE_TIMER_STOP)
		vlapic_timer_stop(v);
	if (groups & STATE_CLOCK) { /* before what the timer's end may post is taken */
		s->clock.tsc_offset = v->tsc_offset;
		s->clock.tsc_deadline = v->lapic.tsc_deadline;
		s->clock.apic_deadline = v->lapic.timer_deadline;
	}
	if (groups & STATE_APIC) {
		pv_eoi_withdraw(v); /* no state has the flag: it is offered again */
		v->lapic.update = true;
		vlapic_get_state(v, s);
	}
	if (groups & STATE_EVENT) {
		s->event.activity = v->activity;
		s->event.nmi_pending = v->nmi_pending;
	}
	if (groups & STATE_FPU)
		fpu_get(v, s->fpu);
}

static size_t bytes_of(u32 groups)
{
	return groups & STATE_FPU ? sizeof(struct vcpu_state) : HEAD_BYTES;
}

s64 sys_vcpu_get(struct object *obj, const struct sys_args *args)
{
	struct vcpu *v = vcpu_of(obj);
	u32 head[2]; /* size, groups */
	int r = ucopy_in(head, args->a[1], sizeof(head));

	if (r)
		return r;
	if (head[0] != sizeof(struct vcpu_state) || head[1] & ~(u32)(STATE_ALL | STATE_TIMER_STOP))
		return -E_INVAL;
	r = vcpu_claim(v);
	if (r)
		return r;
	get(v, v->scratch, head[1]);
	r = ucopy_out(args->a[1], v->scratch, bytes_of(head[1]));
	vcpu_release(v);
	return r;
}

/* ---- Set ---- */

/* What the back-end does not check. */
static bool valid(const struct vcpu_state *s)
{
	return (!(s->groups & STATE_MSR) || pv_valid(s->msr.pv)) &&
	       (!(s->groups & STATE_EVENT) || s->event.activity <= VCPU_WAIT_SIPI);
}

static int set(struct vcpu *v, const struct vcpu_state *s)
{
	u32 groups = s->groups;
	int r;

	if (!valid(s))
		return -E_INVAL;
	r = hv_ops->set_state(v, s, groups & GROUPS_VENDOR);
	if (r)
		return r;
	v->missing &= ~groups;
	if (groups & STATE_MSR)
		pv_set(v, s->msr.pv);
	if (groups & STATE_APIC)
		vlapic_set_state(v, s);
	if (groups & STATE_CLOCK) {
		v->tsc_offset = s->clock.tsc_offset;
		hv_ops->set_tsc(v, v->tsc_offset);
		vlapic_timer_set(v, s->clock.apic_deadline, s->clock.tsc_deadline);
	}
	if (groups & STATE_EVENT) {
		v->activity = s->event.activity;
		if (s->event.nmi_pending) /* one that came since the monitor looked stays */
			__atomic_store_n(&v->nmi_pending, true, __ATOMIC_RELAXED);
	}
	if (groups & STATE_FPU)
		fpu_set(v, s->fpu);
	return 0;
}

s64 sys_vcpu_set(struct object *obj, const struct sys_args *args)
{
	struct vcpu *v = vcpu_of(obj);
	struct vcpu_state *s = v->scratch;
	int r = vcpu_claim(v);

	if (r)
		return r;
	r = ucopy_in(s, args->a[1], HEAD_BYTES);
	if (!r && (s->size != sizeof(*s) || s->groups & ~(u32)STATE_ALL))
		r = -E_INVAL;
	if (!r && (s->groups & STATE_FPU))
		r = ucopy_in(s->fpu, args->a[1] + HEAD_BYTES, sizeof(s->fpu));
	if (!r)
		r = set(v, s);
	vcpu_release(v);
	return r;
}
