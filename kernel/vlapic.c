#include "kernel/vlapic.h"

#include "arch/msr.h"

#define REG VLAPIC_REG
#define REGS VLAPIC_REGS

#define DFR_FIXED 0x0fffffffu

enum { R = 1, W = 2 };

/*
 * What x2APIC mode lets software read and write; the rest is #GP. SDM 3, "x2APIC Register Address
 * Space".
 */
/* clang-format off */
static const u8 x2apic_access[REGS] = {
	[REG(APIC_ID)] = R,      [REG(APIC_LVT_TIMER)] = R | W,   [REG(APIC_ESR)] = R | W,
	[REG(APIC_VERSION)] = R, [REG(APIC_LVT_THERMAL)] = R | W, [REG(APIC_ICR)] = R | W,
	[REG(APIC_TPR)] = R | W, [REG(APIC_LVT_PMC)] = R | W,     [REG(APIC_SELF_IPI)] = W,
	[REG(APIC_PPR)] = R,     [REG(APIC_LVT_LINT0)] = R | W,   [REG(APIC_TIMER_INIT)] = R | W,
	[REG(APIC_EOI)] = W,     [REG(APIC_LVT_LINT1)] = R | W,   [REG(APIC_TIMER_CURRENT)] = R,
	[REG(APIC_LDR)] = R,     [REG(APIC_LVT_ERROR)] = R | W,   [REG(APIC_TIMER_DIVIDE)] = R | W,
	[REG(APIC_SVR)] = R | W, [REG(APIC_ISR) ... REG(APIC_ESR) - 1] = R,
};
/* clang-format on */

/* Writable bits; others are reserved: #GP in x2APIC mode, dropped in xAPIC mode. */
/* clang-format off */
static const u32 write_mask[REGS] = {
	[REG(APIC_TPR)] = 0xff,            [REG(APIC_LVT_TIMER)] = 0x700ff,
	[REG(APIC_LDR)] = 0xff000000,      [REG(APIC_LVT_THERMAL)] = 0x107ff,
	[REG(APIC_DFR)] = 0xf0000000,      [REG(APIC_LVT_PMC)] = 0x107ff,
	[REG(APIC_SVR)] = 0x13ff,          [REG(APIC_LVT_LINT0)] = 0x1a7ff,
	[REG(APIC_ICR)] = 0xccfff,         [REG(APIC_LVT_LINT1)] = 0x1a7ff,
	[REG(APIC_ICR_HIGH)] = 0xff000000, [REG(APIC_LVT_ERROR)] = 0x100ff,
	[REG(APIC_TIMER_INIT)] = ~0u,      [REG(APIC_TIMER_DIVIDE)] = 0xb,
	[REG(APIC_SELF_IPI)] = 0xff,
};
/* clang-format on */

/* Not reserved either, and read-only: system software writes back what it has read. */
static const u32 read_only[REGS] = {
	[REG(APIC_ICR)] = APIC_LVT_STATUS,
	[REG(APIC_LVT_TIMER)... REG(APIC_LVT_PMC)] = APIC_LVT_STATUS,
	[REG(APIC_LVT_LINT0)... REG(APIC_LVT_LINT1)] = APIC_LVT_STATUS | APIC_LVT_REMOTE_IRR,
	[REG(APIC_LVT_ERROR)] = APIC_LVT_STATUS,
};

/* ---- Vectors and priorities ---- */

void vlapic_post(struct vcpu *v, u8 vector, bool level)
{
	struct vlapic *l = &v->lapic;
	u32 *map = level ? l->posted.level : l->posted.edge;

	__atomic_fetch_or(&map[vector / 32], 1u << vector % 32, __ATOMIC_RELEASE);
	__atomic_fetch_or(&l->posted.any, level ? BIT(32) : 1, __ATOMIC_RELEASE);
	vcpu_kick(v, level ? KICK_IRQ : KICK_POSTED);
}

