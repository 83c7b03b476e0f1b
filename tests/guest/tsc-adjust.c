/*
 * MSR TSC_ADJUST: a write of it moves the TSC by the difference, and a write of the TSC moves it by
 * as much; each CPU has its own, which INIT leaves alone.
 */
#include "guest.h"

TEST_NAME("tsc-adjust");

#define MSR_TSC 0x10
#define MSR_TSC_ADJUST 0x3b
#define MSR_TSC_DEADLINE 0x6e0
#define LVT_DEADLINE 0x40000u
#define VECTOR 0x40
#define TSC_ADJUST_OFFERED 2u
#define FAR (1ull << 50) /* more ticks than the test lasts */
#define SOON (1ull << 40)

static struct {
	u64 adjust, tsc;
} seen; /* by CPU 1 */
static volatile u32 ticks, done;

static void tick(struct frame *f)
{
	ticks++;
	apic_eoi();
}

/* Not before `from`, and not much behind it. */
static void expect_at(const char *what, u64 got, u64 from)
{
	if (got < from || got - from >= SOON)
		fail("%s: got %llx, expected %llx or a little more", what, got, from);
}

static void expect_tsc(const char *what, u64 from)
{
	expect_at(what, rdtsc(), from);
	expect_at("MSR 0x10", rdmsr(MSR_TSC), from);
}

static void test_alone(void)
{
	u64 before = rdtsc();

	expect_eq("TSC_ADJUST after reset", rdmsr(MSR_TSC_ADJUST), 0);
	wrmsr(MSR_TSC_ADJUST, FAR);
	expect_tsc("RDTSC behind a write of TSC_ADJUST", before + FAR);
	expect_eq("TSC_ADJUST, read back", rdmsr(MSR_TSC_ADJUST), FAR);
	wrmsr(MSR_TSC_ADJUST, 3 * FAR);
	expect_tsc("RDTSC behind another", before + 3 * FAR);
	wrmsr(MSR_TSC_ADJUST, 0);
	expect_tsc("RDTSC, moved back", before);

	wrmsr(MSR_TSC, rdtsc() + FAR);
	expect_at("the TSC's write without TSC_ADJUST", FAR, rdmsr(MSR_TSC_ADJUST));
	wrmsr(MSR_TSC_ADJUST, 0);
	expect_tsc("RDTSC with what its write did taken back", before);
}

/* A deadline is a value of the TSC, wherever that goes. */
static void test_deadline(void)
{
	set_handler(VECTOR, tick);
	apic_write(APIC_LVT_TIMER, VECTOR | LVT_DEADLINE);
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + FAR);
	sti();
	spin(10000);
	expect_eq("interrupts long before the deadline", ticks, 0);
	wrmsr(MSR_TSC_ADJUST, 2 * FAR);
	expect(wait_for(&ticks, 1, 5000), "no interrupt where the TSC was moved past the deadline");
	wrmsr(MSR_TSC_ADJUST, 0);
}

static void look(void *arg)
{
	seen.adjust = rdmsr(MSR_TSC_ADJUST);
	seen.tsc = rdtsc();
	done = 1;
}

static void move(void *arg) { wrmsr(MSR_TSC_ADJUST, 5 * FAR); }

static void test_two(void)
{
	wrmsr(MSR_TSC_ADJUST, FAR);
	crew_do(1, look, NULL);
	expect_eq("CPU 1's TSC_ADJUST when another has written its own", seen.adjust, 0);
	expect_at("CPU 1's TSC then", seen.tsc, 0);
	crew_do(1, move, NULL);
	expect_eq("TSC_ADJUST when CPU 1 has written its own", rdmsr(MSR_TSC_ADJUST), FAR);
	wrmsr(MSR_TSC_ADJUST, 0);

	done = 0;
	expect(ap_start(1, look, NULL), "CPU 1 does not start again");
	expect(wait_for(&done, 1, 5000), "CPU 1 does nothing behind INIT");
	expect_eq("TSC_ADJUST behind INIT", seen.adjust, 5 * FAR);
	expect_at("the TSC behind INIT", seen.tsc, 5 * FAR);
}

void test_main(void)
{
	if (!under_caisson) /* QEMU's PC has none under TCG */
		return;
	expect(cpuid(7, 0).ebx & TSC_ADJUST_OFFERED, "CPUID does not offer TSC_ADJUST");
	if (!crew_start())
		return;
	test_alone();
	test_deadline();
	test_two();
}
