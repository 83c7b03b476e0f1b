/* A hard reset by the PCI reset-control register. */
#include "guest.h"

TEST_NAME("reset-cf9");

void test_main(void)
{
	pass_now();
	outb(0xcf9, 2);
	outb(0xcf9, 6);
	spin(100000);
	fail("still running");
}
