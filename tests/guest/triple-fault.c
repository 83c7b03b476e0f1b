/* Without an IDT an exception ends the machine. */
#include "guest.h"

TEST_NAME("triple-fault");

void test_main(void)
{
	struct {
		u16 limit;
		ulong base;
	} __attribute__((packed)) none = {0, 0};

	pass_now();
	__asm__ volatile("lidt %0; int3" ::"m"(none));
	fail("still running");
}
