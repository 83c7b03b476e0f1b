// SOURCES: kernel/cpuid_policy.c
/* The CPUID allow list, on made-up machines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "arch/cpu.h"
#include "kernel/cpuid_policy.h"

void assert_fail(const char *e, const char *f, int l) { abort(); }

/* A host that claims everything in every leaf. */
static struct cpuid host_all(u32 leaf, u32 subleaf)
{
	static const struct {
		u32 size, offset;
	} xsave[] = {[2] = {256, 576}, [5] = {64, 1088}, {512, 1152}, {1024, 1664}};

	if (leaf == 0 || leaf == 0x80000000)
		return (struct cpuid){leaf | 0x21, 0x68747541, 0x444d4163, 0x69746e65};
	if (leaf == 0xd && subleaf >= 2)
		return subleaf < ARRAY_SIZE(xsave)
			       ? (struct cpuid){xsave[subleaf].size, xsave[subleaf].offset,
						0xffffffff, 0}
			       : (struct cpuid){0};
	return (struct cpuid){~0u, ~0u, ~0u, ~0u};
}

static struct cpuid host_nothing(u32 leaf, u32 subleaf)
{
	return leaf == 0	    ? (struct cpuid){.eax = 1}
	       : leaf == 0x80000000 ? (struct cpuid){.eax = 0x80000001}
				    : (struct cpuid){0};
}

static struct cpu_facts facts(void)
{
	return (struct cpu_facts){.max_leaf = 0x21,
				  .max_ext_leaf = 0x80000021,
				  .xsave = true,
				  .xcr0_supported = 0x2e7,
				  .tsc_invariant = true,
				  .rdtscp = true,
				  .pcid = true};
}

static struct cpuid_policy policy;
static struct guest_bits bits;

static struct cpuid ask(u32 leaf, u32 subleaf)
{
	struct cpuid r;

	cpuid_policy_answer(&policy, leaf, subleaf, 3, 7, true, &r);
	return r;
}

static void build(const struct cpu_facts *f, cpuid_fn host)
{
	cpuid_policy_build(&policy, &bits, f, host);
}

static int setup(void **state)
{
	struct cpu_facts f = facts();

	build(&f, host_all);
	return 0;
}

static void names_kvm_without_features(void **state)
{
	struct cpuid r = ask(0x40000000, 0);

	assert_int_equal(r.eax, 0x40000001);
	assert_memory_equal(&r.ebx, "KVMKVMKVM\0\0\0", 12);
	r = ask(0x40000001, 0);
	assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
}

