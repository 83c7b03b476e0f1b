/* INS and OUTS: widths, repeat, direction, page crossing, faults half-way. */
#include "guest.h"

TEST_NAME("string-io");

#define SCRATCH 0x3ff
#define NOTHING 0x1234
#define PCI_ADDRESS 0xcf8
#define UNMAPPED 0x100000000ul /* the first byte above the identity map */

static u8 buffer[4 * PAGE] __page_aligned;

static ulong ins(u32 width, u16 port, void *to, ulong count, ulong *left)
{
	ulong di = (ulong)to;

	if (width == 1)
		__asm__ volatile("rep insb" : "+D"(di), "+c"(count) : "d"(port) : "memory");
	else if (width == 2)
		__asm__ volatile("rep insw" : "+D"(di), "+c"(count) : "d"(port) : "memory");
	else
		__asm__ volatile("rep insl" : "+D"(di), "+c"(count) : "d"(port) : "memory");
	*left = count;
	return di;
}

static void expect_bytes(const char *what, const u8 *p, ulong n, u8 value)
{
	for (ulong i = 0; i < n; i++)
		if (p[i] != value) {
			fail("%s: byte %u is 0x%x, expected 0x%x", what, (u32)i, p[i], value);
			return;
		}
}

static void test_ins(void)
{
	ulong left;

	fill(buffer, 0x11, sizeof(buffer));
	outb(SCRATCH, 0x5a);
	ulong di = ins(1, SCRATCH, buffer + PAGE - 8, 16, &left);
	expect_eq("rep insb: rdi", di, (ulong)(buffer + PAGE + 8));
	expect_eq("rep insb: rcx", left, 0);
	expect_bytes("rep insb", buffer + PAGE - 8, 16, 0x5a);
	expect_bytes("before rep insb", buffer, PAGE - 8, 0x11);
	expect_bytes("after rep insb", buffer + PAGE + 8, 16, 0x11);

	di = ins(2, NOTHING, buffer, 5, &left);
	expect_eq("rep insw: rdi", di, (ulong)(buffer + 10));
	expect_bytes("rep insw", buffer, 10, 0xff);
	expect_bytes("after rep insw", buffer + 10, 8, 0x11);

	outl(PCI_ADDRESS, 0x80123450);
	ins(4, PCI_ADDRESS, buffer + 32, 3, &left);
	for (u32 i = 0; i < 3; i++)
		expect_eq("rep insd", *(u32 *)(buffer + 32 + 4 * i), 0x80123450);

	di = ins(1, SCRATCH, buffer + 100, 0, &left);
	expect_eq("rep insb of 0 bytes: rdi", di, (ulong)(buffer + 100));
	expect_eq("rep insb of 0 bytes: memory", buffer[100], 0x11);

	ulong back = (ulong)(buffer + 203), count = 4;
	__asm__ volatile("std; rep insb; cld" : "+D"(back), "+c"(count) : "d"(SCRATCH) : "memory");
	expect_eq("backwards: rdi", back, (ulong)(buffer + 199));
	expect_bytes("backwards", buffer + 200, 4, 0x5a);
	expect_bytes("below backwards", buffer + 196, 4, 0x11);

	ins(1, SCRATCH, buffer, 3 * PAGE, &left);
	expect_bytes("rep insb of 3 pages", buffer, 3 * PAGE, 0x5a);
}

static void test_outs(void)
{
	static const u8 bytes[] = {1, 2, 3, 0x77};
	static const u32 words[] = {0x80000000, 0x80001230, 0x80004560};
	ulong si = (ulong)bytes, count = sizeof(bytes);

	__asm__ volatile("rep outsb" : "+S"(si), "+c"(count) : "d"(SCRATCH) : "memory");
	expect_eq("rep outsb: the last byte", inb(SCRATCH), 0x77);
	expect_eq("rep outsb: rsi", si, (ulong)bytes + 4);
	expect_eq("rep outsb: rcx", count, 0);
	si = (ulong)words, count = 3;
	__asm__ volatile("rep outsl" : "+S"(si), "+c"(count) : "d"(PCI_ADDRESS) : "memory");
	expect_eq("rep outsd: the last word", inl(PCI_ADDRESS), 0x80004560);
	si = (ulong)bytes;
	__asm__ volatile("outsb" : "+S"(si) : "d"(SCRATCH) : "memory");
	expect_eq("outsb", inb(SCRATCH), 1);
}

static void ins_unmapped(void *arg)
{
	ulong left;

	ins(1, SCRATCH, arg, 4, &left);
}

static void outs_unmapped(void *arg)
{
	ulong si = (ulong)arg, count = 2;

	__asm__ volatile("rep outsb" : "+S"(si), "+c"(count) : "d"(SCRATCH) : "memory");
}

void test_main(void)
{
	test_ins();
	test_outs();
	expect_trap("rep insb to an unmapped page", try_call(ins_unmapped, (void *)UNMAPPED),
		    EXC_PF);
	expect_eq("its CR2", last_trap.cr2, UNMAPPED);
	expect_eq("its error code", last_trap.error, 2);
	expect_trap("rep outsb from an unmapped page",
		    try_call(outs_unmapped, (void *)(UNMAPPED + 0x5000)), EXC_PF);
	expect_eq("its CR2", last_trap.cr2, UNMAPPED + 0x5000);
	expect_eq("its error code", last_trap.error, 0);
}
