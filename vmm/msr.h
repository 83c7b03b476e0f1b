/*
 * The MSRs of a guest, but for EFER and those that the kernel knows (the local APIC's registers and
 * its deadline): an allow list. Any other is #GP, logged once a VM and number.
 */
#pragma once

#include "vmm/emul.h"

/* Those that the kernel has nothing to do with. Intel SDM 4; AMD APM 2, Appendix A, and PPR. */
enum guest_msr {
	MSR_BIOS_UPDT_TRIG = 0x79,
	MSR_BIOS_SIGN_ID = 0x8b,
	MSR_MTRRCAP = 0xfe,
	MSR_MISC_ENABLE = 0x1a0,
	MSR_MTRR_DEF_TYPE = 0x2ff,
	MSR_KVM_BASE = 0x4b564d00, /* enum pv_msr: Linux, Documentation/virt/kvm/x86/msr.rst */
	MSR_SYSCFG = 0xc0010010,
	MSR_HWCR = 0xc0010015, /* guests read this and the next two without asking CPUID first */
	MSR_INT_PENDING = 0xc0010055,
	MSR_DE_CFG = 0xc0011029,
};

struct vcpu;

/* MSRs that are state only: what the guest wrote. [v] */
struct msr_state {
	u64 misc_enable, mtrr_def_type;
	u64 tsc_adjust; /* how far the guest has moved its TSC; INIT changes neither */
};

/* As after reset. */
void msr_init(struct msr_state *m);

/* RDMSR or WRMSR on the vCPU's thread, between two runs. As emul_ops.msr. */
enum emul_result msr_access(struct vcpu *v, u32 msr, bool write, u64 *value);
