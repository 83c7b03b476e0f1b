/*
 * Five CPUs that are paused from outside, "pauses=N" times, while one reads clocks, one spins
 * between TSC deadlines, one sleeps between periodic interrupts, one sleeps for good and one was
 * never started. A pause shows in the RTC, which follows the host, and in a flag of the PV clock:
 * nothing else may have gone on, and everything must go on behind it.
 */
#include "kvm.h"

TEST_NAME("pausing");

enum { OBSERVER, BY_DEADLINE, PERIODIC, SLEEPER, CLOCKS, LATE = CLOCKS, CPUS };
enum { TICK_VECTOR = 0x40, WAKE_VECTOR };
enum { MSR_TSC_DEADLINE = 0x6e0, LVT_DEADLINE = 0x40000, BY_ONE = 0xb, BY_16 = 3 };
#define US 1000ull
#define MS (1000 * US)
#define S (1000 * MS)
#define PM_HZ 3579545ull
#define COUNT_NS 16 /* of the observer's APIC timer */
#define TICK_NS (20 * MS)
#define DEADLINE_MS 300 /* so far off that what comes in a pause is seen to be early behind it */
#define TOLERANCE_NS (50 * US)
#define STOPPED 2u /* flag of the PV clock */

static volatile struct kvm_clock clock[CLOCKS] __page_aligned;
static volatile struct kvm_steal steal;
static volatile u32 ticks[CPUS], backwards, early, woken, started;
static volatile u64 newest, deadline, tsc_per_ms;

