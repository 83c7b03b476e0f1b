// SOURCES: svm/svm_bitmap.c lib/fmt.c
/* AMD-V: which machines are usable, and which optional features are used on them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/msr.h"
#include "hv/cpu.h"
#include "hv/x86.h"
#include "mm/kmem.h"
#include "svm/svm.h"

static u64 vm_cr;
static bool locked, no_memory;

static inline u64 fake_rdmsr(u32 msr) { return msr == MSR_VM_CR ? vm_cr : 0; }
static inline bool fake_rdmsr_safe(u32 msr, u64 *v)
{
	*v = fake_rdmsr(msr);
	return true;
}
static inline void fake_wrmsr(u32 msr, u64 v)
{
	if (msr == MSR_VM_CR && !locked)
		vm_cr = v;
}
#define rdmsr fake_rdmsr
#define rdmsr_safe fake_rdmsr_safe
#define wrmsr fake_wrmsr
#include "svm/svm_caps.c"

struct cpu_facts cpu_facts;

struct quota *const kernel_quota = NULL;
void *kmem_alloc(struct quota *q, size_t size) { return no_memory ? NULL : calloc(1, size); }
void kmem_free(struct quota *q, void *p, size_t size) { free(p); }
hpa_t kva_to_hpa(const void *p) { return hpa((u64)p); }
hpa_t image_to_hpa(const void *p) { return hpa((u64)p); }

/* What QEMU's TCG shows. */
static const struct cpu_facts tcg = {
	.vendor = "AuthenticAMD",
	.phys_bits = 40,
	.nx = true,
	.xsave = true,
	.smep = true,
	.smap = true,
	.umip = true,
	.rdtscp = true,
	.svm = true,
	.svm_npt = true,
	.svm_asids = 16,
};

static void probe_names_what_is_missing(void **state)
{
	static const struct {
		const char *expect; /* in the reason; NULL = usable */
		bool svm, locked, npt;
		u32 asids, signature;
	} cases[] = {
		{NULL, true, false, true, 16, 0},
		{"erratum 383", true, false, true, 64, 0x100f42},
		{NULL, true, false, true, 64, 0x600f12},
		{NULL, true, false, true, 64, 0x60fb1},
		{NULL, true, false, true, 2, 0},
		{"does not offer", false, false, true, 16, 0},
		{"firmware", true, true, true, 16, 0},
		{"nested paging", true, false, false, 16, 0},
		{"identifier", true, false, true, 1, 0},
		{"identifier", true, false, true, 0, 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cpu_facts f = tcg;
		const char *why = "unset";
		bool ok;

		f.svm = cases[i].svm;
		f.svm_locked_off = cases[i].locked;
		f.svm_npt = cases[i].npt;
		f.svm_asids = cases[i].asids;
		f.signature = cases[i].signature;
		ok = svm_probe(&f, &why);
		if (ok != !cases[i].expect || (why == NULL) != ok ||
		    (why && !strstr(why, cases[i].expect)))
			fail_msg("case %u: expected %s, got %s", i, cases[i].expect, why);
	}
}

static void features_follow_the_facts(void **state)
{
	struct cpu_facts *f = &cpu_facts;
	char buf[128];

	*f = tcg;
	assert_int_equal(svm_max_asid(), 15);
	svm_features(buf, sizeof(buf));
	assert_string_equal(buf, "npt");

	f->svm_nrip = f->svm_flush_by_asid = f->svm_vmcb_clean = f->svm_pause_filter = true;
	svm_features(buf, sizeof(buf));
	assert_string_equal(buf, "npt nrip-save flush-by-asid vmcb-clean pause-filter");
	svm_features(buf, 8);
	assert_string_equal(buf, "npt nri");
}

static u32 msr_bits(const u8 *map, u32 byte, u32 n) { return map[byte + n / 4] >> (n % 4 * 2) & 3; }

static void msr_bitmap_denies_by_default(void **state)
{
	const u8 *map, *ports;

	cpu_facts = tcg;
	svm_bitmap_init();
	map = (const u8 *)svm_msrpm().v;
	ports = (const u8 *)svm_iopm().v;
	for (u32 i = 0; i < 3 * PAGE_SIZE; i++)
		assert_int_equal(ports[i], 0xff);
	assert_int_equal(msr_bits(map, 0, MSR_TSC), 3);
	assert_int_equal(msr_bits(map, 0, MSR_SYSENTER_EIP), 0);
	assert_int_equal(msr_bits(map, 0, MSR_APIC_BASE), 3);
	assert_int_equal(msr_bits(map, 0x800, 0x80), 3);   /* EFER */
	assert_int_equal(msr_bits(map, 0x800, 0x100), 0);  /* FS.base */
	assert_int_equal(msr_bits(map, 0x800, 0x103), 0);  /* TSC_AUX */
	assert_int_equal(msr_bits(map, 0x1000, 0x114), 3); /* VM_CR */
	assert_int_equal(msr_bits(map, 0x1000, 0x117), 3); /* VM_HSAVE_PA */

	cpu_facts.rdtscp = false;
	svm_bitmap_init();
	assert_int_equal(msr_bits(map, 0x800, 0x103), 3);
	for (u32 n = 0x1000; n < 0x1800; n++)
		assert_int_equal(map[n], 0xff);
}

/* -E_NOMEM: it has come to the area, for which there is no memory here. */
static void a_locked_cpu_is_told_from_one_without_memory(void **state)
{
	static const struct {
		u64 before;
		bool locked;
		int want;
	} cases[] = {
		{0, true, -E_NOMEM},
		{VM_CR_SVMDIS, false, -E_NOMEM},
		{VM_CR_SVMDIS, true, -E_NODEV},
	};
	struct cpu c = {.id = 1};

	no_memory = true;
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		vm_cr = cases[i].before;
		locked = cases[i].locked;
		assert_int_equal(svm_cpu_enable(&c), cases[i].want);
		assert_int_equal(vm_cr, locked ? cases[i].before : 0);
	}
	no_memory = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probe_names_what_is_missing),
		cmocka_unit_test(features_follow_the_facts),
		cmocka_unit_test(msr_bitmap_denies_by_default),
		cmocka_unit_test(a_locked_cpu_is_told_from_one_without_memory),
	};

	return cmocka_run_group_tests_name("svm_caps", tests, NULL, NULL);
}
