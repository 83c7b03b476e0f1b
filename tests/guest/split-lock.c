/*
 * A locked instruction that crosses a page counts right; under QEMU's TCG it stops all CPUs, which
 * makes it a test of what runs beside it. "rounds=N" of 100.
 */
#include "guest.h"

TEST_NAME("split-lock");

static u8 pages[2 * PAGE] __page_aligned;

void test_main(void)
{
	u32 rounds = (u32)command_line_number("rounds=", 10) * 100;
	u32 *counter = (u32 *)(pages + PAGE - 2);

	for (u32 i = 0; i < rounds; i++)
		__asm__ volatile("lock incl %0" : "+m"(*counter));
	expect_eq("counter", *counter, rounds);
}
