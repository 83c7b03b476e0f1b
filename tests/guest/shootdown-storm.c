/*
 * Every CPU interrupts all others and waits, spinning, until each has answered, as systems flush
 * TLBs; then all take turns at one lock. With more CPUs than the host has, whoever is waited for
 * may not be running: all get on all the same.
 */
#include "guest.h"

TEST_NAME("shootdown-storm");

#define VECTOR 0x40
#define ROUNDS 30u
#define LOCK_ROUNDS 200u
#define HELD_US 20
#define STILL_US (5000u + 500u) /* a time slice; switches, and exits to read the timer */
#define PM_KHZ 3580u

static u32 cpus;
static struct {
	volatile u32 asked;	   /* rounds that this CPU has begun */
	volatile u32 seen[AP_MAX]; /* of each other: what it was when this CPU last looked */
	u32 longest_round;	   /* PM timer ticks */
} cpu[AP_MAX];
static u32 longest_still; /* under the lock */
static volatile u32 begun, lock, counter, finished;

static void pause(void) { __asm__ volatile("pause" ::: "memory"); }

static void answer(struct frame *f)
{
	u32 me = apic_id();

	for (u32 n = 0; n < cpus; n++)
		cpu[me].seen[n] = cpu[n].asked;
	apic_eoi();
}

static u32 since(u32 start) { return (pm_timer() - start) & 0xffffff; }

static void flush_others(u32 me)
{
	u32 start = pm_timer(), round = ++cpu[me].asked, took;

	apic_ipi(0, APIC_OTHERS | VECTOR);
	for (u32 n = 0; n < cpus; n++)
		while (n != me && cpu[n].seen[me] < round)
			pause();
	took = since(start);
	if (took > cpu[me].longest_round)
		cpu[me].longest_round = took;
}

/* The turns at the lock are one at a time. */
static void note_still(u32 ticks)
{
	if (ticks > longest_still)
		longest_still = ticks;
}

/*
 * What counts is how long the lock stands still, as when its holder does not run: from one holder's
 * last look at the clock to the next one's first, and between the two looks of one.
 */
static void take_lock(void)
{
	static u32 last;
	u32 taken;

	while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
		while (lock)
			pause();
	taken = pm_timer();
	if (counter++)
		note_still((taken - last) & 0xffffff);
	spin(HELD_US);
	last = pm_timer();
	note_still((last - taken) & 0xffffff);
	__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

static void works(void *arg)
{
	u32 me = (u32)(ulong)arg;

	sti();
	while (!begun)
		pause();
	for (u32 n = 0; n < ROUNDS; n++)
		flush_others(me);
	for (u32 n = 0; n < LOCK_ROUNDS; n++)
		take_lock();
	__atomic_fetch_add(&finished, 1, __ATOMIC_RELEASE);
}

static void rests(void *arg)
{
	works(arg);
	for (;;) /* the others' rounds go on */
		sti_hlt();
}

void test_main(void)
{
	u32 round = 0;

	cpus = cpu_count();
	apic_enable();
	apic_enter_x2();
	set_handler(VECTOR, answer);
	for (u32 n = 1; n < cpus; n++)
		expect(ap_start(n, rests, (void *)(ulong)n), "every CPU starts");
	begun = 1;
	works((void *)0);
	if (!wait_for(&finished, cpus, 60000))
		fail("%u of %u CPUs got to the end", finished, cpus);
	expect_eq("turns at the lock", counter, cpus * LOCK_ROUNDS);
	for (u32 n = 0; n < cpus; n++) {
		round = cpu[n].longest_round > round ? cpu[n].longest_round : round;
	}
	/*
	 * Where PAUSE loops are seen, the holder never waits for more than a slice of the others.
	 */
	if (command_line_has("pause-exits") && longest_still > STILL_US * PM_KHZ / 1000)
		fail("the lock stood still for %u us, expected at most %u",
		     longest_still * 1000 / PM_KHZ, STILL_US);
	print("longest: round %u us, stillness of the lock %u us\n", round * 1000 / PM_KHZ,
	      longest_still * 1000 / PM_KHZ);
}
