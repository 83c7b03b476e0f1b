// SOURCES: kernel/guest_bits.c
/* What a guest may switch on, on made-up machines: what the CPU has and the kernel handles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "arch/cpu.h"
#include "hv/vendor.h"

/* Never, whatever the CPU has: nothing handles them. */
#define CR4_PKE BIT(22)
#define EFER_LMSLE BIT(13)
#define EFER_FFXSR BIT(14)
#define CR4_NEVER (CR4_LA57 | CR4_VMXE | CR4_PKE)
#define EFER_NEVER (EFER_SVME | EFER_LMSLE | EFER_FFXSR)

static void each_fact_gives_its_bit(void **state)
{
	static const struct {
		const char *name;
		struct cpu_facts f;
		u64 cr4, efer, xcr0;
	} cases[] = {
		{"nothing", {.nx = false}, 0, 0, 1},
		{"PCID", {.pcid = true}, CR4_PCIDE, 0, 1},
		{"FSGSBASE", {.fsgsbase = true}, CR4_FSGSBASE, 0, 1},
		{"SMEP", {.smep = true}, CR4_SMEP, 0, 1},
		{"SMAP", {.smap = true}, CR4_SMAP, 0, 1},
		{"UMIP", {.umip = true}, CR4_UMIP, 0, 1},
		{"NX", {.nx = true}, 0, EFER_NXE, 1},
		{"AVX without XSAVE", {.xcr0_supported = 7}, 0, 0, 1},
		{"XSAVE", {.xsave = true, .xcr0_supported = 3}, CR4_OSXSAVE, 0, 3},
		{"AVX-512", {.xsave = true, .xcr0_supported = 0x2e7}, CR4_OSXSAVE, 0, 7},
	};
	struct guest_bits none = guest_bits_of(&cases[0].f);

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guest_bits b = guest_bits_of(&cases[i].f);

		if ((b.cr4 ^ none.cr4) != cases[i].cr4 || (b.efer ^ none.efer) != cases[i].efer ||
		    b.xcr0 != cases[i].xcr0)
			fail_msg("%s: got CR4 %#lx EFER %#lx XCR0 %#lx", cases[i].name, b.cr4,
				 b.efer, b.xcr0);
		assert_int_equal(b.cr4 & CR4_NEVER, 0);
		assert_int_equal(b.efer & EFER_NEVER, 0);
	}
}

static void what_every_cpu_has_is_offered(void **state)
{
	struct guest_bits b = guest_bits_of(&(struct cpu_facts){.nx = false});
	u64 cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_MCE | CR4_DE;

	assert_int_equal(b.cr4 & cr4, cr4);
	assert_int_equal(b.efer, EFER_SCE | EFER_LME | EFER_LMA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_fact_gives_its_bit),
		cmocka_unit_test(what_every_cpu_has_is_offered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
