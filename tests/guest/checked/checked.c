/*
 * A guest that takes machine checks and goes on: boot/machine-check-guest lets one come to it, as
 * QEMU does it, and then makes the exit of it that a processor would have made.
 */
#include "guest.h"

TEST_NAME("checked");

enum { EXC_MC = 18, PORT_UNUSED = 0x80 };
#define CR4_MCE (1ul << 6)
#define NAME 0x64656b63656863ull /* "checked" */

/* The test stops the machine here. */
void checked_handler(struct frame *f) {}

/* And here, where it sees in a register whose code it is. */
static void __attribute__((noinline)) turn(void)
{
	register u64 name __asm__("r14") = NAME;

	__asm__ volatile(".globl checked_turn\nchecked_turn: outb %%al, %0"
			 :
			 : "i"(PORT_UNUSED), "r"(name));
}

void test_main(void)
{
	set_handler(EXC_MC, checked_handler);
	write_cr4(read_cr4() | CR4_MCE);
	for (;;)
		turn();
}
