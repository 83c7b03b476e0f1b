/*
 * What CPUID tells guests: an allow list. A feature that is not listed is masked, and so is one
 * that needs handling that we don't have (AVX-512, AMX, CET, XSAVES, MPX, SGX, LA57, nested
 * virtualization, MWAIT).
 */
#pragma once

#include "hv/facts.h"
#include "hv/vendor.h"
#include "hv/x86.h"

#define CPUID_ROWS 64
#define CPUID_GROUP 32 /* leaves in each of the three ranges */

#define CPUID_HV_BASE 0x40000000u
#define CPUID_HV_MAX 0x40000001u

enum cpuid_dynamic {
	CPUID_STATIC,
	CPUID_FEATURES, /* leaf 1: APIC id, OSXSAVE */
	CPUID_TOPOLOGY, /* leaf 0xB: x2APIC id */
	CPUID_XSAVE,	/* leaf 0xD.0 and 0xD.1: ebx = size for the current XCR0 */
};

struct cpuid_row {
	u32 leaf, subleaf;
	u8 dynamic;	/* enum cpuid_dynamic */
	bool subleaves; /* the next row may be the same leaf's next sub-leaf */
	struct cpuid r;
} __aligned(32); /* found by a shift, on every exit */

/* [I] after cpuid_policy_build */
struct cpuid_policy {
	u32 rows;
	struct cpuid_row row[CPUID_ROWS]; /* sub-leaves of a leaf in order */
	u8 first[3][CPUID_GROUP];	  /* row number + 1 of a leaf's first row; 0 = none */
	u32 xsave_bytes;		  /* with all components */
};

typedef struct cpuid (*cpuid_fn)(u32 leaf, u32 subleaf);

/* Pure: everything comes from f and host(). */
void cpuid_policy_build(struct cpuid_policy *p, struct guest_bits *bits, const struct cpu_facts *f,
			cpuid_fn host);

/* The row that answers, or NULL: zeros. */
const struct cpuid_row *cpuid_policy_find(const struct cpuid_policy *p, u32 leaf, u32 subleaf);

/* Answers for one vCPU. */
void cpuid_policy_answer(const struct cpuid_policy *p, u32 leaf, u32 subleaf, u32 apic_id, u64 xcr0,
			 bool osxsave, struct cpuid *out);

extern struct cpuid_policy cpuid_policy; /* of this machine; [I] after vm_start */
