#include "kernel/vlapic.h"

#include "arch/apic.h"
#include "arch/msr.h"
#include "hv/facts.h"

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
	[REG(APIC_TPR)] = 0xff,            [REG(APIC_LVT_TIMER)] = 0x300ff,
	[REG(APIC_LDR)] = 0xff000000,      [REG(APIC_LVT_THERMAL)] = 0x107ff,
	[REG(APIC_DFR)] = 0xf0000000,      [REG(APIC_LVT_PMC)] = 0x107ff,
	[REG(APIC_SVR)] = 0x3ff,           [REG(APIC_LVT_LINT0)] = 0x1a7ff,
	[REG(APIC_ICR)] = 0xccfff,         [REG(APIC_LVT_LINT1)] = 0x1a7ff,
	[REG(APIC_ICR_HIGH)] = 0xff000000, [REG(APIC_LVT_ERROR)] = 0x100ff,
	[REG(APIC_TIMER_INIT)] = ~0u,      [REG(APIC_TIMER_DIVIDE)] = 0xb,
	[REG(APIC_SELF_IPI)] = 0xff,
};
/* clang-format on */

/* ---- Vectors and priorities ---- */

static u8 highest(const u64 map[4])
{
	for (s32 w = 3; w >= 0; w--)
		if (map[w])
			return (u8)(w * 64 + 63 - __builtin_clzll(map[w]));
	return 0;
}

