/*
 * vcpu_get and vcpu_set. The control block's part is the back-end's; here are the checks, and the
 * registers that neither vendor's block holds. What registers must keep together is not checked: no
 * such state harms the host, and a CPU that does not refuse the entry runs the guest as it takes
 * it.
 */
#include "kernel/pv.h"
#include "kernel/syscall.h"
#include "kernel/vcpu_run.h"
#include "kernel/vlapic.h"
#include "lib/string.h"
#include "mm/ucopy.h"

#define RFLAGS_DEFINED 0x3f7fd5ull
#define DR6_FIXED 0xffff0ff0ull
#define DR6_DEFINED 0xe00full
#define SEG_ATTR_DEFINED 0xfffu

static_assert(sizeof(struct vcpu_record) <= sizeof(struct vcpu_state), "vcpu->scratch");
static_assert(sizeof(struct vcpu_run) <= PAGE_SIZE, "the run page");
#define HEAD_BYTES offsetof(struct vcpu_state, fpu)

static const struct {
	u32 group; /* enum state_group */
	u16 at;
} addresses[] = {
	{STATE_SEG, offsetof(struct vcpu_state, gdtr.base)},
	{STATE_SEG, offsetof(struct vcpu_state, idtr.base)},
	{STATE_MSR, offsetof(struct vcpu_state, msr.lstar)},
	{STATE_MSR, offsetof(struct vcpu_state, msr.cstar)},
	{STATE_MSR, offsetof(struct vcpu_state, msr.kernel_gs_base)},
	{STATE_MSR, offsetof(struct vcpu_state, msr.sysenter_esp)},
	{STATE_MSR, offsetof(struct vcpu_state, msr.sysenter_eip)},
};

static struct vcpu *vcpu_of(struct object *o) { return container_of(o, struct vcpu, obj); }

/* ---- Get ---- */

static u64 canonicalize(u64 a) { return (u64)((s64)(a << 16) >> 16); }

/*
 * What is got can be set again: VMRUN and VMLOAD sign-extend addresses without a fault, a CPU with
 * 57 bits lets a guest write more than 48, and QEMU's TCG any, as of other MSRs.
 */
static void make_valid(struct vcpu_state *s)
{
	for (u32 i = 0; i < ARRAY_SIZE(addresses); i++) {
		u64 *a = (u64 *)((u8 *)s + addresses[i].at);

		*a = canonicalize(*a);
	}
	for (u32 i = 0; i < SEGS; i++)
		s->seg[i].base = canonicalize(s->seg[i].base);
	s->msr.sfmask = (u32)s->msr.sfmask;
	s->msr.tsc_aux = (u32)s->msr.tsc_aux;
}

static void get_registers(struct vcpu *v, struct vcpu_state *s)
{
	const struct vcpu_regs *r = &v->priv->regs;

	memcpy(s->gpr, r->gpr, sizeof(s->gpr));
	s->rip = r->rip;
	s->rflags = r->rflags;
	s->cr2 = r->cr2;
	s->cr8 = vlapic_cr8(&v->lapic);
	s->xcr0 = v->xcr0;
	memcpy(s->dr, r->dr, sizeof(s->dr));
	s->dr6 = r->dr6;
}

/* What stands in groups that were not asked for means nothing. */
static void get(struct vcpu *v, struct vcpu_state *s, u32 groups)
{
	s->size = sizeof(*s);
	s->groups = groups;
	hv_ops->get_state(v, s, groups);
	make_valid(s);
	get_registers(v, s);
	if (groups & STATE_MSR)
		memcpy(s->msr.pv, v->pv.msr, sizeof(s->msr.pv));
	if (groups & STATE_TIMER_STOP)
		vlapic_timer_stop(v);
	if (groups & STATE_CLOCK) { /* before what the timer's end may post is taken */
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

static bool segments_valid(const struct vcpu_state *s)
{
	for (u32 i = 0; i < SEGS; i++)
		if ((s->seg[i].attr & ~SEG_ATTR_DEFINED) || !canonical(s->seg[i].base))
			return false;
	return s->gdtr.limit <= 0xffff && s->idtr.limit <= 0xffff;
}

static bool control_valid(const struct vcpu_state *s)
{
	return !(s->cr0 & ~(u64)CR0_DEFINED) && !(s->cr4 & ~guest_bits.cr4) &&
	       !(s->efer & ~guest_bits.efer) && !(s->cr3 >> cpu_facts.phys_bits) && s->cr8 <= 15 &&
	       fpu_xcr0_valid(s->xcr0);
}

static bool valid(const struct vcpu_state *s)
{
	for (u32 i = 0; i < ARRAY_SIZE(addresses); i++)
		if (s->groups & addresses[i].group &&
		    !canonical(*(const u64 *)((const u8 *)s + addresses[i].at)))
			return false;
	return (!(s->groups & STATE_SEG) || segments_valid(s)) &&
	       (!(s->groups & STATE_CR) || control_valid(s)) &&
	       (!(s->groups & STATE_MSR) ||
		(!((s->msr.tsc_aux | s->msr.sfmask) >> 32) && pv_valid(s->msr.pv))) &&
	       (!(s->groups & STATE_EVENT) || s->event.activity <= VCPU_WAIT_SIPI);
}

/* What is reserved becomes what it always is. */
static void drop_reserved(struct vcpu_state *s)
{
	s->rflags = (s->rflags & RFLAGS_DEFINED) | RFLAGS_FIXED;
	s->cr0 |= CR0_ET;
	s->dr6 = (s->dr6 & DR6_DEFINED) | DR6_FIXED;
	s->dr7 = (s->dr7 & DR7_DEFINED) | DR7_FIXED;
	s->event.injecting &= s->event.injecting & HV_EVENT_VALID ? EVENT_DEFINED : 0;
}

bool state_flushes(const struct vcpu_state *s, u64 cr0, u64 cr3, u64 cr4, u64 efer)
{
	u64 changed = s->cr0 ^ cr0;

	return !changed || changed & ~(u64)(CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_AM) ||
	       s->cr3 != cr3 || s->cr4 != cr4 || s->efer != efer;
}

static void set_registers(struct vcpu *v, const struct vcpu_state *s)
{
	struct vcpu_regs *r = &v->priv->regs;

	if (s->groups & STATE_GPR) {
		memcpy(r->gpr, s->gpr, sizeof(r->gpr));
		r->rip = s->rip;
		r->rflags = s->rflags;
	}
	if (s->groups & STATE_CR) {
		r->cr2 = s->cr2;
		vlapic_cr8_set(&v->lapic, s->cr8);
		fpu_set_xcr0(v, s->xcr0);
	}
	if (s->groups & STATE_DR) {
		memcpy(r->dr, s->dr, sizeof(r->dr));
		r->dr6 = s->dr6;
	}
}

static int set(struct vcpu *v, struct vcpu_state *s)
{
	u32 groups = s->groups;

	if (!valid(s))
		return -E_INVAL;
	drop_reserved(s);
	set_registers(v, s);
	hv_ops->set_state(v, s, groups);
	v->missing &= ~groups;
	if (groups & STATE_MSR)
		pv_set(v, s->msr.pv);
	if (groups & STATE_APIC)
		vlapic_set_state(v, s);
	if (groups & STATE_CLOCK) {
		v->tsc_offset = s->clock.tsc_offset;
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
