/*
 * What is requested and may not come yet waits, and is neither lost nor made a spurious interrupt:
 * with TPR above it, in the handler of one of its class, with the local APIC disabled by software.
 */
#include "guest.h"

TEST_NAME("irq-held");

#define LOW 0x41
#define HIGH 0x61
#define SAME_CLASS 0x4f
#define SPURIOUS 0xff
#define APIC_PPR 0xa0
#define SVR_OFF 0xffu
#define SVR_ON 0x1ffu

static volatile u32 order, count, spurious;
static volatile bool slept;

static void note(struct frame *f)
{
	order = order << 8 | (u32)f->vector;
	count++;
	apic_eoi();
}

static void note_spurious(struct frame *f) { spurious++; } /* has no EOI */

static void nested(struct frame *f)
{
	expect_eq("PPR in a handler", apic_read(APIC_PPR), LOW & 0xf0);
	apic_ipi(0, SAME_CLASS);
	__asm__ volatile("sti; nop; nop; cli" ::: "memory");
	expect_eq("one of the same class in a handler", count, 0);
	note(f);
}

static void forget(void) { count = order = spurious = 0; }

static void window(void)
{
	__asm__ volatile("sti; nop; nop" ::: "memory");
	spin(1000);
	cli();
}

static void expect_order(const char *what, u32 expected)
{
	window();
	expect_eq(what, order, expected);
	expect_eq("spurious interrupts", under_caisson ? spurious : 0, 0);
}

static void test_tpr(void)
{
	forget();
	apic_ipi(0, LOW);
	apic_ipi(0, HIGH);
	apic_write(APIC_TPR, 0x50); /* rises while LOW is requested */
	expect_eq("PPR", apic_read(APIC_PPR), 0x50);
	expect_order("above TPR", HIGH);
	apic_write(APIC_TPR, 0x41);
	expect_order("of TPR's class", HIGH);
	apic_write(APIC_TPR, 0x3f);
	expect_order("above TPR when it sinks", HIGH << 8 | LOW);
	apic_write(APIC_TPR, 0);
}

static void test_class(void)
{
	forget();
	set_handler(LOW, nested);
	apic_ipi(0, LOW);
	expect_order("behind the EOI", LOW << 8 | SAME_CLASS);
	set_handler(LOW, note);
}

/* Sent by another CPU, to one that sleeps: TPR decides whether it wakes. */
static void sleep_with_tpr(void *arg)
{
	apic_write(APIC_TPR, 0x50);
	slept = true;
	while (!count)
		sti_hlt();
	cli();
	apic_write(APIC_TPR, 0);
}

static void test_sleeper(void)
{
	forget();
	slept = false;
	crew_give(1, sleep_with_tpr, NULL);
	while (!slept)
		spin(10);
	spin(1000);
	apic_ipi(1, LOW);
	spin(5000);
	expect_eq("below a sleeper's TPR", count, 0);
	apic_ipi(1, HIGH);
	crew_wait(1);
	for (u32 i = 0; i < 100000 && count < 2; i++)
		spin(100);
	expect_eq("a sleeper's, when TPR sinks", order, HIGH << 8 | LOW);
}

static void switch_off(void *arg) { apic_write(APIC_SVR, SVR_OFF); }
static void switch_on(void *arg) { apic_write(APIC_SVR, SVR_ON); }

static void test_disabled(void)
{
	forget();
	apic_ipi(0, LOW);
	switch_off(NULL);
	apic_ipi(0, HIGH); /* a disabled APIC takes no new one, */
	expect_order("disabled by software", 0);
	expect(apic_read(APIC_IRR + 0x10 * (LOW / 32)) & 1u << LOW % 32,
	       "it is not in IRR any more");
	switch_on(NULL);
	expect_order("enabled again", LOW); /* and keeps what it had */
}

static void test_all(void)
{
	test_tpr();
	test_class();
	test_sleeper();
	if (under_caisson) /* QEMU takes and delivers others */
		test_disabled();
}

void test_main(void)
{
	pic_init(0x20, 0);
	set_handler(LOW, note);
	set_handler(HIGH, note);
	set_handler(SAME_CLASS, note);
	set_handler(SPURIOUS, note_spurious);
	if (!crew_start())
		return;
	test_all();
	if (crew_enter_x2())
		test_all();
	else
		expect(!under_caisson, "x2APIC is not offered");
}
