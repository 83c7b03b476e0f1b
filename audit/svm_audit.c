/*
 * Why VMRUN would refuse a control block: each rule names its field, as the CPU does not; and the
 * block as text. AMD APM
 * 2, "VMRUN Instruction: Canonicalization and Consistency Checks".
 */
#include "arch/cpu.h"
#include "arch/event.h"
#include "audit/vendor.h"
#include "hw/vmcb.h"
#include "lib/fmt.h"
#include "lib/guest_rules.h"

#define A_LINE 4 /* words */
static_assert(RECORD_WORDS % A_LINE == 0, "whole lines");
static_assert(RECORD_WORDS * sizeof(u64) >= offsetof(struct vmcb, dbgctl) + sizeof(u64),
	      "to its last field");

const char *svm_audit(const struct vcpu_record *r)
{
	const struct vmcb *b = (const struct vmcb *)r->word;
	u64 beyond = ~(BIT(r->phys_bits) - 1); /* the physical address width */
	const char *control = cr_broken(&r->may, b->cr0, b->cr4, b->efer & ~(u64)EFER_SVME);
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
		{(b->event_inj & HV_EVENT_VALID) && !event_valid(b->event_inj, true),
		 "EVENTINJ: a type or vector that can't be injected"},
		{!(b->intercept[VMEXIT_VMRUN / 32] & BIT(VMEXIT_VMRUN % 32)),
		 "intercepts: VMRUN is not intercepted"},
		{!b->asid, "ASID: zero"},
		{b->asid >= r->asids, "ASID: above the CPU's number"},
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

void svm_report(const struct vcpu_record *r, bool refused, void (*say)(const char *line))
{
	const struct vmcb *b = (const struct vmcb *)r->word;
	char text[160];

	if (refused)
		audit_say(svm_audit(r), say);
	fmt_snprintf(
		text, sizeof(text),
		"svm: EXITCODE %#lx EXITINFO1 %#lx EXITINFO2 %#lx EXITINTINFO %#x EVENTINJ %#x INTERRUPT_SHADOW %#lx",
		b->exit_code, b->exit_info1, b->exit_info2, b->exit_int_info, b->event_inj,
		b->int_state);
	say(text);
	for (u32 i = 0; i < RECORD_WORDS; i += A_LINE) {
		const u64 *w = &r->word[i];

		if (!(w[0] | w[1] | w[2] | w[3]))
			continue;
		fmt_snprintf(text, sizeof(text), "svm: %03lx: %016lx %016lx %016lx %016lx",
			     i * sizeof(u64), w[0], w[1], w[2], w[3]);
		say(text);
	}
}
