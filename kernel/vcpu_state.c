/* vcpu_get and vcpu_set, and the states that INIT and SIPI make. */
#include "arch/cpu.h"
#include "arch/msr.h"
#include "hv/vendor.h"
#include "hv/x86.h"
#include "kernel/pv.h"
#include "kernel/syscall.h"
#include "kernel/vcpu_run.h"
#include "kernel/vlapic.h"
#include "lib/string.h"
#include "mm/ucopy.h"

#define GROUPS_VENDOR (STATE_GPR | STATE_SEG | STATE_CR | STATE_DR | STATE_MSR | STATE_EVENT)
static_assert(sizeof(struct vcpu_record) <= sizeof(struct vcpu_state), "vcpu->scratch");
#define HEAD_BYTES offsetof(struct vcpu_state, fpu)

static struct vcpu *vcpu_of(struct object *o) { return container_of(o, struct vcpu, obj); }

/* ---- Get ---- */

static void get(struct vcpu *v, struct vcpu_state *s, u32 groups)
{
	s->size = sizeof(*s);
	s->groups = groups;
	hv_ops->get_state(v, s, groups & GROUPS_VENDOR);
	if (groups & STATE_MSR) {
		s->msr.misc_enable = v->misc_enable;
		s->msr.mtrr_def_type = v->mtrr_def_type;
		memcpy(s->msr.pv, v->pv.msr, sizeof(s->msr.pv));
	}
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
	if ((s->groups & STATE_MSR) && !pv_valid(s->msr.pv))
		return false;
	if ((s->groups & STATE_EVENT) && s->event.activity > VCPU_WAIT_SIPI)
		return false;
	if ((s->groups & STATE_FPU) && !fpu_state_valid(s->fpu))
		return false;
	return !(s->groups & STATE_APIC) || vlapic_state_valid(s);
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
	if (groups & STATE_MSR) {
		v->misc_enable = s->msr.misc_enable;
		v->mtrr_def_type = s->msr.mtrr_def_type & 0xcff;
		pv_set(v, s->msr.pv);
	}
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

/* ---- INIT and SIPI: SDM 3, "Processor State After Reset" ---- */

#define DATA_ATTR (SEG_ATTR_P | SEG_ATTR_S | 3)

static const struct vcpu_state reset_state = {
	.gpr[GPR_RDX] = 0x600,
	.rip = 0xfff0,
	.rflags = RFLAGS_FIXED,
	.seg = {[SEG_ES] = {0, DATA_ATTR, 0xffff, 0},
		[SEG_CS] = {0xf000, SEG_ATTR_P | SEG_ATTR_S | 0xb, 0xffff, 0xffff0000},
		[SEG_SS... SEG_GS] = {0, DATA_ATTR, 0xffff, 0},
		[SEG_LDTR] = {0, SEG_ATTR_P | 2, 0xffff, 0},
		[SEG_TR] = {0, SEG_ATTR_P | 0xb, 0xffff, 0}},
	.gdtr.limit = 0xffff,
	.idtr.limit = 0xffff,
	.cr0 = CR0_ET | CR0_CD | CR0_NW,
	.dr6 = 0xffff0ff0,
	.dr7 = 0x400,
};

void vcpu_state_init(struct vcpu *v, bool init)
{
	struct vcpu_state *s = v->scratch;
	struct hv_mode before;
	int r;

	hv_ops->read_mode(v, &before);
	*s = reset_state;
	s->xcr0 = v->xcr0;
	if (init)
		s->cr0 &= before.cr0 | CR0_ET;
	r = hv_ops->set_state(v, s, STATE_GPR | STATE_SEG | STATE_CR | STATE_DR | STATE_EVENT);
	ASSERT(!r);
	vlapic_reset(v, init);
	pv_reset(v);
	v->nmi_pending = v->pv.unhalted = false;
	v->ext_vector = -1;
	v->activity = v->apic_base & APIC_BASE_BSP ? VCPU_RUNNABLE : VCPU_WAIT_SIPI;
}

void vcpu_state_sipi(struct vcpu *v, u8 vector)
{
	struct vcpu_state *s = v->scratch;

	hv_ops->get_state(v, s, STATE_GPR | STATE_SEG);
	s->seg[SEG_CS].selector = (u16)(vector << 8);
	s->seg[SEG_CS].base = (u64)vector << 12;
	s->rip = 0;
	/*
	 * a monitor may let a vCPU wait whose guest has loaded what set_state refuses: it waits on
	 */
	if (!hv_ops->set_state(v, s, STATE_GPR | STATE_SEG))
		v->activity = VCPU_RUNNABLE;
}
