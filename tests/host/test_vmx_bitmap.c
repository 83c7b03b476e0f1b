// SOURCES: vmx/vmx_bitmap.c
/* The MSRs that a guest on VT-x reaches without an exit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/msr.h"
#include "mm/kmem.h"
#include "vmx/vmx.h"

hpa_t image_to_hpa(const void *p) { return (hpa_t){(u64)p}; }

/* SDM 3, "MSR-Bitmap Address": reads of low and of high MSRs, then writes. */
static bool leaves(bool x2apic, u32 msr, bool write)
{
	const u8 *bitmap = (const u8 *)vmx_msr_bitmap(x2apic).v;
	u32 n = msr & 0x1fff;

	return bitmap[(write ? 0x800 : 0) + (msr >> 31 ? 0x400 : 0) + n / 8] >> n % 8 & 1;
}

static void check(u32 msr, bool write, bool passed)
{
	if (leaves(true, msr, write) == passed)
		fail_msg("%s of MSR %#x: expected %s", write ? "write" : "read", msr,
			 passed ? "no exit" : "an exit");
}

/* In x2APIC mode a read that does not leave the guest shows the page, whatever lies there. */
static void in_x2apic_mode_only_what_the_page_can_answer_is_passed(void **state)
{
	vmx_bitmap_init();
	for (u32 reg = 0; reg < 0x100; reg++) {
		bool read = reg == 0x02 || reg == 0x03 || reg == 0x08 || reg == 0x0a ||
			    reg == 0x0d || reg == 0x0f || (reg >= 0x10 && reg <= 0x28) ||
			    (reg >= 0x32 && reg <= 0x38) || reg == 0x3e;

		check(0x800 + reg, false, read);
		check(0x800 + reg, true, reg == 0x08 || reg == 0x0b || reg == 0x3f);
	}
}

static void outside_it_every_access_to_the_apic_leaves_the_guest(void **state)
{
	vmx_bitmap_init();
	for (u32 msr = 0x800; msr < 0x900; msr++)
		assert_true(leaves(false, msr, false) && leaves(false, msr, true));
}

static void the_mode_changes_nothing_for_other_msrs(void **state)
{
	u32 passed = 0;

	vmx_bitmap_init();
	for (u32 n = 0; n < 0x4000; n++) {
		u32 msr = n < 0x2000 ? n : 0xc0000000 + n - 0x2000;

		for (u32 write = 0; write < 2 && (msr < 0x800 || msr >= 0x900); write++) {
			assert_int_equal(leaves(true, msr, write), leaves(false, msr, write));
			passed += !leaves(true, msr, write);
		}
	}
	assert_int_equal(passed, 12); /* six both ways */
	assert_false(leaves(false, MSR_FS_BASE, true));
	assert_true(leaves(false, MSR_STAR, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_x2apic_mode_only_what_the_page_can_answer_is_passed),
		cmocka_unit_test(outside_it_every_access_to_the_apic_leaves_the_guest),
		cmocka_unit_test(the_mode_changes_nothing_for_other_msrs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
