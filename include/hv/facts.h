/*
 * CPU and firmware facts, read once at start. Every decision that depends on them is a pure
 * function of this structure, so that host tests can run it with made-up facts.
 */
#pragma once

#include "lib/types.h"

#define VMX_MSRS 17

struct cpu_facts {
	char vendor[13]; /* "AuthenticAMD" */
	u32 signature;	 /* leaf 1: family, model, stepping */
	u32 max_leaf, max_ext_leaf;
	u8 phys_bits;
	u8 core_shift; /* CPUs of one core differ in so many low bits of their APIC ids */

	bool nx, page_1g, smep, smap, umip, pcid, invpcid, pge, fsgsbase;
	bool x2apic, xsave, rdtscp, syscall;
	bool tsc_invariant;
	bool tcg;	    /* the CPU is QEMU's TCG: docs/testing.md has what it does wrong */
	u64 xcr0_supported; /* leaf 0xD */
	u32 mxcsr_mask;
	bool fpu_leaks; /* XRSTOR leaves another's x87 pointers (AMD without XSAVEERPTR) */

	/* enum spec_defence: what the CPU has, and what of it is used (kernel/spec.c) */
	u32 spec_offered, spec;
	u64 arch_capabilities; /* IA32_ARCH_CAPABILITIES; 0: none */

	/* VT-x: leaf 1, IA32_FEATURE_CONTROL, capability MSRs from 0x480 on (absent ones are 0) */
	bool vmx, vmx_locked_off;
	bool noapicv;	     /* the boot option: APIC virtualization stays off */
	bool nounrestricted; /* the same: real mode is emulated */
	u64 vmx_msr[VMX_MSRS];

	/* AMD-V: leaf 0x8000000A, VM_CR */
	bool svm, svm_locked_off;
	u32 svm_asids;
	bool svm_npt, svm_nrip, svm_flush_by_asid, svm_vmcb_clean, svm_pause_filter;
};

extern struct cpu_facts cpu_facts; /* of the boot CPU; [I] after facts_read */

void facts_read(struct cpu_facts *f);