void vlapic_nmi(struct vcpu *v)
{
	__atomic_store_n(&v->nmi_pending, true, __ATOMIC_RELEASE);
	vcpu_kick(v, KICK_IRQ);
}

static u32 take(u32 *bits)
{
	return __atomic_load_n(bits, __ATOMIC_RELAXED)
		       ? __atomic_exchange_n(bits, 0, __ATOMIC_ACQ_REL)
		       : 0;
}

void vlapic_sync(struct vcpu *v)
{
	struct vlapic *l = &v->lapic;

	if (!__atomic_exchange_n(&l->posted.any, 0, __ATOMIC_ACQ_REL))
		return;
	for (u32 w = 0; w < 8; w++) {
		u32 *irr = vlapic_word(l, APIC_IRR, (u8)(w * 32));
		u32 *tmr = vlapic_word(l, APIC_TMR, (u8)(w * 32));
		u32 edge = take(&l->posted.edge[w]), level = take(&l->posted.level[w]);

		*irr |= edge | level;
		*tmr = (*tmr & ~edge) | level;
	}
	l->update = true;
}

static u8 requested(const struct vcpu *v)
{
	return vlapic_software_enabled(v) ? vlapic_highest(&v->lapic, APIC_IRR) : 0;
}

u8 vlapic_pending(struct vcpu *v)
{
	const struct vlapic *l = &v->lapic;
	u8 irr = requested(v);

	return irr && (l->by_cpu || irr >> 4 > vlapic_highest(l, APIC_ISR) >> 4) ? irr : 0;
}

u32 vlapic_ppr(const struct vcpu *v)
{
	u32 isr = vlapic_highest(&v->lapic, APIC_ISR), tpr = v->lapic.page[APIC_TPR / 4];

	return tpr >> 4 >= isr >> 4 ? tpr : isr & 0xf0;
}

bool vlapic_deliverable(struct vcpu *v)
{
	u8 irr = requested(v);

	return irr && irr >> 4 > vlapic_ppr(v) >> 4;
}

void vlapic_taken(struct vcpu *v, u8 vector)
{
	vlapic_set_bit(&v->lapic, APIC_IRR, vector, false);
	vlapic_set_bit(&v->lapic, APIC_ISR, vector, true);
}

bool vlapic_extint_pending(const struct vcpu *v)
{
	u32 lint0 = v->lapic.page[APIC_LVT_LINT0 / 4];

	if (!__atomic_load_n(&v->lapic.extint, __ATOMIC_RELAXED))
		return false;
	return !vlapic_enabled(v) ||
	       (!(lint0 & APIC_LVT_MASKED) && (lint0 >> 8 & 7) == APIC_DM_EXTINT);
}

void vlapic_eoi_broadcast(struct vcpu *v, u8 vector)
{
	if (!(*vlapic_reg(v, APIC_SVR) & APIC_SVR_NO_BROADCAST))
		v->lapic.eoi_exit = 0x100u | vector;
}

void vlapic_eoi(struct vcpu *v)
{
	struct vlapic *l = &v->lapic;
	u8 vector = vlapic_highest(l, APIC_ISR);

	if (!vector)
		return;
	vlapic_set_bit(l, APIC_ISR, vector, false);
	l->update = true;
	if (*vlapic_word(l, APIC_TMR, vector) >> vector % 32 & 1)
		vlapic_eoi_broadcast(v, vector);
}

/* ---- Errors and local vectors ---- */

void vlapic_lvt_deliver(struct vcpu *v, enum apic_reg lvt)
{
	u32 entry = __atomic_load_n(vlapic_reg(v, lvt), __ATOMIC_RELAXED);
	u8 vector = entry & 0xff;

	if (!(entry & APIC_LVT_MASKED) && vlapic_software_enabled(v) && vector >= 16)
		vlapic_post(v, vector, false);
}

