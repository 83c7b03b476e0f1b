#include "vmm/msr.h"

#include "arch/apic.h"
#include "arch/msr.h"
#include "lib/guest_rules.h"
#include "user/sys.h"
#include "vmm/cpu_reset.h"
#include "vmm/vcpu.h"

#define MTRR_DEF_TYPE_BITS 0xcffull
#define MISC_ENABLE_FAST_STRINGS 1ull
#define DE_CFG_LFENCE_SERIALIZE 2ull
#define PV_ENABLED 1ull

struct row {
	u32 msr;
	u16 state;   /* of struct vcpu_state, group MSR: the kernel holds and checks it; 0 = none */
	bool ignore; /* a write is taken, and changes nothing */
	bool refused; /* there is no reading */
	u64 constant; /* what a read gives */
	u64 (*read)(struct vcpu *v);
	bool (*write)(struct vcpu *v, u64 value); /* false: #GP */
};

/* ---- State that the kernel holds ---- */

static bool get(struct vcpu *v, u32 groups)
{
	v->held.size = sizeof(v->held);
	v->held.groups = groups;
	return !vcpu_get(v->handle, &v->held);
}

/* v->held has what get brought, changed. */
static bool set(struct vcpu *v, u32 groups)
{
	v->held.groups = groups;
	return !vcpu_set(v->handle, &v->held);
}

static u64 *held(struct vcpu *v, u16 at) { return (u64 *)((u8 *)&v->held + at); }

/* ---- Rows that are more than a constant ---- */

static u64 tsc_read(struct vcpu *v)
{
	get(v, STATE_CLOCK);
	return __builtin_ia32_rdtsc() + v->held.clock.tsc_offset;
}

/*
 * SDM 3, "Time-Stamp Counter Adjustment": a write of either moves both by the same. A deadline
 * stays a value of the TSC.
 */
static bool tsc_move(struct vcpu *v, u64 ticks)
{
	if (!get(v, STATE_MSR | STATE_CLOCK | STATE_TIMER_STOP))
		return false;
	v->held.clock.tsc_offset += ticks;
	if (!set(v, STATE_CLOCK))
		return false;
	v->msr.tsc_adjust += ticks;
	pvclock_write(&v->m->pvclock, 0, v->held.msr.pv[PV_SYSTEM_TIME], v->held.clock.tsc_offset);
	return true;
}

static bool tsc_write(struct vcpu *v, u64 value) { return tsc_move(v, value - tsc_read(v)); }

static u64 tsc_adjust_read(struct vcpu *v) { return v->msr.tsc_adjust; }

static bool tsc_adjust_write(struct vcpu *v, u64 value)
{
	return tsc_move(v, value - v->msr.tsc_adjust);
}

static u64 misc_enable_read(struct vcpu *v) { return v->msr.misc_enable; }

static bool misc_enable_write(struct vcpu *v, u64 value)
{
	v->msr.misc_enable = value;
	return true;
}

static u64 mtrr_def_type_read(struct vcpu *v) { return v->msr.mtrr_def_type; }

/* State only: with nested paging the guest's PAT and the nested tables make the memory type. */
static bool mtrr_def_type_write(struct vcpu *v, u64 value)
{
	u8 type = value & 0xff;

	if (value & ~MTRR_DEF_TYPE_BITS || type > 6 || type == 2 || type == 3)
		return false;
	v->msr.mtrr_def_type = value;
	return true;
}

static u64 pat_read(struct vcpu *v)
{
	get(v, STATE_MSR);
	return v->held.msr.pat;
}

static bool pat_write(struct vcpu *v, u64 value)
{
	if (!pat_valid(value) || !get(v, STATE_MSR))
		return false;
	v->held.msr.pat = value;
	return set(v, STATE_MSR);
}

/* ---- APIC_BASE ---- */

static u64 apic_base_read(struct vcpu *v)
{
	get(v, STATE_APIC);
	return v->held.apic.base;
}

static bool apic_base_valid(const struct vcpu *v, u64 base)
{
	u64 modes = APIC_BASE_ENABLE | APIC_BASE_X2APIC;

	return !(base & ~(0x000ffffffffff000ull | modes | APIC_BASE_BSP)) &&
	       !(base >> v->emul.phys_bits) && (base & modes) != APIC_BASE_X2APIC;
}

/* SDM 3, "x2APIC State Transitions": x2APIC only from xAPIC, and back only over disabled. */
static bool apic_base_write(struct vcpu *v, u64 value)
{
	u64 modes = APIC_BASE_ENABLE | APIC_BASE_X2APIC, wanted = value & modes, old, before;

	if (!apic_base_valid(v, value) || !get(v, STATE_APIC))
		return false;
	old = v->held.apic.base & modes;
	if ((wanted == modes && !old) || (old == modes && wanted == APIC_BASE_ENABLE) ||
	    !get(v, STATE_APIC | STATE_CLOCK | STATE_TIMER_STOP))
		return false;
	before = v->held.apic.base;
	v->held.apic.base = (value & ~APIC_BASE_BSP) | (before & APIC_BASE_BSP);
	if (!set(v, STATE_APIC | STATE_CLOCK)) {
		v->held.apic.base = before; /* the timer goes on */
		set(v, STATE_APIC | STATE_CLOCK);
		return false;
	}
	if (!old || wanted)
		return true;
	cpu_reset_apic(&v->held);
	v->held.clock.apic_deadline = v->held.clock.tsc_deadline = 0;
	return set(v, STATE_APIC | STATE_CLOCK);
}

/* ---- The KVM paravirtual ABI ---- */