static void masks_what_needs_handling(void **state)
{
	static const struct {
		u32 leaf, subleaf, reg, bit;
		const char *name;
	} gone[] = {
		{1, 0, 2, 2, "DTES64"},
		{1, 0, 2, 3, "MONITOR"},
		{1, 0, 2, 5, "VMX"},
		{1, 0, 2, 6, "SMX"},
		{1, 0, 2, 24, "TSC deadline"},
		{1, 0, 2, 15, "PDCM"},
		{1, 0, 3, 21, "DS"},
		{7, 0, 1, 2, "SGX"},
		{7, 0, 1, 14, "MPX"},
		{7, 0, 1, 4, "HLE"},
		{7, 0, 1, 1, "TSC_ADJUST"},
		{7, 0, 2, 3, "PKU"},
		{7, 0, 2, 7, "CET"},
		{7, 0, 1, 16, "AVX512F"},
		{7, 0, 2, 1, "AVX512VBMI"},
		{7, 0, 2, 16, "LA57"},
		{7, 0, 3, 24, "AMX"},
		{7, 0, 3, 26, "SPEC_CTRL"},
		{0xd, 1, 0, 3, "XSAVES"},
		{0x80000001, 0, 2, 2, "SVM"},
		{0x80000001, 0, 2, 22, "TOPOEXT"},
		{0x80000001, 0, 2, 9, "OSVW"},
		{0x80000008, 0, 1, 12, "IBPB"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(gone); i++) {
		struct cpuid r = ask(gone[i].leaf, gone[i].subleaf);
		u32 reg[4] = {r.eax, r.ebx, r.ecx, r.edx};

		if (reg[gone[i].reg] >> gone[i].bit & 1)
			fail_msg("%s is offered", gone[i].name);
	}
	assert_int_equal(
		ask(5, 0).eax | ask(0xa, 0).eax | ask(0x14, 0).eax | ask(0x8000000a, 0).eax, 0);
}

static void leaf_1_is_made_for_the_vcpu(void **state)
{
	struct cpuid r = ask(1, 0);

	assert_int_equal(r.ebx >> 24, 3);
	assert_int_equal(r.ebx >> 16 & 0xff, 1);
	assert_true(r.ecx >> 21 & 1); /* x2APIC */
	assert_true(r.ecx >> 31 & 1); /* hypervisor */
	assert_true(r.ecx >> 27 & 1); /* OSXSAVE, as CR4 says */
	cpuid_policy_answer(&policy, 1, 0, 3, 7, false, &r);
	assert_false(r.ecx >> 27 & 1);
}

static void xsave_sizes_follow_xcr0(void **state)
{
	struct cpuid r;

	assert_int_equal(bits.xcr0, 7);
	assert_int_equal(ask(0xd, 0).ebx, 832); /* x87, SSE, AVX */
	assert_int_equal(ask(0xd, 0).ecx, 832);
	assert_int_equal(ask(0xd, 1).ebx, 832);
	cpuid_policy_answer(&policy, 0xd, 0, 0, 3, true, &r);
	assert_int_equal(r.ebx, 576);
	cpuid_policy_answer(&policy, 0xd, 1, 0, 1, true, &r);
	assert_int_equal(r.ebx, 576);
	assert_int_equal(ask(0xd, 2).eax, 256);
	assert_int_equal(ask(0xd, 5).eax | ask(0xd, 9).eax, 0);
}

static void what_a_feature_needs_goes_with_it(void **state)
{
	struct cpu_facts f = facts();

	assert_true(ask(7, 0).ebx >> 5 & 1);  /* AVX2 */
	assert_true(ask(7, 0).ebx >> 10 & 1); /* INVPCID */
	assert_true(ask(0x80000001, 0).edx >> 27 & 1);
	f.xcr0_supported = 3;
	f.pcid = f.rdtscp = false;
	build(&f, host_all);
	assert_int_equal(bits.xcr0, 3);
	assert_true(ask(1, 0).ecx >> 26 & 1);
	assert_false(ask(1, 0).ecx >> 28 & 1);
	assert_false(ask(7, 0).ebx >> 5 & 1);
	assert_false(ask(7, 0).ebx >> 10 & 1);
	assert_false(ask(0x80000001, 0).ecx >> 16 & 1);
	assert_false(ask(0x80000001, 0).edx >> 27 & 1);
	assert_int_equal(ask(0xd, 0).ecx, 576);
}

static void no_xsave_takes_avx_with_it(void **state)
{
	struct cpu_facts f = facts();

	f.xsave = false;
	build(&f, host_all);
	assert_int_equal(bits.xcr0, 1);
	assert_int_equal(ask(0, 0).eax, 0xb);
	assert_false(ask(1, 0).ecx >> 26 & 1);
	assert_false(ask(1, 0).ecx >> 28 & 1);
	assert_false(ask(7, 0).ebx >> 5 & 1);
	assert_false(bits.cr4 & CR4_OSXSAVE);
}

static void invariant_tsc_only_if_the_host_has_it(void **state)
{
	struct cpu_facts f = facts();

	assert_int_equal(ask(0x80000007, 0).edx, 1 << 8);
	f.tsc_invariant = false;
	build(&f, host_all);
	assert_int_equal(ask(0x80000007, 0).edx, 0);
}

static void topology_ends_and_echoes(void **state)
{
	assert_int_equal(ask(0xb, 0).ecx, 0x100);
	assert_int_equal(ask(0xb, 1).ecx, 0x201);
	assert_int_equal(ask(0xb, 1).edx, 3);
	assert_int_equal(ask(0xb, 7).ecx, 7);
	assert_int_equal(ask(0xb, 7).edx, 3);
}

static void unknown_leaves_read_zero(void **state)
{
	static const u32 leaves[] = {3,		 0x1f,	     0x20,	 0x3fffffff, 0x40000002,
				     0x40000100, 0x8000000a, 0x8000001e, 0xc0000000, ~0u};

	for (u32 i = 0; i < ARRAY_SIZE(leaves); i++) {
		struct cpuid r = ask(leaves[i], 0);

		assert_int_equal(r.eax | r.ebx | r.ecx | r.edx, 0);
	}
}

static void a_bare_machine_works(void **state)
{
	struct cpu_facts f = {.max_leaf = 1, .max_ext_leaf = 0x80000001};

	build(&f, host_nothing);
	assert_int_equal(ask(7, 0).ebx, 0);
	assert_int_equal(ask(0x80000000, 0).eax, 0x80000001);
	assert_false(bits.efer & EFER_NXE);
	assert_false(bits.cr4 & (CR4_SMEP | CR4_SMAP | CR4_PCIDE | CR4_LA57 | CR4_VMXE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(names_kvm_without_features, setup),
		cmocka_unit_test_setup(masks_what_needs_handling, setup),
		cmocka_unit_test_setup(leaf_1_is_made_for_the_vcpu, setup),
		cmocka_unit_test_setup(xsave_sizes_follow_xcr0, setup),
		cmocka_unit_test_setup(what_a_feature_needs_goes_with_it, setup),
		cmocka_unit_test_setup(no_xsave_takes_avx_with_it, setup),
		cmocka_unit_test_setup(invariant_tsc_only_if_the_host_has_it, setup),
		cmocka_unit_test_setup(topology_ends_and_echoes, setup),
		cmocka_unit_test_setup(unknown_leaves_read_zero, setup),
		cmocka_unit_test_setup(a_bare_machine_works, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
