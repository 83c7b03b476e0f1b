/*
 * What CPUID tells guests: an allow list. A feature that is not listed is masked, and so is one
 * that needs handling that the kernel doesn't have (AVX-512, AMX, CET, XSAVES, MPX, SGX, LA57,
 * nested virtualization, MWAIT).
 */
#pragma once

#include "uapi/run.h"

typedef struct cpuid (*cpuid_fn)(u32 leaf, u32 subleaf);

/*
 * Returns the XCR0 that goes with it. Pure: everything comes from host() and clock, the host's. *p
 * is zeroed.
 */
u64 cpuid_build(struct vm_policy *p, cpuid_fn host, const struct kinfo *clock);
