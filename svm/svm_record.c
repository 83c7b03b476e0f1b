/* The control block for the monitor, which prints and audits it: audit/svm_audit.c. */
#include "svm/svm.h"

#include "lib/string.h"

/* The ASID is chosen at entry: before the first one there is none to check. */
void svm_record(struct vcpu *v, struct vcpu_record *r)
{
	struct vmcb *b = (struct vmcb *)r->word;
	u64 page = BIT(cpu_facts.phys_bits) - PAGE_SIZE;

	r->vendor = RECORD_SVM;
	r->asids = cpu_facts.svm_asids;
	memcpy(r->word, to_svm(v)->vmcb, sizeof(r->word));
	b->asid = MAX(b->asid, 1u);
	b->iopm_base &= ~page;
	b->msrpm_base &= ~page;
	b->nested_cr3 &= ~page;
}
