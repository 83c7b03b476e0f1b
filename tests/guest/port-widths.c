/* IN and OUT by 1, 2 and 4 bytes, with and without a device behind the port. */
#include "guest.h"

TEST_NAME("port-widths");

#define SCRATCH 0x3ff
#define NOTHING 0x1234
#define PCI_ADDRESS 0xcf8
#define PCI_DATA 0xcfc

/* Full RAX after an IN of the given width that finds no device. */
static ulong rax_after(u32 width)
{
	ulong rax = 0x1122334455667788;

	if (width == 1)
		__asm__ volatile("inb %%dx, %%al" : "+a"(rax) : "d"(NOTHING));
	else if (width == 2)
		__asm__ volatile("inw %%dx, %%ax" : "+a"(rax) : "d"(NOTHING));
	else
		__asm__ volatile("inl %%dx, %%eax" : "+a"(rax) : "d"(NOTHING));
	return rax;
}

void test_main(void)
{
	for (u32 v = 0; v < 256; v += 51) {
		outb(SCRATCH, (u8)v);
		expect_eq("scratch register", inb(SCRATCH), v);
	}
	expect_eq("1 byte from no device", rax_after(1), 0x11223344556677ff);
	expect_eq("2 bytes from no device", rax_after(2), 0x112233445566ffff);
	expect_eq("4 bytes from no device", rax_after(4), 0xffffffff);
	outw(NOTHING, 0xffff);
	outl(NOTHING, 0xffffffff);

	outl(PCI_ADDRESS, 0x80000000);
	expect_eq("PCI address register", inl(PCI_ADDRESS), 0x80000000);
	u32 id = inl(PCI_DATA);
	expect(id != 0xffffffff && id != 0, "no PCI host bridge at 00:00.0");
	expect_eq("vendor by 2 bytes", inw(PCI_DATA), id & 0xffff);
	expect_eq("device by 2 bytes", inw(PCI_DATA + 2), id >> 16);
	for (u32 i = 0; i < 4; i++)
		expect_eq("id by bytes", inb((u16)(PCI_DATA + i)), id >> 8 * i & 0xff);
	outl(PCI_ADDRESS, 0x8000f800 | 31 << 3);
	outl(PCI_ADDRESS, 0x80000000 | 5 << 11);
	expect_eq("id of an absent function", inl(PCI_DATA), 0xffffffff);

	u8 value;
	outb(SCRATCH, 0x3c);
	__asm__ volatile("movw $0x3ff, %%dx; .byte 0x66; inb %%dx, %%al" : "=a"(value)::"dx");
	expect_eq("IN with an operand-size prefix", value, 0x3c);
	__asm__ volatile("inb $0x61, %%al; inb %%dx, %%al" : "=a"(value) : "d"(SCRATCH));
	expect_eq("IN after IN by an immediate port", value, 0x3c);
}
