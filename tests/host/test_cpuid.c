// SOURCES: vmm/cpuid.c
/* The CPUID allow list, on made-up machines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "vmm/cpuid.h"

void assert_fail(const char *e, const char *f, int l) { abort(); }

/* What the made-up host lacks. */
static struct {
	u32 l1_ecx, e1_edx, xcr0;
	bool old; /* no leaf beyond the first */
} without;

/* A host that claims everything else in every leaf. */
static struct cpuid host(u32 leaf, u32 subleaf)
{
	static const struct {
		u32 size, offset;
	} xsave[] = {[2] = {256, 576}, [5] = {64, 1088}, {512, 1152}, {1024, 1664}};

	if (leaf == 0 || leaf == 0x80000000)
		return (struct cpuid){leaf | (without.old ? 1 : 0x21), 0x68747541, 0x444d4163,
				      0x69746e65};
	if (leaf == 1)
		return (struct cpuid){~0u, ~0u, ~without.l1_ecx, ~0u};
	if (leaf == 0x80000001)
		return (struct cpuid){~0u, ~0u, ~0u, ~without.e1_edx};
	if (leaf == 0xd && subleaf == 0)
		return (struct cpuid){.eax = 0x2e7 & ~without.xcr0};
	if (leaf == 0xd && subleaf >= 2)
		return subleaf < ARRAY_SIZE(xsave)
			       ? (struct cpuid){xsave[subleaf].size, xsave[subleaf].offset,
						0xffffffff, 0}
			       : (struct cpuid){0};
	return (struct cpuid){~0u, ~0u, ~0u, ~0u};
}

static struct vm_policy policy;
static struct kinfo clock;

/* The row that the kernel takes; NULL = zeros. */
static const struct cpuid_row *row(u32 leaf, u32 subleaf)
{
	u32 range = leaf >> 30, low = leaf & 0x3fffffff, n;

	if (range >= CPUID_RANGES || low >= CPUID_LEAVES || !policy.first[range][low])
		return NULL;
	n = policy.first[range][low] - 1u;
	return &policy.row[n + MIN(subleaf, policy.row[n].more)];
}

static struct cpuid ask(u32 leaf, u32 subleaf)
{
	const struct cpuid_row *found = row(leaf, subleaf);

	return found ? found->r : (struct cpuid){0};
}

static void build(void)
{
	memset(&policy, 0, sizeof(policy));
	cpuid_build(&policy, host, &clock);
}

static int setup(void **state)
{
	memset(&without, 0, sizeof(without));
	clock = (struct kinfo){.flags = KINFO_TSC, .tsc_mult = 1ull << 31};
	build();
	return 0;
}

#define CLOCK_BITS (1u << 3 | 1u << 24)

static void names_kvm_and_what_there_is_of_it(void **state)
{
	struct cpuid r = ask(0x40000000, 0);

	assert_int_equal(r.eax, 0x40000010);
	assert_memory_equal(&r.ebx, "KVMKVMKVM\0\0\0", 12);
	r = ask(0x40000001, 0);
	assert_int_equal(r.eax,
			 1u << 1 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 11 | 1u << 13 | CLOCK_BITS);
	assert_int_equal(r.ebx | r.ecx | r.edx, 0);
	assert_int_equal(ask(0x40000010, 0).eax, 2000000); /* kHz */
	assert_int_equal(ask(0x40000010, 0).ebx, 1000000);
}

static void no_paravirtual_clock_where_the_tsc_is_none(void **state)
{
	clock.flags = 0;
	build();
	assert_int_equal(ask(0x40000000, 0).eax, 0x40000001);
	assert_int_equal(ask(0x40000001, 0).eax & CLOCK_BITS, 0);
	assert_int_equal(ask(0x40000010, 0).eax, 0);
}

