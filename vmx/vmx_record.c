/* The VMCS for the monitor, which prints and audits it: audit/vmx_audit.c. */
#include "vmx/vmx.h"

#include "arch/msr.h"
#include "lib/string.h"

#define NUMBER_ONLY(bits, name, number) number,

/*
 * A field that the CPU lacks is 0. What is written at entry is of the last one, or not there yet.
 */
void vmx_record(struct vcpu *v, struct vcpu_record *r)
{
	static const u32 number[] = {VMCS_GUEST_FIELDS(NUMBER_ONLY)};
	struct vmcs_guest_fields *g = (struct vmcs_guest_fields *)r->word;
	u64 page = BIT(cpu_facts.phys_bits) - PAGE_SIZE;

	r->vendor = RECORD_VMX;
	memcpy(r->fixed, &cpu_facts.vmx_msr[MSR_VMX_CR0_FIXED0 - MSR_VMX_BASIC], sizeof(r->fixed));
	for (u32 i = 0; i < ARRAY_SIZE(number); i++)
		if (!vmx_read(number[i], &r->word[i]))
			r->word[i] = 0;
	for (u64 *field = VMCS_FIRST_PAGE(g); field <= VMCS_LAST_PAGE(g); field++)
		*field &= ~page;
	g->GUEST_RIP = v->priv->regs.rip;
	g->GUEST_RFLAGS = v->priv->regs.rflags;
	g->VPID = MAX(g->VPID, 1ull);
}
