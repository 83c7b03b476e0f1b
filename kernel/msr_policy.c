#include "kernel/vcpu_run.h"

#include "arch/msr.h"
#include "hv/up.h"
#include "hv/vendor.h"
#include "hv/x86.h"
#include "kernel/pv.h"
#include "kernel/vlapic.h"

/* AMD BKDG/PPR; guests read these without asking CPUID first */
enum msr_amd {
	MSR_HWCR = 0xc0010015,
	MSR_INT_PENDING = 0xc0010055,
	MSR_DE_CFG = 0xc0011029,
};

#define MTRR_DEF_TYPE_BITS 0xcffull
#define DE_CFG_LFENCE_SERIALIZE 2ull

struct msr_row {
	u32 msr;
	u16 field; /* of struct vcpu, that a read shows and a write without check sets; 0 = none */
	u16 state; /* of struct vcpu_state, group MSR: the back-end holds it; 0 = none */
	bool zero; /* reads 0 */
	bool ignore; /* a write without check is taken */
	u64 (*read)(struct vcpu *v);
	bool (*write)(struct vcpu *v, u64 value);
};

/* ---- Rows that are more than a constant ---- */

static u64 tsc_read(struct vcpu *v) { return rdtsc() + v->tsc_offset; }

static bool tsc_write(struct vcpu *v, u64 value)
{
	v->tsc_offset += value - tsc_read(v);
	hv_ops->set_tsc(v, v->tsc_offset);
	vlapic_timer_write_deadline(v, v->lapic.tsc_deadline);
	if (v->pv.msr[PV_SYSTEM_TIME])
		pv_clock_changed(v, 0);
	return true;
}

/* State only: with nested paging the guest's PAT and the nested tables make the memory type. */
static bool mtrr_def_type_write(struct vcpu *v, u64 value)
{
	u8 type = value & 0xff;

	if (value & ~MTRR_DEF_TYPE_BITS || type > 6 || type == 2 || type == 3)
		return false;
	v->mtrr_def_type = value;
	return true;
}

static u64 de_cfg_read(struct vcpu *v) { return DE_CFG_LFENCE_SERIALIZE; }

/* clang-format off */
#define HELD(number, member) {number, .state = offsetof(struct vcpu_state, msr.member)}
/* clang-format on */
static const struct msr_row rows[] = {
	{MSR_TSC_DEADLINE, offsetof(struct vcpu, lapic.tsc_deadline),
	 .write = vlapic_timer_write_deadline},
	{MSR_TSC, .read = tsc_read, .write = tsc_write},
	{MSR_APIC_BASE, offsetof(struct vcpu, apic_base), .write = vlapic_base_write},
	{MSR_BIOS_UPDT_TRIG, .ignore = true},
	{MSR_BIOS_SIGN_ID, .zero = true, .ignore = true},
	{MSR_MTRRCAP, .zero = true}, /* no variable and no fixed ranges */
	{MSR_MCG_CAP, .zero = true}, /* no banks */
	{MSR_MCG_STATUS, .zero = true, .ignore = true},
	{MSR_MISC_ENABLE, offsetof(struct vcpu, misc_enable), .ignore = true},
	HELD(MSR_PAT, pat),
	{MSR_MTRR_DEF_TYPE, offsetof(struct vcpu, mtrr_def_type), .write = mtrr_def_type_write},
	{MSR_EFER, .read = vcpu_efer_read, .write = vcpu_efer_write},
	HELD(MSR_STAR, star),
	HELD(MSR_LSTAR, lstar),
	HELD(MSR_CSTAR, cstar),
	HELD(MSR_SFMASK, sfmask),
	HELD(MSR_TSC_AUX, tsc_aux),
	{MSR_SYSCFG, .zero = true, .ignore = true},
	{MSR_HWCR, .zero = true, .ignore = true},
	{MSR_INT_PENDING, .zero = true, .ignore = true},
	{MSR_DE_CFG, .read = de_cfg_read, .ignore = true},
};

static const struct msr_row *find(u32 msr)
{
	for (const struct msr_row *r = rows; r < rows + ARRAY_SIZE(rows); r++)
		if (r->msr == msr)
			return r;
	return NULL;
}

/*
 * The back-end holds it, and lets the guest reach it without an exit where that is safe. Not every
 * engine keeps a guest's own PAT by itself, so none is trusted to.
 */
static __attribute__((noinline)) u64 *held(struct vcpu *v, const struct msr_row *r)
{
	hv_ops->get_state(v, v->scratch, STATE_MSR);
	return (u64 *)((u8 *)v->scratch + r->state);
}

static bool held_write(struct vcpu *v, const struct msr_row *r, u64 value)
{
	*held(v, r) = value;
	return !hv_ops->set_state(v, v->scratch, STATE_MSR);
}

static u64 *field(struct vcpu *v, const struct msr_row *r) { return (u64 *)((u8 *)v + r->field); }

static __attribute__((noinline)) void denied(struct vcpu *v, u32 msr, const char *what, u64 value)
{
	if (vm_log_once(v->vm, msr))
		log_info("vm %u: %s of MSR %#x denied (value %#lx, rip %#lx)", v->vm->id, what, msr,
			 value, v->priv->regs.rip);
}

bool msr_policy_read(struct vcpu *v, u32 msr, u64 *value)
{
	const struct msr_row *r;

	if (msr - MSR_X2APIC_BASE < 0x100)
		return vlapic_msr_read(v, msr, value);
	r = find(msr);
	if (likely(r && r->field)) {
		*value = *field(v, r);
		return true;
	}
	if (msr - MSR_KVM_BASE < PV_MSRS)
		return pv_msr_read(v, msr - MSR_KVM_BASE, value);
	*value = 0;
	if (r && (r->state || r->read))
		*value = r->state ? *held(v, r) : r->read(v);
	if (r && (r->state || r->read || r->zero))
		return true;
	denied(v, msr, "read", 0);
	return false;
}

/* Apart, so that the way to the local APIC saves no registers. */
static __attribute__((noinline)) bool other_write(struct vcpu *v, u32 msr, u64 value)
{
	const struct msr_row *r;

	if (msr - MSR_KVM_BASE < PV_MSRS)
		return pv_msr_write(v, msr - MSR_KVM_BASE, value);
	r = find(msr);
	if (r && r->write)
		return r->write(v, value);
	if (r && r->state)
		return held_write(v, r, value);
	if (r && r->ignore) {
		if (r->field)
			*field(v, r) = value;
		return true;
	}
	denied(v, msr, "write", value);
	return false;
}

bool msr_policy_write(struct vcpu *v, u32 msr, u64 value)
{
	if (likely(msr - MSR_X2APIC_BASE < 0x100))
		return vlapic_msr_write(v, msr, value);
	return other_write(v, msr, value);
}
