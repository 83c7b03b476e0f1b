/* A reset by the keyboard controller's pulse command. */
#include "guest.h"

TEST_NAME("reset-kbc");

void test_main(void)
{
	pass_now();
	outb(0x64, 0xfe);
	spin(100000);
	fail("still running");
}
