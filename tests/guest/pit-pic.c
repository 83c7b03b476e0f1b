/* The legacy timer through the legacy interrupt controller (ExtINT by the local APIC's LINT0). */
#include "guest.h"

TEST_NAME("pit-pic");

#define BASE 0x20
#define EXTINT 0x700u
#define PIT_100HZ 11932
static volatile u32 ticks;

static void tick(struct frame *f)
{
	ticks++;
	outb(0x20, 0x20);
}

static u32 latched_count(void)
{
	outb(0x43, 0);
	u32 low = inb(0x40);

	return low | (u32)inb(0x40) << 8;
}

static void test_channel_2(void)
{
	outb(0x61, (inb(0x61) & ~3u) | 1); /* gate on, speaker off */
	outb(0x43, 0xb0);		   /* channel 2, mode 0 */
	outb(0x42, 0xa9);
	outb(0x42, 0x04); /* 1 ms */
	u32 start = pm_timer();
	while (!(inb(0x61) & 0x20) && ((pm_timer() - start) & 0xffffff) < 3579545)
		;
	expect(inb(0x61) & 0x20, "channel 2: no output on port 0x61 after 1 s");
}

void test_main(void)
{
	set_handler(BASE, tick);
	pic_init(BASE, 1);
	expect_eq("PIC mask register", inb(0x21), 0xfe);
	apic_enable();
	apic_write(APIC_LVT0, EXTINT);
	pit_start(2, PIT_100HZ);
	sti();
	if (!wait_for(&ticks, 5, 5000))
		fail("mode 2 at 100 Hz: %u interrupts in 5 s, expected 5", ticks);

	u32 first = latched_count();
	expect(first <= PIT_100HZ, "latched count above the reload value");

	outb(0x21, 0xff);
	spin(15000);
	ticks = 0;
	spin(50000);
	expect_eq("masked: interrupts", ticks, 0);

	pit_start(0, 1193);
	outb(0x21, 0xfe);
	if (!wait_for(&ticks, 1, 2000))
		fail("mode 0: no interrupt in 2 s");
	spin(100000);
	/* An edge from before the mask may be one of them; on a busy host the other may be late. */
	expect(ticks <= 2, "mode 0: more than one interrupt");

	pit_start(2, PIT_100HZ);
	for (u32 i = 0; i < 3; i++) { /* HLT must end by it */
		cli();
		u32 before = ticks;
		while (ticks == before)
			sti_hlt(), cli();
		sti();
	}
	cli();
	test_channel_2();
}
