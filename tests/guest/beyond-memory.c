/*
 * Access where no memory is: nothing dies, reads give ones (QEMU's PC gives 0), writes are dropped.
 */
#include "guest.h"

TEST_NAME("beyond-memory");

static void touch(const char *what, ulong a)
{
	volatile u32 *p = (volatile u32 *)a;

	*p = 0x12345678;
	u32 v = *p;
	if (under_caisson && v != 0xffffffff)
		fail("%s, 0x%lx: read 0x%x after a write, expected 0xffffffff", what, a, v);
	expect(v != 0x12345678, what);
	u8 b = *(volatile u8 *)(a + 1);
	u64 q = *(volatile u64 *)(a + 8);
	if (under_caisson && (b != 0xff || q != ~0ull))
		fail("%s: 1 byte 0x%x, 8 bytes 0x%llx, expected ones", what, b, q);
}

void test_main(void)
{
	volatile u32 *last = (volatile u32 *)(memory_end - 4);

	expect(memory_end > 0x200000, "the loader gave no memory size");
	*last = 0xcafe;
	expect_eq("the last word of RAM", *last, 0xcafe);
	ulong hole = (memory_end + 0x3fffff) & ~0x1ffffful;
	touch("behind RAM", hole);
	touch("far behind RAM", 0x90000000);
	touch("below the I/O APIC", 0xfeb00000);
	/* The instruction emulator must not be taken in by an operand across the end. */
	*(volatile u64 *)(memory_end - 4) = 0x1122334455667788;
	expect_eq("the part of a write that lies in RAM", *last, 0x55667788);
}
