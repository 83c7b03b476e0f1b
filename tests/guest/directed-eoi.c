/*
 * Directed EOI: with bit 12 of the spurious-interrupt register set an EOI stays in the local APIC,
 * and the guest tells the I/O APIC by its EOI register.
 */
#include "guest.h"

TEST_NAME("directed-eoi");

#define PIN 4 /* COM1 */
#define VECTOR 0x54
#define LEVEL 0x8000u
#define REMOTE_IRR 0x4000u
#define COM1 0x3f8
#define ENOUGH 4
#define IER_THRE 2
#define DIRECTED 0x1000u
#define IOAPIC_EOI (IOAPIC + 0x40)

static volatile u32 count;

static void line(struct frame *f)
{
	if (++count == ENOUGH)
		outb(COM1 + 1, 0); /* the line goes low */
	apic_eoi();
}

static bool waits(void) { return ioapic_read(0x10 + 2 * PIN) & REMOTE_IRR; }

static void expect_count(const char *what, u32 expected)
{
	wait_for(&count, expected, expected ? 2000 : 0);
	spin(20000);
	expect_eq(what, count, expected);
}

static void test_directed(void)
{
	count = 0;
	apic_write(APIC_SVR, 0x1ff | DIRECTED);
	expect_eq("bit 12 reads back", apic_read(APIC_SVR), 0x1ff | DIRECTED);
	ioapic_write(0x10 + 2 * PIN, VECTOR | LEVEL);
	outb(COM1 + 1, IER_THRE); /* the line is high */
	sti();
	expect_count("interrupts behind an EOI that is not broadcast", 1);
	expect(waits(), "remote IRR is clear behind it");
	expect_eq("ISR behind it", apic_read(APIC_ISR + 0x10 * (VECTOR / 32)), 0);
	mmio_write(IOAPIC_EOI, VECTOR + 1);
	expect_count("interrupts behind the EOI register with another vector", 1);
	mmio_write(IOAPIC_EOI, VECTOR);
	expect_count("interrupts behind the EOI register", 2);
	outb(COM1 + 1, 0); /* low */
	expect(waits(), "remote IRR is clear while the second one waits for its end");
	mmio_write(IOAPIC_EOI, VECTOR);
	expect_count("interrupts when the line was low", 2);
	expect(!waits(), "remote IRR is set behind the EOI of a low line");
	cli();
}

static void test_broadcast(void)
{
	apic_write(APIC_SVR, 0x1ff);
	ioapic_write(0x10 + 2 * PIN, VECTOR | LEVEL);
	count = 0;
	outb(COM1 + 1, IER_THRE);
	sti();
	expect_count("interrupts with bit 12 clear again, until the line goes low", ENOUGH);
	cli();
	expect(!waits(), "remote IRR stays");
}

/* Masked while it waits for its end; masked while it is high; and through edge mode. */
static void test_remote_irr(void)
{
	apic_write(APIC_SVR, 0x1ff | DIRECTED);
	count = 0;
	outb(COM1 + 1, IER_THRE);
	sti();
	expect_count("interrupts of a high line", 1);
	ioapic_write(0x10 + 2 * PIN, VECTOR | LEVEL | APIC_MASKED);
	expect(waits(), "masking clears remote IRR");
	mmio_write(IOAPIC_EOI, VECTOR);
	expect(!waits(), "the end of a masked one leaves remote IRR");
	expect_count("interrupts while masked", 1);
	ioapic_write(0x10 + 2 * PIN, VECTOR | LEVEL);
	expect_count("interrupts when unmasked while high", 2);
	expect(waits(), "remote IRR is clear when it came");
	ioapic_write(0x10 + 2 * PIN, VECTOR | APIC_MASKED);
	expect(!waits(), "edge mode leaves remote IRR");
	outb(COM1 + 1, 0);
	ioapic_write(0x10 + 2 * PIN, VECTOR);
	outb(COM1 + 1, IER_THRE);
	expect_count("interrupts of an edge", 3);
	expect(!waits(), "an edge sets remote IRR");
	cli();
	outb(COM1 + 1, 0);
	ioapic_write(0x10 + 2 * PIN, APIC_MASKED);
}

static void test_all(void)
{
	test_directed();
	test_broadcast();
	test_remote_irr();
}

void test_main(void)
{
	pic_init(0x20, 0);
	set_handler(VECTOR, line);
	apic_enable();
	if (!(apic_read(APIC_VERSION) & 1u << 24)) {
		expect(!under_caisson, "suppression of EOI broadcasts is not offered");
		return;
	}
	expect((ioapic_read(1) & 0xff) >= 0x20, "an I/O APIC without EOI register");
	ioapic_write(0x11 + 2 * PIN, 0);
	outb(COM1 + 4, 0x0b);
	test_all();
	if (apic_enter_x2())
		test_all();
}
