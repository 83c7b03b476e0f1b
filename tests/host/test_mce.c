// SOURCES: kernel/mce.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "hv/up.h"
#include "kernel/mce.h"

enum frame_owner frame_owner_of(hpa_t a) { return FRAME_RESERVED; }
void log_line(enum log_level level, const char *fmt, ...) {}
void panic(const char *fmt, ...) { abort(); }

#define LOST (MCI_VALID | MCI_UNCORRECTED)

static const struct {
	const char *name;
	struct mce_bank bank;
	bool in_kernel, survives;
} cases[] = {
	{"in a guest, no address", {.status = LOST}, false, true},
	{"in a guest's frame", {LOST | MCI_ADDRESS, 0x1000, FRAME_GUEST}, false, true},
	{"in a program's frame", {LOST | MCI_ADDRESS, 0x1000, FRAME_USER}, false, true},
	{"in the kernel's heap", {LOST | MCI_ADDRESS, 0x1000, FRAME_KERNEL}, false, false},
	{"in a kernel stack", {LOST | MCI_ADDRESS, 0x1000, FRAME_PRIVATE}, false, false},
	{"in the image or a device", {LOST | MCI_ADDRESS, 0x1000, FRAME_RESERVED}, false, false},
	{"an address that is not valid", {LOST, 0x1000, FRAME_KERNEL}, false, true},
	{"the processor's state is wrong",
	 {LOST | MCI_CORRUPT | MCI_ADDRESS, 0x1000, FRAME_GUEST},
	 false,
	 false},
	{"corrected, in the kernel's heap",
	 {MCI_VALID | MCI_ADDRESS, 0x1000, FRAME_KERNEL},
	 false,
	 true},
	{"ring 0, in a guest's frame", {LOST | MCI_ADDRESS, 0x1000, FRAME_GUEST}, true, false},
	{"a bank that holds nothing",
	 {MCI_CORRUPT | MCI_UNCORRECTED, 0, FRAME_KERNEL},
	 false,
	 true},
};

static void only_what_was_interrupted_is_lost_or_the_machine_stops(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++)
		if (mce_survivable(&cases[i].bank, 1, cases[i].in_kernel) != cases[i].survives)
			fail_msg("%s: got %d, expected %d", cases[i].name, !cases[i].survives,
				 cases[i].survives);
}

static void one_bad_bank_among_good_ones_counts(void **state)
{
	const struct mce_bank banks[] = {
		{.status = LOST}, {LOST | MCI_CORRUPT, 0, FRAME_FREE}, {.status = LOST}};

	assert_false(mce_survivable(banks, 3, false));
	assert_true(mce_survivable(banks, 1, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_was_interrupted_is_lost_or_the_machine_stops),
		cmocka_unit_test(one_bad_bank_among_good_ones_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