/* What a guest registers. bytes 0: nothing that is offered. */
static const struct {
	u8 align, bytes;
	bool needed; /* the kernel writes to it: there must be RAM */
} area[PV_MSRS] = {
	[PV_WALL_CLOCK] = {4, 12},
	[PV_SYSTEM_TIME] = {4, 32},
	[PV_STEAL_TIME] = {64, 64, true},
	[PV_EOI] = {4, 4, true},
};

static enum emul_result pv_access(struct vcpu *v, u32 i, bool write, u64 *value)
{
	u64 at = *value & ~PV_ENABLED;

	if (!area[i].bytes || !get(v, STATE_MSR | STATE_CLOCK))
		return EMUL_FAULT;
	if (!write) {
		*value = v->held.msr.pv[i];
		return EMUL_OK;
	}
	if (at % area[i].align || at % PAGE_SIZE > PAGE_SIZE - area[i].bytes)
		return EMUL_FAULT;
	if (area[i].needed && *value & PV_ENABLED && !ram_ptr(&v->m->ram, at, area[i].bytes))
		return EMUL_FAULT;
	v->held.msr.pv[i] = *value;
	if (!set(v, STATE_MSR))
		return EMUL_FAULT;
	if (i < PV_STEAL_TIME)
		pvclock_write(&v->m->pvclock, i == PV_WALL_CLOCK ? *value : 0,
			      v->held.msr.pv[PV_SYSTEM_TIME], v->held.clock.tsc_offset);
	return EMUL_OK;
}

/* ---- The table ---- */

/* clang-format off */
#define HELD(number, member) {number, .state = offsetof(struct vcpu_state, msr.member)}
/* clang-format on */
static const struct row rows[] = {
	{MSR_TSC, .read = tsc_read, .write = tsc_write},
	{MSR_TSC_ADJUST, .read = tsc_adjust_read, .write = tsc_adjust_write},
	{MSR_APIC_BASE, .read = apic_base_read, .write = apic_base_write},
	{MSR_BIOS_UPDT_TRIG, .refused = true, .ignore = true},
	{MSR_BIOS_SIGN_ID, .ignore = true},
	{MSR_MTRRCAP, .constant = 0}, /* no variable and no fixed ranges */
	{MSR_MCG_CAP, .constant = 0}, /* no banks */
	{MSR_MCG_STATUS, .ignore = true},
	{MSR_MISC_ENABLE, .read = misc_enable_read, .write = misc_enable_write},
	{MSR_PAT, .read = pat_read, .write = pat_write},
	{MSR_MTRR_DEF_TYPE, .read = mtrr_def_type_read, .write = mtrr_def_type_write},
	HELD(MSR_STAR, star),
	HELD(MSR_LSTAR, lstar),
	HELD(MSR_CSTAR, cstar),
	HELD(MSR_SFMASK, sfmask),
	HELD(MSR_TSC_AUX, tsc_aux),
	{MSR_SYSCFG, .ignore = true},
	{MSR_HWCR, .ignore = true},
	{MSR_INT_PENDING, .ignore = true},
	{MSR_DE_CFG, .constant = DE_CFG_LFENCE_SERIALIZE, .ignore = true},
	/* those that a CPU reaches without an exit, where the emulator stands in for it */
	HELD(MSR_SYSENTER_CS, sysenter_cs),
	HELD(MSR_SYSENTER_ESP, sysenter_esp),
	HELD(MSR_SYSENTER_EIP, sysenter_eip),
	HELD(MSR_KERNEL_GS_BASE, kernel_gs_base),
};

static const struct row *find(u32 msr)
{
	for (const struct row *r = rows; r < rows + ARRAY_SIZE(rows); r++)
		if (r->msr == msr)
			return r;
	return NULL;
}

static bool read(struct vcpu *v, const struct row *r, u64 *value)
{
	*value = r->read ? r->read(v) : r->constant;
	if (!r->state)
		return !r->refused;
	if (!get(v, STATE_MSR))
		return false;
	*value = *held(v, r->state);
	return true;
}

static bool write(struct vcpu *v, const struct row *r, u64 value)
{
	if (r->write)
		return r->write(v, value);
	if (!r->state)
		return r->ignore;
	if (!get(v, STATE_MSR))
		return false;
	*held(v, r->state) = value;
	return set(v, STATE_MSR);
}

/* A collision of hashes only saves a line. */
static void denied(struct vcpu *v, u32 msr, const char *what, u64 value)
{
	u32 hash = (msr * 0x9e3779b1u) >> 24;
	u64 bit = BIT(hash % 64), *word = &v->m->msr_logged[hash / 64];

	if (!(__atomic_fetch_or(word, bit, __ATOMIC_RELAXED) & bit))
		rt_log("%s of MSR %#x denied (value %#llx, rip %#llx)", what, msr,
		       (unsigned long long)value, (unsigned long long)v->state.rip);
}

enum emul_result msr_access(struct vcpu *v, u32 msr, bool is_write, u64 *value)
{
	const struct row *r = find(msr);
	u64 before = is_write ? *value : 0;

	if (msr - MSR_X2APIC_BASE < 0x100 || msr == MSR_TSC_DEADLINE)
		return EMUL_KERNEL;
	if (msr - MSR_KVM_BASE < PV_MSRS && area[msr - MSR_KVM_BASE].bytes)
		return pv_access(v, msr - MSR_KVM_BASE, is_write, value);
	if (r && (is_write ? write(v, r, *value) : read(v, r, value)))
		return EMUL_OK;
	denied(v, msr, is_write ? "write" : "read", before);
	return EMUL_FAULT;
}

void msr_init(struct msr_state *m)
{
	m->tsc_adjust = 0;
	m->misc_enable = MISC_ENABLE_FAST_STRINGS;
	m->mtrr_def_type = 0x806; /* enabled, write-back: what firmware leaves behind */
}
