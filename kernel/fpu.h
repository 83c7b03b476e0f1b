/*
 * The guest's FPU state. It stays in the CPU from vcpu_load to vcpu_unload; CR0.TS is set outside the
 * functions here, so neither the kernel nor ring 3 can touch it. hv/up.h declares what back-ends call.
 */
#pragma once

#include "hv/facts.h"
#include "hv/up.h"
#include "hv/vcpu.h"

/* What a guest may enable: x87, SSE, AVX, AVX-512 and PKRU, as far as the CPU has them. */
u64 fpu_xcr0_allowed(const struct cpu_facts *f);

/*
 * vcpu_get and vcpu_set of the FPU group: FPU_STATE_BYTES in the standard XSAVE format. The area may be
 * hostile: fpu_set takes a copy of it that no XRSTOR refuses. Interrupts off; if v is loaded, it is on
 * this CPU. fpu_set: -E_INVAL for components that the guest can't have; then nothing changes.
 */
#define FPU_STATE_BYTES 2696u
void fpu_get(struct vcpu *v, u8 *area);
int fpu_set(struct vcpu *v, const u8 *area) __must_check;
