/* One of many VMs: it computes a little at each tick of its timer, sleeps in between, and ends. */
#include "guest.h"

TEST_NAME("crowd");

#define VECTOR 0x40
#define TICK_NS 100000000u /* a count of the timer is a nanosecond */
#define BY_ONE 0xbu

static volatile u32 ticks;

static void tick(struct frame *f)
{
	ticks++;
	apic_eoi();
}

void test_main(void)
{
	u32 wanted = (u32)command_line_number("ticks=", 100);
	volatile u32 work = 0;

	set_handler(VECTOR, tick);
	apic_enable();
	apic_write(APIC_TIMER_DIVIDE, BY_ONE);
	apic_write(APIC_LVT_TIMER, VECTOR | APIC_PERIODIC);
	apic_write(APIC_TIMER_INIT, TICK_NS);
	for (u32 seen = 0; seen < wanted; seen++) {
		for (u32 i = 0; i < 1000; i++)
			work += i;
		while (ticks <= seen) {
			cli();
			if (ticks <= seen)
				sti_hlt();
		}
	}
	expect_eq("work", work, wanted * 499500u);
}
