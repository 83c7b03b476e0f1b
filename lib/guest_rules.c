#include "lib/guest_rules.h"

#include "arch/cpu.h"
#include "arch/event.h"

const char *first_broken(const struct rule *r, u32 count)
{
	for (u32 i = 0; i < count; i++)
		if (r[i].broken)
			return r[i].text;
	return NULL;
}

const char *cr_broken(const struct guest_bits *may, u64 cr0, u64 cr4, u64 efer)
{
	bool paging = cr0 & CR0_PG, lme = efer & EFER_LME, lma = efer & EFER_LMA;
	const struct rule rules[] = {
		{efer & ~may->efer, "EFER: a reserved bit is set"},
		{(cr0 & CR0_NW) && !(cr0 & CR0_CD), "CR0: NW without CD"},
		{cr0 >> 32, "CR0: bits 63:32 are not zero"},
		{paging && !(cr0 & CR0_PE), "CR0: PG without PE"},
		{cr4 & ~may->cr4, "CR4: a reserved bit is set"},
		{lme && paging && !(cr4 & CR4_PAE), "CR4: PAE is clear in long mode"},
		{(cr4 & CR4_PCIDE) && !lma, "CR4: PCIDE outside long mode"},
		{lma != (lme && paging), "EFER: LMA is not LME and CR0.PG"},
	};

	return FIRST_BROKEN(rules);
}

bool pat_valid(u64 pat)
{
	for (u32 i = 0; i < 64; i += 8) {
		u8 type = (u8)(pat >> i);

		if (type > 7 || type == 2 || type == 3) /* UC WC - - WT WP WB UC- */
			return false;
	}
	return true;
}

bool event_valid(u32 event, bool soft)
{
	u32 vector = event & EVENT_VECTOR_MASK;
	bool error = event & HV_EVENT_ERROR;

	if (!(event & HV_EVENT_VALID) || (event & ~EVENT_DEFINED))
		return false;
	switch (event & EVENT_TYPE_MASK) {
	case HV_EVENT_IRQ: return !error;
	case (HV_EVENT_NMI & EVENT_TYPE_MASK): return vector == EXC_NMI && !error;
	case HV_EVENT_EXCEPTION:
		return vector < 32 && vector != EXC_NMI && (!error || EXC_WITH_ERROR >> vector & 1);
	case HV_EVENT_SOFT_INT: return soft && !error;
	default: return false;
	}
}
