/*
 * Why VMRUN would refuse a control block: each rule names its field, as the CPU does not. AMD APM
 * 2, "VMRUN Instruction: Canonicalization and Consistency Checks".
 */
#include "svm/svm.h"

#include "hv/up.h"

const char *svm_audit_vmcb(const struct vmcb *b)
{
	u64 beyond = ~(BIT(cpu_facts.phys_bits) - 1); /* the physical address width */
	const char *control = cr_broken(b->cr0, b->cr4, b->efer & ~(u64)EFER_SVME);
	const struct rule rules[] = {
		{!(b->efer & EFER_SVME), "EFER: SVME is clear"},
		{control, control},
		{b->cr3 & beyond, "CR3: a bit beyond the physical address width is set"},
		{(b->efer & EFER_LMA) && (b->cs.attrib & SEG_ATTR_L) &&
			 (b->cs.attrib & SEG_ATTR_DB),
		 "CS: L and D are both set"},
		{b->cpl > 3, "CPL: above 3"},
		{b->dr6 >> 32, "DR6: bits 63:32 are not zero"},
		{b->dr7 >> 32, "DR7: bits 63:32 are not zero"},
		{(b->event_inj & HV_EVENT_VALID) && !svm_event_valid(b->event_inj),
		 "EVENTINJ: a type or vector that can't be injected"},
		{!(b->intercept[VMEXIT_VMRUN / 32] & BIT(VMEXIT_VMRUN % 32)),
		 "intercepts: VMRUN is not intercepted"},
		{!b->asid, "ASID: zero"},
		{b->asid > svm_max_asid(), "ASID: above the CPU's number"},
		{(b->msrpm_base & 0xfff) || ((b->msrpm_base + 0x1fff) & beyond),
		 "MSRPM_BASE: unaligned or beyond the physical address width"},
		{(b->iopm_base & 0xfff) || ((b->iopm_base + 0x2fff) & beyond),
		 "IOPM_BASE: unaligned or beyond the physical address width"},
		{!(b->nested_ctl & NESTED_NP_ENABLE), "NP_ENABLE: nested paging is off"},
		{(b->nested_cr3 & 0xfff) || (b->nested_cr3 & beyond),
		 "N_CR3: unaligned or beyond the physical address width"},
	};

	return FIRST_BROKEN(rules);
}

/* The ASID is chosen at entry: before the first one there is none to check. */
const char *svm_audit(struct vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);

	if (!s->vmcb->asid)
		s->vmcb->asid = 1;
	return svm_audit_vmcb(s->vmcb);
}