/* The own clock; it may not be behind what another CPU has read before. */
static u64 now(u32 cpu)
{
	u64 before = __atomic_load_n(&newest, __ATOMIC_SEQ_CST), ns = kvm_clock_read(&clock[cpu]);

	if (ns < before)
		backwards++;
	while (before < ns && !__atomic_compare_exchange_n(&newest, &before, ns, false,
							   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	return ns;
}

static void tick(struct frame *f)
{
	u32 cpu = cpu_number();

	if (cpu == BY_DEADLINE) {
		early += rdtsc() < deadline;
		deadline = rdtsc() + tsc_per_ms * DEADLINE_MS;
		wrmsr(MSR_TSC_DEADLINE, deadline);
	}
	now(cpu);
	ticks[cpu]++;
	apic_eoi();
}

static void wake(struct frame *f)
{
	woken++;
	apic_eoi();
}

static void register_clock(u32 cpu) { wrmsr(KVM_SYSTEM_TIME, (ulong)&clock[cpu] | KVM_ENABLE); }

static void by_deadline(void *arg)
{
	register_clock(BY_DEADLINE);
	apic_write(APIC_LVT_TIMER, TICK_VECTOR | LVT_DEADLINE);
	deadline = rdtsc();
	wrmsr(MSR_TSC_DEADLINE, deadline);
	sti();
	for (;;)
		now(BY_DEADLINE);
}

static void sleep_for_ever(void *arg)
{
	for (;;)
		sti_hlt();
}

static void periodic(void *arg)
{
	register_clock(PERIODIC);
	apic_write(APIC_TIMER_DIVIDE, BY_ONE);
	apic_write(APIC_LVT_TIMER, TICK_VECTOR | APIC_PERIODIC);
	apic_write(APIC_TIMER_INIT, (u32)TICK_NS);
	sleep_for_ever(NULL);
}

static void sleeper(void *arg)
{
	register_clock(SLEEPER);
	sleep_for_ever(NULL);
}

static void late(void *arg) { started = 1; }

static u32 rtc_register(u8 reg)
{
	outb(0x70, reg);
	u8 v = inb(0x71);

	return v / 16 * 10u + v % 16;
}

/* Seconds of the day. */
static u32 rtc(void)
{
	u32 s, t = ~0u;

	do {
		s = t;
		t = rtc_register(4) * 3600 + rtc_register(2) * 60 + rtc_register(0);
	} while (s != t);
	return t;
}

/* What the observer sees; all of it between two readings of the clock. */
struct sight {
	u64 from, to, stolen;
	u32 count, pm, rtc, ticks;
};

static struct sight look(void)
{
	struct sight s;

	s.from = now(OBSERVER);
	s.stolen = steal.ns;
	s.count = apic_read(APIC_TIMER_NOW);
	s.pm = pm_timer();
	s.ticks = ticks[PERIODIC];
	s.rtc = rtc();
	s.to = now(OBSERVER);
	return s;
}

/* A counter went on by so much between two looks: as far as the clock did. */
static void expect_in_step(const char *what, u64 ns, const struct sight *a, const struct sight *b)
{
	if (ns + TOLERANCE_NS < b->from - a->to || ns > b->to - a->from + TOLERANCE_NS)
		fail("%s went on by %llu us, the clock by %llu to %llu us", what, ns / US,
		     (b->from - a->to) / US, (b->to - a->from) / US);
}

/* The interrupts of the others come, and their clocks have the flag. */
static void expect_others(void)
{
	u32 by_deadline_from = ticks[BY_DEADLINE], periodic_from = ticks[PERIODIC];

	expect(wait_for(&ticks[BY_DEADLINE], by_deadline_from + 2, 4000),
	       "no TSC deadline comes behind a pause");
	expect(wait_for(&ticks[PERIODIC], periodic_from + 3, 4000),
	       "no periodic interrupt comes behind a pause");
	for (u32 cpu = 0; cpu < CLOCKS; cpu++) {
		expect(clock[cpu].flags & STOPPED, "a clock does not say that it stood");
		clock[cpu].flags &= (u8)~STOPPED;
	}
}

/* It has been paused between a and b. */
static void check(u32 n, const struct sight *a, const struct sight *b)
{
	u64 most = b->to - a->from, pm_ns = ((b->pm - a->pm) & 0xffffff) * S / PM_HZ;
	u32 day = (b->rtc + 86400 - a->rtc) % 86400;

	/* A pause is 3 s long, of which the RTC may show one less. */
	expect(b->from - a->to + 3 * S / 2 < day * S, "the clock went on in the pause");
	expect_in_step("the APIC's count", (u64)(a->count - b->count) * COUNT_NS, a, b);
	while (pm_ns + TOLERANCE_NS < b->from - a->to) /* it has run over */
		pm_ns += (1ull << 24) * S / PM_HZ;
	expect_in_step("the PM timer", pm_ns, a, b);
	if (b->ticks - a->ticks > most / TICK_NS + 2)
		fail("%u periodic interrupts in %llu us", b->ticks - a->ticks, most / US);
	if (b->stolen - a->stolen > most + MS)
		fail("%llu us stolen in %llu us", (b->stolen - a->stolen) / US, most / US);
	expect_others();
	expect_eq("readings of the clock behind another CPU's", backwards, 0);
	expect_eq("TSC deadlines that came early", early, 0);
	print("pause %u: by the RTC %u s, by the clock %u ms\n", n, day, (u32)(most / MS));
}

static void start_all(void)
{
	static void (*const work[])(void *) = {
		[BY_DEADLINE] = by_deadline,
		[PERIODIC] = periodic,
		[SLEEPER] = sleeper,
	};

	set_handler(TICK_VECTOR, tick);
	set_handler(WAKE_VECTOR, wake);
	apic_enable();
	register_clock(OBSERVER);
	wrmsr(KVM_STEAL_TIME, (ulong)&steal | KVM_ENABLE);
	tsc_per_ms = cpuid(0x40000010, 0).eax;
	apic_write(APIC_TIMER_DIVIDE, BY_16);
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
	for (u32 cpu = 1; cpu < CLOCKS; cpu++)
		expect(ap_start(cpu, work[cpu], NULL), "a CPU does not start");
}

void test_main(void)
{
	u32 pauses = (u32)command_line_number("pauses=", 1);
	struct sight last, next;

	if (!kvm_has(KVM_HAS_CLOCK | KVM_HAS_STEAL_TIME) || cpu_count() != CPUS) {
		fail("not the machine that it is for");
		return;
	}
	start_all();
	print("ready\n");
	for (u32 n = 0; n < pauses && all_well();) {
		apic_write(APIC_TIMER_INIT, ~0u); /* anew: it counts for 68 s */
		last = look();
		for (u32 i = 0; i < 1000; i++) {
			next = look();
			if (clock[OBSERVER].flags & STOPPED)
				break;
			last = next;
		}
		if (!(clock[OBSERVER].flags & STOPPED))
			continue;
		next = look(); /* the flag may have come behind a part of the one before */
		check(++n, &last, &next);
	}
	apic_ipi(SLEEPER, WAKE_VECTOR);
	expect(wait_for(&woken, 1, 4000), "an IPI does not wake who slept through the pauses");
	expect(ap_start(LATE, late, NULL) && started, "a CPU does not start behind the pauses");
}
