/*
 * Why VMRUN would refuse a control block: each rule names its field, as the CPU does not. AMD APM 2,
 * "VMRUN Instruction: Canonicalization and Consistency Checks".
 */
#include "svm/svm.h"

#define RULE(name, condition)                                                    \
	static bool name(const struct vmcb *b, const struct svm_caps *caps) { return condition; }

static bool paging(const struct vmcb *b) { return b->cr0 & CR0_PG; }

static u64 beyond_phys(const struct svm_caps *caps) { return ~((1ull << caps->phys_bits) - 1); }

static bool event_bad(const struct vmcb *b, const struct svm_caps *caps)
{
	return (b->event_inj & HV_EVENT_VALID) && !svm_event_valid(b->event_inj);
}

RULE(svme_clear, !(b->efer & EFER_SVME))
RULE(efer_reserved, b->efer & ~(caps->efer_mask | EFER_SVME))
RULE(nw_without_cd, (b->cr0 & CR0_NW) && !(b->cr0 & CR0_CD))
RULE(cr0_high, b->cr0 >> 32)
RULE(pg_without_pe, paging(b) && !(b->cr0 & CR0_PE))
RULE(cr3_bad, b->cr3 & beyond_phys(caps))
RULE(cr4_reserved, b->cr4 & ~caps->cr4_mask)
RULE(dr6_high, b->dr6 >> 32)
RULE(dr7_high, b->dr7 >> 32)
RULE(long_without_pae, (b->efer & EFER_LME) && paging(b) && !(b->cr4 & CR4_PAE))
RULE(lma_wrong, !(b->efer & EFER_LMA) != !((b->efer & EFER_LME) && paging(b)))
RULE(cs_l_and_d, (b->efer & EFER_LME) && paging(b) && (b->cr4 & CR4_PAE) && (b->cs.attrib & SEG_ATTR_L) &&
			 (b->cs.attrib & SEG_ATTR_DB))
RULE(pcide_without_long, (b->cr4 & CR4_PCIDE) && !(b->efer & EFER_LMA))
RULE(vmrun_passed, !(b->intercept2 & INTERCEPT_VMRUN))
RULE(asid_zero, !b->asid)
RULE(asid_high, b->asid > caps->max_asid)
RULE(msrpm_bad, (b->msrpm_base & 0xfff) || ((b->msrpm_base + 0x1fff) & beyond_phys(caps)))
RULE(iopm_bad, (b->iopm_base & 0xfff) || ((b->iopm_base + 0x2fff) & beyond_phys(caps)))
RULE(np_off, !(b->nested_ctl & NESTED_NP_ENABLE))
RULE(nested_cr3_bad, (b->nested_cr3 & 0xfff) || (b->nested_cr3 & beyond_phys(caps)))
RULE(cpl_bad, b->cpl > 3)

static const struct {
	const char *text;
	bool (*broken)(const struct vmcb *b, const struct svm_caps *caps);
} rules[] = {
	{"EFER: SVME is clear", svme_clear},
	{"EFER: a reserved bit is set", efer_reserved},
	{"CR0: NW without CD", nw_without_cd},
	{"CR0: bits 63:32 are not zero", cr0_high},
	{"CR0: PG without PE", pg_without_pe},
	{"CR3: a bit beyond the physical address width is set", cr3_bad},
	{"CR4: a reserved bit is set", cr4_reserved},
	{"CR4: PAE is clear in long mode", long_without_pae},
	{"CR4: PCIDE outside long mode", pcide_without_long},
	{"EFER: LMA is not LME and CR0.PG", lma_wrong},
	{"CS: L and D are both set", cs_l_and_d},
	{"CPL: above 3", cpl_bad},
	{"DR6: bits 63:32 are not zero", dr6_high},
	{"DR7: bits 63:32 are not zero", dr7_high},
	{"EVENTINJ: a type or vector that can't be injected", event_bad},
	{"intercepts: VMRUN is not intercepted", vmrun_passed},
	{"ASID: zero", asid_zero},
	{"ASID: above the CPU's number", asid_high},
	{"MSRPM_BASE: unaligned or beyond the physical address width", msrpm_bad},
	{"IOPM_BASE: unaligned or beyond the physical address width", iopm_bad},
	{"NP_ENABLE: nested paging is off", np_off},
	{"N_CR3: unaligned or beyond the physical address width", nested_cr3_bad},
};

const char *svm_audit_vmcb(const struct vmcb *b, const struct svm_caps *caps)
{
	for (u32 i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].broken(b, caps))
			return rules[i].text;
	return NULL;
}

/* The ASID is chosen at entry: before the first one there is none to check. */
const char *svm_audit(struct vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);

	if (!s->vmcb->asid)
		s->vmcb->asid = 1;
	return svm_audit_vmcb(s->vmcb, &svm_caps);
}
