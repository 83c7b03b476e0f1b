/*
 * The local APIC's timer by TSC deadline: once, not early, disarmed by 0, by mode and by nothing
 * else.
 */
#include "guest.h"

TEST_NAME("tsc-deadline");

#define VECTOR 0x40
#define MSR_TSC 0x10
#define MSR_TSC_DEADLINE 0x6e0
#define LVT_DEADLINE 0x40000u
#define FAR (1ull << 62)

static volatile u32 ticks, early;
static u64 deadline, millisecond; /* in ticks of the TSC */

static void tick(struct frame *f)
{
	if (rdtsc() < deadline)
		early++;
	ticks++;
	apic_eoi();
}

static void arm(u64 tsc)
{
	deadline = tsc;
	wrmsr(MSR_TSC_DEADLINE, tsc);
}

static void arm_in(u32 milliseconds)
{
	ticks = 0;
	arm(rdtsc() + milliseconds * millisecond);
}

static void test_once(void)
{
	arm(FAR);
	expect_eq("the deadline while it is armed", rdmsr(MSR_TSC_DEADLINE), FAR);
	arm_in(20);
	expect(wait_for(&ticks, 1, 5000), "no interrupt in 5 s");
	spin(50000);
	expect_eq("interrupts", ticks, 1);
	expect_eq("the deadline when it was met", rdmsr(MSR_TSC_DEADLINE), 0);
	ticks = 0;
	arm(1);
	expect(wait_for(&ticks, 1, 2000), "a deadline in the past: no interrupt in 2 s");
	arm_in(10);
	cli();
	if (!ticks)
		sti_hlt();
	sti();
	expect_eq("interrupts that ended a HLT", ticks, 1);
}

static void test_disarmed(const char *how)
{
	while (rdtsc() < deadline)
		;
	spin(20000);
	if (ticks)
		fail("%s: %u interrupts, expected none", how, ticks);
	expect_eq(how, rdmsr(MSR_TSC_DEADLINE), 0);
}

static void by_zero(void) { wrmsr(MSR_TSC_DEADLINE, 0); }
static void by_one_shot(void) { apic_write(APIC_LVT_TIMER, VECTOR); }
static void by_mask(void) { apic_write(APIC_LVT_TIMER, VECTOR | LVT_DEADLINE | APIC_MASKED); }

/* Before its deadline: where the host lets the guest wait just then, once more. */
static void disarm(void (*fn)(void), const char *how)
{
	do {
		apic_write(APIC_LVT_TIMER, VECTOR | LVT_DEADLINE);
		arm_in(30);
		fn();
	} while (rdtsc() >= deadline);
	test_disarmed(how);
}

static void test_disarming(void)
{
	disarm(by_zero, "disarmed by 0");
	disarm(by_one_shot, "disarmed by one-shot mode");
	arm(rdtsc() + millisecond);
	test_disarmed("a deadline in one-shot mode");
	apic_write(APIC_TIMER_INIT, 0x40000000);
	apic_write(APIC_LVT_TIMER, VECTOR | LVT_DEADLINE);
	expect_eq("the count behind one-shot mode", apic_read(APIC_TIMER_NOW), 0);

	disarm(by_mask, "a masked deadline passes in silence");
	apic_write(APIC_LVT_TIMER, VECTOR | LVT_DEADLINE);
}

/* Neither the initial count nor the same mode again touches it. */
static void test_left_alone(void)
{
	u32 came;

	arm_in(30);
	apic_write(APIC_TIMER_INIT, 1);
	apic_write(APIC_LVT_TIMER, VECTOR | LVT_DEADLINE);
	expect_eq("the current count", apic_read(APIC_TIMER_NOW), 0);
	came = ticks;
	expect_eq("interrupts before the deadline", rdtsc() < deadline ? came : 0, 0);
	expect(wait_for(&ticks, 1, 5000),
	       "no interrupt in 5 s behind a write of the initial count");

	/* It is a value of the TSC, not a length of time. */
	ticks = 0;
	arm(FAR);
	wrmsr(MSR_TSC, FAR + 1);
	expect(wait_for(&ticks, 1, 5000),
	       "the TSC was put behind the deadline: no interrupt in 5 s");
	wrmsr(MSR_TSC, 0);
}

static void test_all(void)
{
	apic_write(APIC_LVT_TIMER, VECTOR | LVT_DEADLINE);
	test_once();
	test_disarming();
	test_left_alone();
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
}

void test_main(void)
{
	u64 start;

	if (!(cpuid(1, 0).ecx & 1u << 24)) {
		expect(!under_caisson, "the TSC deadline is not offered");
		return;
	}
	pic_init(0x20, 0);
	set_handler(VECTOR, tick);
	apic_enable();
	start = rdtsc();
	spin(20000);
	millisecond = (rdtsc() - start) / 20;
	sti();
	test_all();
	if (apic_enter_x2())
		test_all();
	cli();
	expect_eq("interrupts before their deadline", early, 0);
}
