/*
 * The local APIC's errors: which bit of the error status each sets, when the error interrupt comes,
 * and that vectors below 16 never arrive.
 */
#include "guest.h"

TEST_NAME("apic-errors");

#define VECTOR 0x45
#define APIC_ESR 0x280
#define APIC_LVT_ERROR 0x370
#define SEND_ILLEGAL 0x20u
#define RECEIVE_ILLEGAL 0x40u
#define ILLEGAL_REGISTER 0x80u

static volatile u32 errors, others;

static void error(struct frame *f)
{
	errors++;
	apic_eoi();
}

static void other(struct frame *f)
{
	others++;
	apic_eoi();
}

static u32 status(void)
{
	apic_write(APIC_ESR, 0);
	return apic_read(APIC_ESR);
}

static void send_low_vector(void) { apic_write(APIC_ICR, APIC_SELF | 0x0f); }
static void read_reserved(void) { apic_read(0x40); }
static void low_vector_in_lvt(void)
{
	apic_write(APIC_LVT_TIMER, 0x0e);
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
}

static void expect_error(const char *what, void (*cause)(void), u32 bits)
{
	status();
	errors = 0;
	sti();
	cause();
	__asm__ volatile("nop; nop");
	expect_eq(what, errors, 1);
	cause(); /* until ESR is written the second one is silent */
	__asm__ volatile("nop; nop");
	expect_eq(what, errors, 1);
	cli();
	expect_eq("ESR before it is written", apic_read(APIC_ESR), 0);
	expect_eq(what, status(), bits);
	expect_eq("ESR afterwards", status(), 0);
}

static void test_masked(void)
{
	errors = 0;
	apic_write(APIC_LVT_ERROR, VECTOR | APIC_MASKED);
	sti();
	send_low_vector();
	__asm__ volatile("nop; nop");
	cli();
	expect_eq("masked: interrupts", errors, 0);
	expect_eq("masked: ESR", status(), SEND_ILLEGAL);
	apic_write(APIC_LVT_ERROR, VECTOR);
}

/* What a message to nobody is: no error. */
static void to_nobody(u64 icr)
{
	if (rdmsr(MSR_APIC_BASE) & APIC_BASE_X2) {
		wrmsr(MSR_X2APIC + (APIC_ICR >> 4), icr);
		return;
	}
	apic_write(APIC_ICR2, (u32)(icr >> 32) << 24);
	apic_write(APIC_ICR, (u32)icr);
}

static void test_nobody(void)
{
	errors = others = 0;
	sti();
	to_nobody(0x7eull << 32 | 0x41);
	to_nobody(0x7eull << 32 | 0x500);
	to_nobody(0x7eull << 32 | 0x610);
	__asm__ volatile("nop; nop");
	cli();
	expect_eq("to nobody: interrupts", errors + others, 0);
	expect_eq("to nobody: ESR", status(), 0);
}

static void test_received(void)
{
	/* From the I/O APIC: an edge with a vector below 16. */
	errors = 0;
	ioapic_write(0x11 + 2 * 4, 0);
	ioapic_write(0x10 + 2 * 4, 0x0d);
	sti();
	outb(0x3f8 + 4, 0x0b);
	outb(0x3f8 + 1, 2);
	spin(10000);
	cli();
	outb(0x3f8 + 1, 0);
	ioapic_write(0x10 + 2 * 4, APIC_MASKED);
	expect_eq("a low vector that arrives: interrupts", errors, 1);
	expect_eq("a low vector that arrives: ESR", status(), RECEIVE_ILLEGAL);
}

static void write_self_ipi(void) { wrmsr(0x83f, 0x0c); }

void test_main(void)
{
	pic_init(0x20, 0);
	set_handler(VECTOR, error);
	set_handler(0x41, other);
	apic_enable();
	apic_write(APIC_LVT_ERROR, VECTOR);
	if (!under_caisson) /* QEMU knows one of them only */
		return;
	expect_error("a low vector sent", send_low_vector, SEND_ILLEGAL);
	expect_error("a reserved register", read_reserved, ILLEGAL_REGISTER);
	expect_error("a low vector in an LVT entry", low_vector_in_lvt, RECEIVE_ILLEGAL);
	test_masked();
	test_nobody();
	test_received();
	expect(apic_enter_x2(), "x2APIC is not offered");
	expect_error("x2APIC: a low vector sent", send_low_vector, SEND_ILLEGAL);
	expect_error("x2APIC: a low vector in the self-IPI register", write_self_ipi, SEND_ILLEGAL);
	expect_error("x2APIC: a low vector in an LVT entry", low_vector_in_lvt, RECEIVE_ILLEGAL);
	test_nobody();
	test_received();
}
