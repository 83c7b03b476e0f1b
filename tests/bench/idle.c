/* Waits for ever: what a VM costs in memory is read from outside. */
#include "guest.h"

TEST_NAME("idle");

void test_main(void)
{
	print("idle\n");
	for (;;)
		sti_hlt();
}
