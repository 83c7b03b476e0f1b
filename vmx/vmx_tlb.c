/*
 * Guest translations: virtual-processor identifiers and flushes. Intel SDM 3, "Caching Translation
 * Information", "Invalidating Cached Translation Information".
 */
#include "vmx/vmx.h"

static void invept(u64 eptp)
{
	u64 descriptor[2] = {eptp, 0};

	SLOW_OP();
	__asm__ volatile("invept %0, %1"
			 :
			 : "m"(descriptor), "r"((u64)vmx_caps.invept)
			 : "cc", "memory");
}

static void invvpid_all(void)
{
	u64 descriptor[2] = {0};

	SLOW_OP();
	__asm__ volatile("invvpid %0, %1" : : "m"(descriptor), "r"((u64)INV_ALL) : "cc", "memory");
}

/*
 * VPIDs are handed out in generations: a number is used once per generation, and a new generation
 * begins with all entries flushed. So a new VPID is a flush of one vCPU. Without VPIDs the CPU
 * flushes at every entry and exit.
 */
static void vpid_prepare(struct vmx_vcpu *s)
{
	struct vmx_cpu *c = s->cpu;

	if (!vmx_caps.vpid ||
	    (!s->flush && s->vpid_generation && s->vpid_generation == c->vpid_generation))
		return;
	if (c->next_vpid > VPID_MAX) {
		c->next_vpid = 1;
		c->vpid_generation++;
		invvpid_all();
	}
	vmcs_write16(VMCS_VPID, (u16)c->next_vpid++);
	s->vpid_generation = c->vpid_generation;
}

/* Nested translations carry the EPT's address, not the VPID. */
static __attribute__((noinline)) void flush(struct vmx_vcpu *s, u64 epoch)
{
	if (s->moved || epoch != s->vcpu.npt_seen) {
		invept(s->eptp);
		s->vcpu.walk.page = 0;
	}
	s->moved = false;
	s->vcpu.npt_seen = epoch;
	vpid_prepare(s);
	s->flush = false;
}

void vmx_tlb_prepare(struct vmx_vcpu *s)
{
	u64 epoch = __atomic_load_n(&s->vcpu.vm->space.epoch, __ATOMIC_SEQ_CST);

	if (unlikely(s->moved || s->flush || epoch != s->vcpu.npt_seen))
		flush(s, epoch);
}