void vlapic_error(struct vcpu *v, u32 bits)
{
	/* A write of ESR arms the error interrupt again. */
	if (!__atomic_fetch_or(&v->lapic.esr_pending, bits, __ATOMIC_RELAXED))
		vlapic_lvt_deliver(v, APIC_LVT_ERROR);
}

/* ---- Registers ---- */

static u32 reg_read(struct vcpu *v, u32 offset)
{
	switch (offset) {
	case APIC_PPR: return vlapic_ppr(v);
	case APIC_TIMER_CURRENT: return vlapic_timer_current(v);
	default: return *vlapic_reg(v, offset);
	}
}

static void mask_lvt(struct vcpu *v)
{
	for (u32 offset = APIC_LVT_TIMER; offset <= APIC_LVT_ERROR; offset += 16)
		*vlapic_reg(v, offset) |= APIC_LVT_MASKED;
}

static void lvt_write(struct vcpu *v, enum apic_reg lvt, u32 value)
{
	if (!(*vlapic_reg(v, APIC_SVR) & APIC_SVR_ENABLE))
		value |= APIC_LVT_MASKED;
	__atomic_store_n(vlapic_reg(v, lvt), value, __ATOMIC_RELAXED);
	v->lapic.update = true;
	if (lvt == APIC_LVT_TIMER)
		vlapic_timer_mode(v);
	if (lvt != APIC_LVT_LINT0 && lvt != APIC_LVT_LINT1 && !(value & APIC_LVT_MASKED) &&
	    (value & 0xff) < 16 && (value >> 8 & 7) == APIC_DM_FIXED)
		vlapic_error(v, ESR_RECEIVE_ILLEGAL);
}

/* value has no reserved bit set, offset is writable. What is not listed only holds it. */
static void reg_write(struct vcpu *v, u32 offset, u32 value)
{
	struct vlapic *l = &v->lapic;

	switch (REG(offset)) {
	case REG(APIC_LVT_TIMER)... REG(APIC_LVT_ERROR): lvt_write(v, offset, value); return;
	case REG(APIC_EOI): vlapic_eoi(v); return;
	case REG(APIC_ICR):
		*vlapic_reg(v, APIC_ICR) = value;
		vlapic_ipi(v, value, *vlapic_reg(v, APIC_ICR_HIGH));
		return;
	case REG(APIC_SELF_IPI): vlapic_ipi(v, value | VLAPIC_SELF << 18, 0); return;
	case REG(APIC_TIMER_INIT): vlapic_timer_write_init(v, value); return;
	case REG(APIC_TIMER_DIVIDE): vlapic_timer_write_divide(v, value); return;
	case REG(APIC_DFR): value |= DFR_FIXED; break;
	case REG(APIC_ESR): value = take(&l->esr_pending); break;
	case REG(APIC_SVR):
		l->update = true;
		if (!(value & APIC_SVR_ENABLE))
			mask_lvt(v);
		break;
	}
	*vlapic_reg(v, offset) = value;
}

/* ---- Access by MSR and by the page ---- */

static bool x2apic_allowed(struct vcpu *v, u32 reg, u8 access)
{
	return vlapic_x2apic(v) && reg < REGS && (x2apic_access[reg] & access);
}

bool vlapic_msr_read(struct vcpu *v, u32 msr, u64 *value)
{
	u32 reg = msr - MSR_X2APIC_BASE;

	if (!x2apic_allowed(v, reg, R))
		return false;
	*value = reg_read(v, reg << 4);
	if (reg == REG(APIC_ICR))
		*value |= (u64)*vlapic_reg(v, APIC_ICR_HIGH) << 32;
	return true;
}

bool vlapic_msr_write(struct vcpu *v, u32 msr, u64 value)
{
	u32 reg = msr - MSR_X2APIC_BASE;

	if (unlikely(!x2apic_allowed(v, reg, W)))
		return false;
	if (reg == REG(APIC_EOI) && likely(!value)) { /* the one that counts */
		vlapic_eoi(v);
		return true;
	}
	if ((reg == REG(APIC_ICR) ? (u32)value : value) & ~(u64)(write_mask[reg] | read_only[reg]))
		return false;
	if (reg == REG(APIC_ICR))
		*vlapic_reg(v, APIC_ICR_HIGH) = (u32)(value >> 32);
	reg_write(v, reg << 4, (u32)value & write_mask[reg]);
	return true;
}