static void masks_what_needs_handling(void **state)
{
	static const struct {
		u32 leaf, subleaf, reg, bit;
		const char *name;
	} gone[] = {
		{1, 0, 2, 2, "DTES64"},	       {1, 0, 2, 3, "MONITOR"},
		{1, 0, 2, 5, "VMX"},	       {1, 0, 2, 6, "SMX"},
		{1, 0, 2, 15, "PDCM"},	       {1, 0, 3, 21, "DS"},
		{7, 0, 1, 2, "SGX"},	       {7, 0, 1, 14, "MPX"},
		{7, 0, 1, 4, "HLE"},	       {7, 0, 1, 16, "AVX512F"},
		{7, 0, 1, 12, "RDT_M"},	       {7, 0, 2, 3, "PKU"},
		{7, 0, 2, 7, "CET"},	       {7, 0, 2, 1, "AVX512VBMI"},
		{7, 0, 2, 16, "LA57"},	       {7, 0, 3, 24, "AMX"},
		{7, 0, 3, 26, "SPEC_CTRL"},    {0xd, 1, 0, 3, "XSAVES"},
		{0x80000001, 0, 2, 2, "SVM"},  {0x80000001, 0, 2, 22, "TOPOEXT"},
		{0x80000001, 0, 2, 9, "OSVW"}, {0x80000008, 0, 1, 12, "IBPB"},
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

/* A guest may take the TSC as its clock exactly where the host does, whatever the CPU promises. */
static void the_tsc_is_invariant_where_it_is_the_hosts_clock(void **state)
{
	assert_int_equal(ask(0x80000007, 0).edx, 1u << 8);
	assert_true(ask(7, 0).ebx >> 1 & 1); /* TSC_ADJUST */
	clock.flags = 0;
	build();
	assert_int_equal(ask(0x80000007, 0).edx, 0);
	assert_true(ask(7, 0).ebx >> 1 & 1);
}

static void the_kernel_fills_in_what_is_the_vcpus(void **state)
{
	assert_int_equal(row(1, 0)->kind, CPUID_FEATURES);
	assert_int_equal(ask(1, 0).ebx >> 24, 0);
	assert_int_equal(ask(1, 0).ebx >> 16 & 0xff, 1);
	assert_true(ask(1, 0).ecx >> 21 & 1);  /* x2APIC */
	assert_true(ask(1, 0).ecx >> 24 & 1);  /* TSC deadline, whatever the host has */
	assert_true(ask(1, 0).ecx >> 31 & 1);  /* hypervisor */
	assert_false(ask(1, 0).ecx >> 27 & 1); /* OSXSAVE, as CR4 says */
	for (u32 i = 0; i < 5; i++)
		assert_int_equal(row(0xb, i)->kind, CPUID_TOPOLOGY);
	assert_int_equal(row(0xd, 0)->kind, CPUID_XSAVE);
	assert_int_equal(row(0xd, 1)->kind, CPUID_XSAVE);
	assert_int_equal(row(0, 0)->kind, CPUID_CONSTANT);
	assert_int_equal(row(0xd, 2)->kind, CPUID_CONSTANT);
}

static void the_table_is_one(void **state)
{
	assert_int_equal(policy.size, sizeof(policy));
	for (u32 range = 0; range < CPUID_RANGES; range++)
		for (u32 i = 0; i < CPUID_LEAVES; i++) {
			u32 first = policy.first[range][i];

			if (first)
				assert_true(first - 1 + policy.row[first - 1].more < CPUID_ROWS);
		}
}

static void xsave_sizes_are_those_of_what_is_offered(void **state)
{
	assert_int_equal(ask(0xd, 0).eax, 7);
	assert_int_equal(policy.xsave_bytes, 832); /* x87, SSE, AVX */
	assert_int_equal(ask(0xd, 0).ecx, 832);
	assert_int_equal(ask(0xd, 2).eax, 256);
	assert_int_equal(ask(0xd, 5).eax | ask(0xd, 9).eax, 0);
}

static void what_a_feature_needs_goes_with_it(void **state)
{
	assert_true(ask(7, 0).ebx >> 5 & 1);  /* AVX2 */
	assert_true(ask(7, 0).ebx >> 10 & 1); /* INVPCID */
	assert_true(ask(0x80000001, 0).edx >> 27 & 1);
	without.xcr0 = 4;
	without.l1_ecx = 1u << 17; /* PCID */
	without.e1_edx = 1u << 27; /* RDTSCP */
	build();
	assert_int_equal(ask(0xd, 0).eax, 3);
	assert_true(ask(1, 0).ecx >> 26 & 1);
	assert_false(ask(1, 0).ecx >> 28 & 1);
	assert_false(ask(7, 0).ebx >> 5 & 1);
	assert_false(ask(7, 0).ebx >> 10 & 1);
	assert_false(ask(0x80000001, 0).ecx >> 16 & 1);
	assert_false(ask(0x80000001, 0).edx >> 27 & 1);
	assert_int_equal(ask(0xd, 0).ecx, 576);
	assert_int_equal(ask(0xd, 2).eax, 0);
}

static void no_xsave_takes_avx_with_it(void **state)
{
	without.l1_ecx = 1u << 26;
	build();
	assert_int_equal(ask(0, 0).eax, 0xb);
	assert_false(ask(1, 0).ecx >> 26 & 1);
	assert_false(ask(1, 0).ecx >> 28 & 1);
	assert_false(ask(7, 0).ebx >> 5 & 1);
	assert_int_equal(ask(0xd, 0).eax, 0);
}

static void sub_leaves_end(void **state)
{
	assert_int_not_equal(ask(4, 3).eax, 0);
	assert_int_equal(ask(4, 4).eax | ask(4, 100).eax, 0);
	assert_int_equal(ask(7, 1).ebx | ask(7, ~0u).ebx, 0);
	assert_int_equal(ask(0xb, 0).ecx, 0x100);
	assert_int_equal(ask(0xb, 1).ecx, 0x200);
	assert_int_equal(ask(0xb, 2).ecx | ask(0xb, 7).ecx | ask(0xb, 7).ebx, 0);
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
	without.old = true;
	build();
	assert_int_equal(ask(0, 0).eax, 0xb);
	assert_int_equal(ask(7, 0).ebx, 1u << 1); /* TSC_ADJUST is ours */
	assert_int_equal(ask(0xd, 0).eax, 0);
	assert_int_equal(ask(0x80000000, 0).eax, 0x80000001);
	assert_int_equal(ask(0x80000008, 0).eax, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(names_kvm_and_what_there_is_of_it, setup),
		cmocka_unit_test_setup(no_paravirtual_clock_where_the_tsc_is_none, setup),
		cmocka_unit_test_setup(masks_what_needs_handling, setup),
		cmocka_unit_test_setup(the_tsc_is_invariant_where_it_is_the_hosts_clock, setup),
		cmocka_unit_test_setup(the_kernel_fills_in_what_is_the_vcpus, setup),
		cmocka_unit_test_setup(the_table_is_one, setup),
		cmocka_unit_test_setup(xsave_sizes_are_those_of_what_is_offered, setup),
		cmocka_unit_test_setup(what_a_feature_needs_goes_with_it, setup),
		cmocka_unit_test_setup(no_xsave_takes_avx_with_it, setup),
		cmocka_unit_test_setup(sub_leaves_end, setup),
		cmocka_unit_test_setup(unknown_leaves_read_zero, setup),
		cmocka_unit_test_setup(a_bare_machine_works, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
