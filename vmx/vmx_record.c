/* The VMCS for the monitor, which prints and audits it: audit/vmx_audit.c. */
#include "vmx/vmx.h"

#include "arch/msr.h"
#include "lib/string.h"

/*
 * A field that the CPU lacks is 0. What is written at entry is of the last one, or not there yet.
 */
void vmx_record(struct vcpu *v, struct vcpu_record *r)
{
	u64 page = BIT(cpu_facts.phys_bits) - PAGE_SIZE;

	r->vendor = RECORD_VMX;
	memcpy(r->fixed, &cpu_facts.vmx_msr[MSR_VMX_CR0_FIXED0 - MSR_VMX_BASIC], sizeof(r->fixed));
	for (u32 i = 0; i < RECORD_WORDS; i++) {
		r->word[i] = 0; /* VMREAD of a field that is not there leaves it */
		__asm__ volatile("vmread %1, %0" : "+r"(r->word[i]) : "r"((u64)VMCS_NTH(i)) : "cc");
	}
	for (u32 id = VMCS_ID_MSR_BITMAP; id <= VMCS_ID_EPT_POINTER; id += 2)
		if (id != VMCS_ID_TSC_OFFSET)
			r->word[VMCS_WORD(id)] &= ~page;
	r->word[VMCS_WORD(VMCS_ID_GUEST_RIP)] = v->priv->regs.rip;
	r->word[VMCS_WORD(VMCS_ID_GUEST_RFLAGS)] = v->priv->regs.rflags;
	if (!r->word[VMCS_WORD(VMCS_ID_VPID)])
		r->word[VMCS_WORD(VMCS_ID_VPID)] = 1;
}
