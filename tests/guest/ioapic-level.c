/*
 * A level-triggered line through the I/O APIC: remote IRR, and delivery again after EOI while it is
 * high.
 */
#include "guest.h"

TEST_NAME("ioapic-level");

#define PIN 4 /* COM1 */
#define VECTOR 0x54
#define LEVEL 0x8000u
#define REMOTE_IRR 0x4000u
#define MASKED 0x10000u
#define COM1 0x3f8
#define IER_THRE 2
#define ROUNDS 3

static volatile u32 count, irr_seen;

static void line(struct frame *f)
{
	count++;
	if (ioapic_read(0x10 + 2 * PIN) & REMOTE_IRR)
		irr_seen++;
	if (count == ROUNDS)
		outb(COM1 + 1, 0); /* the line goes low */
	apic_eoi();
}

static void test_rounds(const char *mode)
{
	count = irr_seen = 0;
	ioapic_write(0x11 + 2 * PIN, 0);
	ioapic_write(0x10 + 2 * PIN, VECTOR | LEVEL);
	outb(COM1 + 4, 0x0b);
	outb(COM1 + 1, IER_THRE);
	sti();
	bool done = wait_for(&count, ROUNDS, 2000);
	spin(10000);
	cli();
	outb(COM1 + 1, 0);
	if (!done)
		fail("%s: %u interrupts in 2 s, expected %u", mode, count, ROUNDS);
	expect_eq("interrupts after the line went low", count, ROUNDS);
	expect_eq("remote IRR in the handler", irr_seen, ROUNDS);
	expect_eq("entry at the end", ioapic_read(0x10 + 2 * PIN), VECTOR | LEVEL);

	/* Masked while high: nothing; unmasked: it comes. */
	count = 0;
	ioapic_write(0x10 + 2 * PIN, VECTOR | LEVEL | MASKED);
	outb(COM1 + 1, IER_THRE);
	sti();
	spin(10000);
	expect_eq("masked: interrupts", count, 0);
	count = ROUNDS - 1;
	ioapic_write(0x10 + 2 * PIN, VECTOR | LEVEL);
	if (!wait_for(&count, ROUNDS, 2000))
		fail("%s: unmasked while high: no interrupt in 2 s", mode);
	cli();
	outb(COM1 + 1, 0);
	ioapic_write(0x10 + 2 * PIN, VECTOR | LEVEL | MASKED);
}

void test_main(void)
{
	pic_init(0x20, 0);
	set_handler(VECTOR, line);
	apic_enable();
	test_rounds("xAPIC");
	if (apic_enter_x2())
		test_rounds("x2APIC");
}
