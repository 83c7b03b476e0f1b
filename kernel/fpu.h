/*
 * The guest's FPU state. It stays in the CPU from vcpu_load to vcpu_unload; CR0.TS is set outside
 * the functions here, so neither the kernel nor ring 3 can touch it. hv/up.h declares what
 * back-ends call.
 */
#pragma once

#include "hv/vcpu.h"

/*
 * vcpu_get and vcpu_set of the FPU group: FPU_STATE_BYTES in the standard XSAVE format. The area
 * may be hostile: fpu_set takes a copy of it that no XRSTOR refuses. Interrupts off; if v is
 * loaded, it is on this CPU. fpu_state_valid: it has no components that the guest can't have;
 * before fpu_set.
 */
void fpu_get(struct vcpu *v, u8 *area);
bool fpu_state_valid(const u8 *area);
void fpu_set(struct vcpu *v, const u8 *area);
