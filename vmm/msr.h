/*
 * The MSRs of a guest, but for EFER and those that the kernel knows (the local APIC's registers and
 * its deadline): an allow list. Any other is #GP, logged once a VM and number.
 */
#pragma once

#include "vmm/emul.h"

struct vcpu;

/* MSRs that are state only: what the guest wrote. [v] */
struct msr_state {
	u64 misc_enable, mtrr_def_type;
};

/* As after reset. */
void msr_init(struct msr_state *m);

/* RDMSR or WRMSR on the vCPU's thread, between two runs. As emul_ops.msr. */
enum emul_result msr_access(struct vcpu *v, u32 msr, bool write, u64 *value);
