/* The status written to port 0xf4 is the VM's. */
#include "guest.h"

TEST_NAME("debug-exit");

void test_main(void)
{
	pass_now();
	end_machine(42);
}
