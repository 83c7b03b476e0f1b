/*
 * What RDMSR and WRMSR do that leave the guest: a table of the MSRs that guests may see. Any
 * other is #GP, logged once per VM and number.
 */
#pragma once

#include "hv/vcpu.h"

/* False = #GP. own (the vCPU's runner). */
bool msr_policy_read(struct vcpu *v, u32 msr, u64 *value);
bool msr_policy_write(struct vcpu *v, u32 msr, u64 value);