void vlapic_post(struct vcpu *v, u8 vector, bool level)
{
	struct vlapic *l = &v->lapic;
	u64 bit = BIT(vector % 64);

	if (level)
		__atomic_fetch_or(&l->pir_tmr[vector / 64], bit, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(&l->pir_tmr[vector / 64], ~bit, __ATOMIC_RELAXED);
	__atomic_fetch_or(&l->pir[vector / 64], bit, __ATOMIC_RELEASE);
	__atomic_store_n(&l->pir_any, 1, __ATOMIC_RELEASE);
	vcpu_kick(v, KICK_IRQ);
}

void vlapic_nmi(struct vcpu *v)
{
	__atomic_store_n(&v->nmi_pending, true, __ATOMIC_RELEASE);
	vcpu_kick(v, KICK_IRQ);
}

void vlapic_sync(struct vcpu *v)
{
	struct vlapic *l = &v->lapic;

	if (!__atomic_exchange_n(&l->pir_any, 0, __ATOMIC_ACQ_REL))
		return;
	for (u32 w = 0; w < 4; w++) {
		u64 bits = __atomic_load_n(&l->pir[w], __ATOMIC_RELAXED);

		if (!bits)
			continue;
		bits = __atomic_exchange_n(&l->pir[w], 0, __ATOMIC_ACQ_REL);
		l->irr[w] |= bits;
		l->tmr[w] = (l->tmr[w] & ~bits) | (l->pir_tmr[w] & bits);
	}
	l->update = true;
}

u8 vlapic_pending(struct vcpu *v)
{
	const struct vlapic *l = &v->lapic;
	u8 irr;

	if (!vlapic_software_enabled(v))
		return 0;
	irr = highest(l->irr);
	return irr && irr >> 4 > highest(l->isr) >> 4 ? irr : 0;
}

static u32 ppr(struct vcpu *v)
{
	u32 isr = highest(v->lapic.isr), tpr = *vlapic_reg(v, APIC_TPR);

	return tpr >> 4 >= isr >> 4 ? tpr : isr & 0xf0;
}

bool vlapic_deliverable(struct vcpu *v)
{
	u8 vector = vlapic_pending(v);

	return vector && vector >> 4 > ppr(v) >> 4;
}

void vlapic_taken(struct vcpu *v, u8 vector)
{
	vlapic_set_bit(v->lapic.irr, vector, false);
	vlapic_set_bit(v->lapic.isr, vector, true);
	v->lapic.update = true;
}

bool vlapic_extint_pending(const struct vcpu *v)
{
	u32 lint0 = v->lapic.reg[REG(APIC_LVT_LINT0)];

	if (!__atomic_load_n(&v->lapic.extint, __ATOMIC_RELAXED))
		return false;
	return !vlapic_enabled(v) ||
	       (!(lint0 & APIC_LVT_MASKED) && (lint0 >> 8 & 7) == APIC_DM_EXTINT);
}

static void eoi(struct vcpu *v)
{
	struct vlapic *l = &v->lapic;
	u8 vector = highest(l->isr);

	if (!vector)
		return;
	vlapic_set_bit(l->isr, vector, false);
	l->update = true;
	if (l->tmr[vector / 64] >> (vector % 64) & 1)
		l->eoi_exit = 0x100u | vector;
}

/* ---- Errors and local vectors ---- */

void vlapic_lvt_deliver(struct vcpu *v, enum apic_reg lvt)
{
	u32 entry = __atomic_load_n(vlapic_reg(v, lvt), __ATOMIC_RELAXED);
	u8 vector = entry & 0xff;
	/* The timer and error entries have no delivery mode: always fixed. */
	u32 mode = lvt == APIC_LVT_TIMER || lvt == APIC_LVT_ERROR ? APIC_DM_FIXED : entry >> 8 & 7;

	if (entry & APIC_LVT_MASKED || !vlapic_software_enabled(v))
		return;
	if (mode == APIC_DM_NMI)
		vlapic_nmi(v);
	else if (mode == APIC_DM_FIXED && vector >= 16)
		vlapic_post(v, vector, false);
}

void vlapic_error(struct vcpu *v, u32 bits)
{
	if (v->lapic.esr_pending & bits)
		return;
	v->lapic.esr_pending |= bits;
	vlapic_lvt_deliver(v, APIC_LVT_ERROR);
}

/* ---- Registers ---- */

u32 vlapic_ldr(const struct vcpu *v)
{
	u32 id = v->index;

	return vlapic_x2apic(v) ? id >> 4 << 16 | 1u << (id & 15) : v->lapic.reg[REG(APIC_LDR)];
}

static bool is_lvt(u32 offset) { return offset >= APIC_LVT_TIMER && offset <= APIC_LVT_ERROR; }

static u32 reg_read(struct vcpu *v, u32 offset)
{
	struct vlapic *l = &v->lapic;

	if (offset >= APIC_ISR && offset < APIC_ESR) {
		const u64 *map = offset < APIC_TMR ? l->isr : offset < APIC_IRR ? l->tmr : l->irr;
		u32 n = offset >> 4 & 7;

		return (u32)(map[n / 2] >> (n % 2 * 32));
	}
	switch (offset) {
	case APIC_ID: return vlapic_x2apic(v) ? v->index : v->index << 24;
	case APIC_VERSION: return VLAPIC_VERSION;
	case APIC_PPR: return ppr(v);
	case APIC_LDR: return vlapic_ldr(v);
	case APIC_TIMER_CURRENT: return vlapic_timer_current(v);
	default: return l->reg[REG(offset)];
	}
}

static void mask_lvt(struct vcpu *v)
{
	for (u32 offset = APIC_LVT_TIMER; offset <= APIC_LVT_ERROR; offset += 16)
		*vlapic_reg(v, offset) |= APIC_LVT_MASKED;
}

static void lvt_write(struct vcpu *v, enum apic_reg lvt, u32 value)
{
	if (!(v->lapic.reg[REG(APIC_SVR)] & APIC_SVR_ENABLE))
		value |= APIC_LVT_MASKED;
	__atomic_store_n(vlapic_reg(v, lvt), value, __ATOMIC_RELAXED);
	v->lapic.update = true;
	if (lvt != APIC_LVT_LINT0 && lvt != APIC_LVT_LINT1 && !(value & APIC_LVT_MASKED) &&
	    (value & 0xff) < 16 && (value >> 8 & 7) == APIC_DM_FIXED)
		vlapic_error(v, ESR_RECEIVE_ILLEGAL);
}

/* value has no reserved bit set. What is not listed only holds it, if it can be written at all. */
static void reg_write(struct vcpu *v, u32 offset, u32 value)
{
	struct vlapic *l = &v->lapic;

	switch (REG(offset)) {
	case REG(APIC_LVT_TIMER)... REG(APIC_LVT_ERROR): lvt_write(v, offset, value); return;
	case REG(APIC_EOI): eoi(v); return;
	case REG(APIC_ICR): vlapic_icr_write(v, value, *vlapic_reg(v, APIC_ICR_HIGH)); return;
	case REG(APIC_SELF_IPI): vlapic_icr_write(v, value | VLAPIC_SELF << 18, 0); return;
	case REG(APIC_TIMER_INIT): vlapic_timer_write_init(v, value); return;
	case REG(APIC_TIMER_DIVIDE): vlapic_timer_write_divide(v, value); return;
	case REG(APIC_TPR): v->cr8 = value >> 4; break;
	case REG(APIC_DFR): value |= DFR_FIXED; break;
	case REG(APIC_ESR):
		value = l->esr_pending;
		l->esr_pending = 0;
		break;
	case REG(APIC_SVR):
		l->update = true;
		if (!(value & APIC_SVR_ENABLE))
			mask_lvt(v);
		break;
	}
	l->reg[REG(offset)] = value;
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

/* Delivery status and remote IRR are not reserved: system software writes back what it has read. */
static u32 read_only(u32 reg)
{
	if (reg == REG(APIC_LVT_LINT0) || reg == REG(APIC_LVT_LINT1))
		return APIC_LVT_STATUS | APIC_LVT_REMOTE_IRR;
	return reg == REG(APIC_ICR) || is_lvt(reg << 4) ? APIC_LVT_STATUS : 0;
}

bool vlapic_msr_write(struct vcpu *v, u32 msr, u64 value)
{
	u32 low, reg = msr - MSR_X2APIC_BASE;

	if (unlikely(!x2apic_allowed(v, reg, W)))
		return false;
	if ((reg == REG(APIC_ICR) ? (u32)value : value) & ~(u64)(write_mask[reg] | read_only(reg)))
		return false;
	low = (u32)value & write_mask[reg];
	if (reg == REG(APIC_ICR))
		vlapic_icr_write(v, low, (u32)(value >> 32));
	else
		reg_write(v, reg << 4, low);
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
	else
		reg_write(v, offset, value & write_mask[REG(offset)]);
}

static bool base_valid(u64 base)
{
	u64 modes = APIC_BASE_ENABLE | APIC_BASE_X2APIC;

	return !(base & ~(0x000ffffffffff000ull | modes | APIC_BASE_BSP)) &&
	       !(base >> cpu_facts.phys_bits) && (base & modes) != APIC_BASE_X2APIC;
}

bool vlapic_base_write(struct vcpu *v, u64 value)
{
	u64 modes = APIC_BASE_ENABLE | APIC_BASE_X2APIC;
	u64 old = v->apic_base & modes, wanted = value & modes;

	/*
	 * SDM 3, "x2APIC State Transitions": x2APIC only from xAPIC, and back only over disabled.
	 */
	if (!base_valid(value) || (wanted == modes && !old) ||
	    (old == modes && wanted == APIC_BASE_ENABLE))
		return false;
	v->apic_base = (value & ~APIC_BASE_BSP) | (v->apic_base & APIC_BASE_BSP);
	if (old && !wanted)
		vlapic_reset(v, true);
	v->lapic.update = true;
	return true;
}

/* ---- Life ---- */

void vlapic_reset(struct vcpu *v, bool init)
{
	struct vlapic *l = &v->lapic;

	if (!init)
		v->apic_base =
			APIC_DEFAULT_BASE | APIC_BASE_ENABLE | (v->index ? 0 : APIC_BASE_BSP);
	vlapic_timer_stop(v);
	for (u32 w = 0; w < 4; w++) {
		__atomic_store_n(&l->pir[w], 0, __ATOMIC_RELAXED);
		l->irr[w] = l->isr[w] = l->tmr[w] = 0;
	}
	for (u32 reg = 0; reg < REGS; reg++)
		l->reg[reg] = 0;
	l->esr_pending = l->eoi_exit = 0;
	*vlapic_reg(v, APIC_DFR) = ~0u;
	*vlapic_reg(v, APIC_SVR) = 0xff;
	mask_lvt(v);
	/*
	 * Firmware leaves the PIC wired through LINT0 of the boot CPU; guests are started without
	 * firmware.
	 */
	if (v->index == 0)
		*vlapic_reg(v, APIC_LVT_LINT0) = APIC_DM_EXTINT << 8;
	v->cr8 = 0;
	l->update = true;
}

/* ---- State group APIC ---- */

void vlapic_get_state(struct vcpu *v, struct vcpu_state *s)
{
	vlapic_sync(v);
	s->apic.base = v->apic_base;
	for (u32 reg = 0; reg < REGS; reg++)
		s->apic.reg[reg] = reg_read(v, reg << 4);
}

static void map_from_regs(u64 map[4], const struct vcpu_state *s, u32 offset)
{
	for (u32 w = 0; w < 4; w++)
		map[w] = s->apic.reg[REG(offset) + w * 2] |
			 (u64)s->apic.reg[REG(offset) + w * 2 + 1] << 32;
}

bool vlapic_state_valid(const struct vcpu_state *s) { return base_valid(s->apic.base); }

void vlapic_set_state(struct vcpu *v, const struct vcpu_state *s)
{
	struct vlapic *l = &v->lapic;
	const u32 *reg = s->apic.reg;

	vlapic_timer_stop(v);
	vlapic_sync(v);
	v->apic_base = s->apic.base;
	for (u32 i = 0; i < REGS; i++)
		l->reg[i] = reg[i] & write_mask[i];
	l->reg[REG(APIC_DFR)] |= DFR_FIXED;
	l->reg[REG(APIC_ESR)] = reg[REG(APIC_ESR)] & 0xff;
	l->reg[REG(APIC_ICR_HIGH)] = reg[REG(APIC_ICR_HIGH)];
	v->cr8 = l->reg[REG(APIC_TPR)] >> 4;
	map_from_regs(l->isr, s, APIC_ISR);
	map_from_regs(l->tmr, s, APIC_TMR);
	map_from_regs(l->irr, s, APIC_IRR);
	/* Vectors below 16 can never be pending. */
	l->isr[0] &= ~0xffffull;
	l->irr[0] &= ~0xffffull;
	l->eoi_exit = 0;
	vlapic_timer_write_init(v, l->reg[REG(APIC_TIMER_INIT)]);
	l->update = true;
}
