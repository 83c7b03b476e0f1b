/*
 * What both back-ends do alike with a vCPU's state: its checks, and the registers that neither
 * control block holds. What registers must keep together is not checked: no such state harms the
 * host, and a CPU that does not refuse the entry runs the guest as it takes it.
 */
#include "hv/vendor.h"
#include "lib/string.h"

#define RFLAGS_DEFINED 0x3f7fd5ull
#define DR6_FIXED 0xffff0ff0ull
#define DR6_DEFINED 0xe00full
#define SEG_ATTR_DEFINED 0xfffu

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

static bool segments_valid(const struct vcpu_state *st)
{
	for (u32 i = 0; i < SEGS; i++)
		if ((st->seg[i].attr & ~SEG_ATTR_DEFINED) || !canonical(st->seg[i].base))
			return false;
	return st->gdtr.limit <= 0xffff && st->idtr.limit <= 0xffff;
}

static bool control_valid(const struct vcpu_state *st)
{
	return !(st->cr0 & ~(u64)CR0_DEFINED) && !(st->cr4 & ~guest_bits.cr4) &&
	       !(st->efer & ~guest_bits.efer) && !(st->cr3 >> cpu_facts.phys_bits) &&
	       st->cr8 <= 15 && fpu_xcr0_valid(st->xcr0);
}

bool state_valid(const struct vcpu_state *st, u32 groups)
{
	for (u32 i = 0; i < ARRAY_SIZE(addresses); i++)
		if (groups & addresses[i].group &&
		    !canonical(*(const u64 *)((const u8 *)st + addresses[i].at)))
			return false;
	return (!(groups & STATE_SEG) || segments_valid(st)) &&
	       (!(groups & STATE_CR) || control_valid(st)) &&
	       (!(groups & STATE_MSR) || !(st->msr.tsc_aux >> 32));
}

static u64 canonicalize(u64 a) { return (u64)((s64)(a << 16) >> 16); }

static void make_canonical(struct vcpu_state *st, u32 groups)
{
	for (u32 i = 0; i < ARRAY_SIZE(addresses); i++)
		if (groups & addresses[i].group) {
			u64 *a = (u64 *)((u8 *)st + addresses[i].at);

			*a = canonicalize(*a);
		}
	for (u32 i = 0; groups & STATE_SEG && i < SEGS; i++)
		st->seg[i].base = canonicalize(st->seg[i].base);
}

void state_get_common(struct vcpu *v, struct vcpu_state *st, u32 groups)
{
	const struct vcpu_regs *r = &v->priv->regs;

	make_canonical(st, groups);
	if (groups & STATE_GPR) {
		memcpy(st->gpr, r->gpr, sizeof(st->gpr));
		st->rip = r->rip;
		st->rflags = r->rflags;
	}
	if (groups & STATE_CR) {
		st->cr2 = r->cr2;
		st->cr8 = vlapic_cr8(&v->lapic);
		st->xcr0 = v->xcr0;
	}
	if (groups & STATE_DR) {
		memcpy(st->dr, r->dr, sizeof(st->dr));
		st->dr6 = r->dr6;
	}
}

bool state_flushes(const struct vcpu_state *st, u64 cr0, u64 cr3, u64 cr4, u64 efer)
{
	u64 changed = st->cr0 ^ cr0;

	return !changed || changed & ~(u64)(CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_AM) ||
	       st->cr3 != cr3 || st->cr4 != cr4 || st->efer != efer;
}

void state_set_common(struct vcpu *v, const struct vcpu_state *st, u32 groups)
{
	struct vcpu_regs *r = &v->priv->regs;

	if (groups & STATE_GPR) {
		memcpy(r->gpr, st->gpr, sizeof(r->gpr));
		r->rip = st->rip;
		r->rflags = (st->rflags & RFLAGS_DEFINED) | RFLAGS_FIXED;
	}
	if (groups & STATE_CR) {
		r->cr2 = st->cr2;
		vlapic_cr8_set(&v->lapic, st->cr8);
		fpu_set_xcr0(v, st->xcr0);
	}
	if (groups & STATE_DR) {
		memcpy(r->dr, st->dr, sizeof(r->dr));
		r->dr6 = (st->dr6 & DR6_DEFINED) | DR6_FIXED;
	}
}
