/* What CR0, CR4 and EFER may hold, for writes by the guest and for vcpu_set. */
#include "arch/cpu.h"
#include "hv/facts.h"
#include "hv/up.h"
#include "hv/vendor.h"
#include "kernel/vcpu_run.h"
#include "lib/guest_rules.h"

struct guest_bits guest_bits_of(const struct cpu_facts *f)
{
	struct guest_bits b = {
		.cr4 = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE |
		       CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT,
		.efer = EFER_SCE | EFER_LME | EFER_LMA | (f->nx ? EFER_NXE : 0),
		.xcr0 = XCR0_X87,
	};

	b.cr4 |= (f->pcid ? CR4_PCIDE : 0) | (f->fsgsbase ? CR4_FSGSBASE : 0);
	b.cr4 |= (f->smep ? CR4_SMEP : 0) | (f->smap ? CR4_SMAP : 0) | (f->umip ? CR4_UMIP : 0);
	if (f->xsave) {
		b.cr4 |= CR4_OSXSAVE;
		b.xcr0 |= f->xcr0_supported & (XCR0_SSE | XCR0_AVX);
	}
	return b;
}

u64 efer_with_lma(u64 efer, u64 cr0)
{
	return efer & EFER_LME && cr0 & CR0_PG ? efer | EFER_LMA : efer & ~(u64)EFER_LMA;
}

u64 cr_fit(u32 cr, u64 value)
{
	switch (cr) {
	case 0:
		value = (value & CR0_DEFINED) | CR0_ET;
		return value & CR0_CD ? value : value & ~(u64)CR0_NW;
	case 3: return value & (BIT(cpu_facts.phys_bits) - 1);
	case 4: return value & guest_bits.cr4;
	default: return value & guest_bits.efer;
	}
}

bool cr_flushes(u32 cr, u64 before, u64 after)
{
	u64 bits = cr == 0 ? CR0_PE | CR0_PG | CR0_WP
		   : cr == 4
			   ? CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE
			   : EFER_LME | EFER_LMA | EFER_NXE;

	return cr == 3 || (before ^ after) & bits;
}

bool cr0_check(const struct hv_mode *m, u64 *value)
{
	u64 v = *value;

	/* Long mode begins and ends outside of 64-bit code. */
	if (((v ^ m->cr0) & CR0_PG) && (m->efer & EFER_LME) && (m->cs_attr & SEG_ATTR_L))
		return false;
	*value = (v & CR0_DEFINED) | CR0_ET;
	return !cr_broken(&guest_bits, v, m->cr4, efer_with_lma(m->efer, v));
}

bool cr4_check(const struct hv_mode *m, u64 value)
{
	bool pcid_on = value & ~m->cr4 & CR4_PCIDE;

	return !(pcid_on && (m->cr3 & 0xfff)) && !cr_broken(&guest_bits, m->cr0, value, m->efer);
}

bool efer_check(const struct hv_mode *m, u64 *value)
{
	if ((m->cr0 & CR0_PG) && ((*value ^ m->efer) & EFER_LME))
		return false;
	*value = efer_with_lma(*value, m->cr0);
	return !cr_broken(&guest_bits, m->cr0, m->cr4, *value);
}
