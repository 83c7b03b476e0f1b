/* The local APIC's timer: one-shot, periodic, masked, counting down. */
#include "guest.h"

TEST_NAME("apic-timer");

#define VECTOR 0x40
static volatile u32 ticks;

static void tick(struct frame *f)
{
	ticks++;
	apic_eoi();
}

static void test_timer(const char *mode)
{
	ticks = 0;
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, VECTOR);
	apic_write(APIC_TIMER_INIT, 100000);
	if (!wait_for(&ticks, 1, 2000))
		fail("%s: one-shot did not fire in 2 s", mode);
	spin(20000);
	expect_eq("one-shot: interrupts", ticks, 1);
	expect_eq("one-shot: count at the end", apic_read(APIC_TIMER_NOW), 0);

	ticks = 0;
	apic_write(APIC_LVT_TIMER, VECTOR | APIC_PERIODIC);
	apic_write(APIC_TIMER_INIT, 1000000);
	if (!wait_for(&ticks, 5, 5000))
		fail("%s: periodic fired %u times in 5 s, expected 5", mode, ticks);
	apic_write(APIC_TIMER_INIT, 0);
	spin(1000);
	ticks = 0;
	spin(20000);
	expect_eq("stopped: interrupts", ticks, 0);

	apic_write(APIC_LVT_TIMER, VECTOR | APIC_MASKED);
	apic_write(APIC_TIMER_INIT, 10000);
	spin(20000);
	expect_eq("masked: interrupts", ticks, 0);

	apic_write(APIC_TIMER_DIVIDE, 0xa); /* by 128: it counts for minutes */
	apic_write(APIC_TIMER_INIT, 0xffffffff);
	u32 first = apic_read(APIC_TIMER_NOW);
	spin(1000);
	u32 second = apic_read(APIC_TIMER_NOW);
	if (second >= first)
		fail("%s: the count went from 0x%x to 0x%x in 1 ms", mode, first, second);
	apic_write(APIC_TIMER_INIT, 0);
	apic_write(APIC_TIMER_DIVIDE, 0xb);
}

void test_main(void)
{
	pic_init(0x20, 0);
	set_handler(VECTOR, tick);
	apic_enable();
	sti();
	test_timer("xAPIC");
	if (apic_enter_x2())
		test_timer("x2APIC");
	else
		expect(!under_caisson, "x2APIC is not offered");
	cli();
}