static bool xapic_known(u32 reg)
{
	return reg < REG(APIC_SELF_IPI) &&
	       (x2apic_access[reg] || reg == REG(APIC_APR) || reg == REG(APIC_RRD) ||
		reg == REG(APIC_DFR) || reg == REG(APIC_ICR_HIGH));
}

u32 vlapic_mmio_read(struct vcpu *v, u32 offset)
{
	/* Only the first four bytes of each 16 are defined. */
	if (offset & 0xf)
		return 0;
	if (!xapic_known(REG(offset))) {
		vlapic_error(v, ESR_ILLEGAL_REGISTER);
		return 0;
	}
	return reg_read(v, offset);
}

void vlapic_mmio_write(struct vcpu *v, u32 offset, u32 value)
{
	if (offset & 0xf)
		return;
	if (!xapic_known(REG(offset)))
		vlapic_error(v, ESR_ILLEGAL_REGISTER);
	else if (write_mask[REG(offset)] || x2apic_access[REG(offset)] & W)
		reg_write(v, offset, value & write_mask[REG(offset)]);
}

/* What the mode makes of the registers that tell which APIC it is. */
static void identify(struct vcpu *v)
{
	u32 id = v->index;

	*vlapic_reg(v, APIC_ID) = vlapic_x2apic(v) ? id : id << 24;
	*vlapic_reg(v, APIC_VERSION) = VLAPIC_VERSION;
	if (vlapic_x2apic(v))
		*vlapic_reg(v, APIC_LDR) = id >> 4 << 16 | 1u << (id & 15);
}

void vlapic_written(struct vcpu *v, u32 offset)
{
	u32 reg = REG(offset) % REGS, value = *vlapic_reg(v, reg << 4);

	*vlapic_reg(v, reg << 4) &= write_mask[reg];
	identify(v);
	if (vlapic_x2apic(v)) /* SELF_IPI alone */
		reg_write(v, reg << 4, value & write_mask[reg]);
	else
		vlapic_mmio_write(v, reg << 4, value);
}

/* ---- State group APIC ---- */

void vlapic_get_state(struct vcpu *v, struct vcpu_state *s)
{
	vlapic_sync(v);
	s->apic.base = v->apic_base;
	for (u32 reg = 0; reg < REGS; reg++)
		s->apic.reg[reg] = reg_read(v, reg << 4);
}

/* Vectors below 16 can never be pending. */
static u32 state_mask(u32 reg)
{
	if (reg >= REG(APIC_ISR) && reg < REG(APIC_ESR))
		return reg % 8 ? ~0u : ~0xffffu;
	return reg == REG(APIC_ICR_HIGH) ? ~0u : reg == REG(APIC_ESR) ? 0xff : write_mask[reg];
}

void vlapic_set_state(struct vcpu *v, const struct vcpu_state *s)
{
	const u32 *reg = s->apic.reg;

	v->apic_base = s->apic.base; /* what was posted meanwhile comes on top */
	for (u32 i = 0; i < REGS; i++)
		if (i != REG(APIC_LDR) || !vlapic_x2apic(v)) /* others look at it any time */
			*vlapic_reg(v, i << 4) = reg[i] & state_mask(i);
	*vlapic_reg(v, APIC_DFR) |= DFR_FIXED;
	identify(v);
	v->lapic.eoi_exit = v->lapic.esr_pending = 0;
	vlapic_timer_mode(v);
	vlapic_timer_write_divide(v, *vlapic_reg(v, APIC_TIMER_DIVIDE));
	vlapic_timer_write_init(v, reg[REG(APIC_TIMER_INIT)]);
	v->lapic.update = true;
}
