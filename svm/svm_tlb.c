/* Guest translations: address-space identifiers and flushes. AMD APM 2, "TLB Control". */
#include "svm/svm.h"

/*
 * ASIDs are handed out in generations: a number is used once per generation, and a new generation
 * begins with all entries flushed. So a new ASID is a flush of one vCPU, also without
 * flush-by-ASID.
 */
void svm_tlb_prepare(struct svm_vcpu *s, struct svm_cpu *c)
{
	struct vmcb *b = s->vmcb;
	u64 epoch = __atomic_load_n(&s->vcpu.vm->space.epoch, __ATOMIC_SEQ_CST);
	bool current = s->asid_generation == c->asid_generation;

	if (likely(current && epoch == s->vcpu.npt_seen))
		return;
	s->vcpu.npt_seen = epoch;
	s->vcpu.walk.page = 0;
	if (current && cpu_facts.svm_flush_by_asid) {
		b->tlb_control = TLB_FLUSH_ASID;
		return;
	}
	if (c->next_asid > svm_max_asid()) {
		c->next_asid = 1;
		c->asid_generation++;
		b->tlb_control = TLB_FLUSH_ALL;
	}
	b->asid = c->next_asid++;
	s->asid_generation = c->asid_generation;
	svm_dirty(s, CLEAN_ASID);
}
