/*
 * Interrupts of the PIC come once each: never inside the handler, which runs with interrupts off.
 * "ticks=N" asks for N of them.
 */
#include "guest.h"

TEST_NAME("extint-once");

#define BASE 0x20
#define EXTINT 0x700u
#define FLAG_IF 0x200
#define PIT_2KHZ 597
#define LIMIT_MS 120000
/*
 * QEMU's TCG delivers what is in EVENTINJ again when it is stopped at the wrong moment: one in 60
 * beside the guest split-lock. Caisson uses EVENTINJ for these only while it waits to give the
 * next.
 */
#define TICKS_PER_DOUBLE 500

static volatile u32 ticks, doubles;

static void tick(struct frame *f)
{
	ticks++;
	doubles += !(f->flags & FLAG_IF);
	outb(0x20, 0x20);
}

void test_main(void)
{
	u32 wanted = (u32)command_line_number("ticks=", 100);

	set_handler(BASE, tick);
	pic_init(BASE, 1);
	apic_enable();
	apic_write(APIC_LVT0, EXTINT);
	pit_start(2, PIT_2KHZ);
	sti();
	for (u32 ms = 0; ticks < wanted && ms < LIMIT_MS; ms += 10)
		for (u32 start = pm_timer(); ((pm_timer() - start) & 0xffffff) < 35795;)
			for (volatile u32 i = 0; i < 20000; i++)
				; /* long stretches without an exit */
	cli();
	if (ticks < wanted)
		fail("%u ticks in %u ms, expected %u", ticks, LIMIT_MS, wanted);
	if (doubles * TICKS_PER_DOUBLE > wanted)
		fail("%u of %u ticks inside the handler, expected none", doubles, ticks);
}
