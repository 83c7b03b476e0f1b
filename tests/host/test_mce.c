// SOURCES: kernel/mce.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "hv/facts.h"
#include "hv/up.h"
#include "kernel/mce.h"

enum frame_owner frame_owner_of(hpa_t a) { return FRAME_RESERVED; }
void log_line(enum log_level level, const char *fmt, ...) {}
void panic(const char *fmt, ...) { abort(); }

struct cpu_facts cpu_facts;

#define LOST (MCI_VALID | MCI_UNCORRECTED)

#define REQUIRED (LOST | MCI_ACTION) /* SRAR */
#define SRAO (LOST | 1ull << 56)

enum where { GUEST, KERNEL };

/* clang-format off */
static const struct {
	const char *name;
	struct mce_bank bank;
	struct mce_context at; /* in_kernel, resumable, met, recoverable */
	enum mce_verdict verdict;
} cases[] = {
	{"in a guest, no address", {.status = LOST}, {GUEST, true, false, false}, MCE_END},
	{"in a guest's frame", {LOST | MCI_ADDRESS, 0x1000, FRAME_GUEST}, {GUEST, true, false, false}, MCE_END},
	{"in a program's frame", {LOST | MCI_ADDRESS, 0x1000, FRAME_USER}, {GUEST, true, false, false}, MCE_END},
	{"in the kernel's heap", {LOST | MCI_ADDRESS, 0x1000, FRAME_KERNEL}, {GUEST, true, false, false}, MCE_PANIC},
	{"in a kernel stack", {LOST | MCI_ADDRESS, 0x1000, FRAME_PRIVATE}, {GUEST, true, false, false}, MCE_PANIC},
	{"in a device", {LOST | MCI_ADDRESS, 0x1000, FRAME_RESERVED}, {GUEST, true, false, false}, MCE_PANIC},
	{"an address that is not valid", {LOST, 0x1000, FRAME_KERNEL}, {GUEST, true, false, false}, MCE_END},
	{"the processor's state is wrong", {.status = LOST | MCI_CORRUPT}, {GUEST, true, false, false}, MCE_PANIC},
	{"corrected, in the heap", {MCI_VALID | MCI_ADDRESS, 0, FRAME_KERNEL}, {GUEST, true, false, false}, MCE_GO_ON},
	{"corrected, in ring 0", {.status = MCI_VALID}, {KERNEL, true, false, false}, MCE_GO_ON},
	{"ring 0, in a guest's frame", {LOST | MCI_ADDRESS, 0, FRAME_GUEST}, {KERNEL, true, false, false}, MCE_PANIC},
	{"another CPU's, in a guest", {.status = 0}, {GUEST, true, false, false}, MCE_GO_ON},
	{"another CPU's, in ring 0", {.status = 0}, {KERNEL, true, false, false}, MCE_GO_ON},
	{"a guest that can't go on", {.status = 0}, {GUEST, false, false, false}, MCE_END},
	{"ring 0 that can't go on", {.status = 0}, {KERNEL, false, false, false}, MCE_PANIC},
	{"not valid", {MCI_CORRUPT | MCI_UNCORRECTED, 0, FRAME_KERNEL}, {GUEST, true, false, false}, MCE_GO_ON},
	{"SRAR of a sibling, in a shared bank, in ring 0", {REQUIRED | MCI_ADDRESS, 0, FRAME_GUEST}, {KERNEL, true, false, true}, MCE_GO_ON},
	{"the same in a guest", {REQUIRED | MCI_ADDRESS, 0, FRAME_GUEST}, {GUEST, true, false, true}, MCE_GO_ON},
	{"the same with one lost before", {.status = REQUIRED | MCI_OVERFLOW}, {KERNEL, true, false, true}, MCE_PANIC},
	{"the same, but it can't go on", {.status = REQUIRED}, {GUEST, false, false, true}, MCE_END},
	{"the same in ring 0", {.status = REQUIRED}, {KERNEL, false, false, true}, MCE_PANIC},
	{"SRAR met by ring 0", {REQUIRED | MCI_ADDRESS, 0, FRAME_GUEST}, {KERNEL, true, true, true}, MCE_PANIC},
	{"SRAR met by a guest", {REQUIRED | MCI_ADDRESS, 0, FRAME_GUEST}, {GUEST, true, true, true}, MCE_END},
	{"SRAR met by a guest in the heap", {REQUIRED | MCI_ADDRESS, 0, FRAME_KERNEL}, {GUEST, true, true, true}, MCE_PANIC},
	{"SRAO in the heap, found by the scrubber", {SRAO | MCI_ADDRESS, 0, FRAME_KERNEL}, {KERNEL, true, false, true}, MCE_GO_ON},
	{"SRAO beside an SRAR", {SRAO | MCI_ADDRESS, 0, FRAME_KERNEL}, {GUEST, true, true, true}, MCE_GO_ON},
	{"UCNA beside it", {LOST | MCI_ADDRESS, 0, FRAME_KERNEL}, {KERNEL, true, false, true}, MCE_GO_ON},
	{"the state is wrong", {.status = REQUIRED | MCI_CORRUPT}, {KERNEL, true, false, true}, MCE_PANIC},
	{"met, the bank is gone, in a guest", {.status = 0}, {GUEST, true, true, true}, MCE_END},
	{"met, the bank is gone, in ring 0", {.status = 0}, {KERNEL, true, true, true}, MCE_PANIC},
};
/* clang-format on */

static void only_what_was_interrupted_is_lost_or_the_machine_stops(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		enum mce_verdict got = mce_judge(&cases[i].bank, &cases[i].at);

		if (got != cases[i].verdict)
			fail_msg("%s: got %d, expected %d", cases[i].name, got, cases[i].verdict);
	}
}

static void control_of_the_first_bank_is_another_register_up_to_core_2(void **state)
{
	assert_int_equal(mce_first_control(0x006fb), 1); /* Core 2 */
	assert_int_equal(mce_first_control(0x1067a), 1);
	assert_int_equal(mce_first_control(0x106a5), 0); /* Nehalem, model 1Ah */
	assert_int_equal(mce_first_control(0x50654), 0);
	assert_int_equal(mce_first_control(0x600f12), 0); /* AMD family 15h */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_was_interrupted_is_lost_or_the_machine_stops),
		cmocka_unit_test(control_of_the_first_bank_is_another_register_up_to_core_2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
