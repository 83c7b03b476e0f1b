// SOURCES: svm/svm_caps.c svm/svm_bitmap.c lib/fmt.c
/* AMD-V: which machines are usable, and which optional features are used on them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/msr.h"
#include "mm/kmem.h"
#include "svm/svm.h"

void *kmem_pages_alloc(struct quota *q, u32 order) { return calloc(1, PAGE_SIZE << order); }
void kmem_pages_free(struct quota *q, void *p, u32 order) { free(p); }
hpa_t kva_to_hpa(const void *p) { return hpa((u64)p); }
hpa_t image_to_hpa(const void *p) { return hpa((u64)p); }

/* What QEMU's TCG shows. */
static const struct cpu_facts tcg = {
	.vendor = "AuthenticAMD", .phys_bits = 40, .nx = true, .xsave = true, .smep = true, .smap = true,
	.umip = true, .fsgsbase = true, .rdtscp = true, .svm = true, .svm_npt = true,
	.svm_asids = 16,
};

static void probe_names_what_is_missing(void **state)
{
	static const struct {
		const char *expect; /* in the reason; NULL = usable */
		bool svm, locked, npt;
		u32 asids;
	} cases[] = {
		{NULL, true, false, true, 16},
		{NULL, true, false, true, 2},
		{"does not offer", false, false, true, 16},
		{"firmware", true, true, true, 16},
		{"nested paging", true, false, false, 16},
		{"identifier", true, false, true, 1},
		{"identifier", true, false, true, 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cpu_facts f = tcg;
		const char *why = "unset";
		bool ok;

		f.svm = cases[i].svm;
		f.svm_locked_off = cases[i].locked;
		f.svm_npt = cases[i].npt;
		f.svm_asids = cases[i].asids;
		ok = svm_probe(&f, &why);
		if (ok != !cases[i].expect || (why == NULL) != ok || (why && !strstr(why, cases[i].expect)))
			fail_msg("case %u: expected %s, got %s", i, cases[i].expect, why);
	}
}

static void features_follow_the_facts(void **state)
{
	struct cpu_facts f = tcg;
	char buf[128];

	assert_int_equal(svm_init(&f), 0);
	assert_int_equal(svm_caps.max_asid, 15);
	assert_false(svm_caps.nrip || svm_caps.flush_by_asid || svm_caps.vmcb_clean || svm_caps.pause_filter);
	svm_features(buf, sizeof(buf));
	assert_string_equal(buf, "npt");

	f.svm_nrip = f.svm_decode_assists = f.svm_flush_by_asid = f.svm_vmcb_clean = f.svm_pause_filter = true;
	assert_int_equal(svm_init(&f), 0);
	svm_features(buf, sizeof(buf));
	assert_string_equal(buf, "npt nrip-save decode-assists flush-by-asid vmcb-clean pause-filter");
	svm_features(buf, 8);
	assert_string_equal(buf, "npt nri");
}

static void guest_bits_follow_the_facts(void **state)
{
	struct cpu_facts f = tcg;

	svm_init(&f);
	assert_true(svm_caps.cr4_mask & CR4_SMEP);
	assert_false(svm_caps.cr4_mask & (CR4_LA57 | CR4_VMXE | CR4_PCIDE));
	assert_false(svm_caps.efer_mask & (EFER_SVME | EFER_LMSLE));
	f.smep = f.nx = false;
	f.pcid = true;
	svm_init(&f);
	assert_false(svm_caps.cr4_mask & CR4_SMEP);
	assert_true(svm_caps.cr4_mask & CR4_PCIDE);
	assert_false(svm_caps.efer_mask & EFER_NXE);
}

static u32 msr_bits(const u8 *map, u32 byte, u32 n) { return map[byte + n / 4] >> (n % 4 * 2) & 3; }

static void msr_bitmap_denies_by_default(void **state)
{
	static u8 map[PAGE_SIZE << SVM_MSRPM_ORDER];

	svm_init(&tcg);
	svm_msrpm_init(map);
	assert_int_equal(msr_bits(map, 0, MSR_TSC), 3);
	assert_int_equal(msr_bits(map, 0, MSR_SYSENTER_EIP), 0);
	assert_int_equal(msr_bits(map, 0, MSR_APIC_BASE), 3);
	assert_int_equal(msr_bits(map, 0x800, 0x80), 3); /* EFER */
	assert_int_equal(msr_bits(map, 0x800, 0x100), 0); /* FS.base */
	assert_int_equal(msr_bits(map, 0x800, 0x103), 0); /* TSC_AUX */
	assert_int_equal(msr_bits(map, 0x1000, 0x114), 3); /* VM_CR */
	assert_int_equal(msr_bits(map, 0x1000, 0x117), 3); /* VM_HSAVE_PA */

	svm_msrpm_pass(map, MSR_TSC, true, false);
	assert_int_equal(msr_bits(map, 0, MSR_TSC), 2);
	svm_msrpm_pass(map, 0x1fff, true, true);
	assert_int_equal(map[0x7ff], 0x3f);
	svm_msrpm_pass(map, 0x2000, true, true);     /* not in the map */
	svm_msrpm_pass(map, 0xc0002000, true, true);
	svm_msrpm_pass(map, 0xffffffff, true, true);
	assert_int_equal(map[0x800], 0xff);
	assert_int_equal(map[0x1000], 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probe_names_what_is_missing),
		cmocka_unit_test(features_follow_the_facts),
		cmocka_unit_test(guest_bits_follow_the_facts),
		cmocka_unit_test(msr_bitmap_denies_by_default),
	};

	return cmocka_run_group_tests_name("svm_caps", tests, NULL, NULL);
}
