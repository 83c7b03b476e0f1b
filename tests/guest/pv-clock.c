/*
 * The paravirtual clock: written where the guest asks for it, in step with the platform's timer and
 * the RTC, whatever the guest does to its TSC; bad addresses are refused or ignored. "seconds=N" on
 * the command line: for so long, in which the CPU sleeps, it keeps up with the local APIC's timer.
 */
#include "kvm.h"

TEST_NAME("pv-clock");

#define MS 1000000ull
#define S (1000 * MS)
#define PM_TICKS 3579545ull
#define APIC_COUNT_NS 128ull /* at the slowest */
#define APIC_EXTINT 0x700u

static struct kvm_clock area[3]; /* the middle one is used */
static volatile struct kvm_clock *const clock = &area[1];
static volatile struct {
	u32 version, s, ns;
} wall;

static u64 now(void) { return kvm_clock_read(clock); }

static u32 rtc(u8 reg)
{
	u8 value;

	outb(0x70, reg);
	value = inb(0x71);
	return value / 16 * 10u + value % 16;
}

/* The PM timer at a moment between two of the clock. */
struct moment {
	u64 before, after;
	u32 pm;
};

static struct moment moment(void)
{
	struct moment m;

	m.before = now();
	m.pm = pm_timer();
	m.after = now();
	return m;
}

/* From a to now neither of them misses a millisecond. */
static void expect_in_step(const char *when, struct moment a)
{
	struct moment b = moment();
	u64 ns = ((b.pm - a.pm) & 0xffffff) * S / PM_TICKS;

	while (ns + MS < b.before - a.after) /* it has run over */
		ns += (1ull << 24) * S / PM_TICKS;
	if (ns + MS < b.before - a.after || ns > b.after - a.before + MS)
		fail("%s: in %llu to %llu ns by the clock the PM timer counted %llu ns", when,
		     b.before - a.after, b.after - a.before, ns);
}

static void test_rate(void)
{
	struct moment a = moment();

	spin(200000);
	expect_in_step("200 ms", a);
}

static void tick(struct frame *f) { outb(0x20, 0x20); }

/*
 * The kernel keeps that timer, the clock's numbers are the monitor's. The PIT, 18 times a second,
 * ends each sleep. They may be 1 ms a minute apart.
 */
static void test_drift(u32 seconds)
{
	u64 bound = seconds * MS / 60, before, after, least, most, ns;

	pic_init(0x20, 1);
	set_handler(0x20, tick);
	apic_enable();
	apic_write(APIC_LVT0, APIC_EXTINT);
	pit_start(2, 0);
	apic_write(APIC_TIMER_DIVIDE, 0xa); /* by 128 */
	before = now();
	apic_write(APIC_TIMER_INIT, 0xffffffff);
	after = now();
	do {
		sti_hlt();
		cli();
		least = now() - after;
		ns = (0xffffffff - apic_read(APIC_TIMER_NOW)) * APIC_COUNT_NS;
		most = now() - before;
		if (ns + bound < least || ns > most + bound) {
			fail("in %u to %u us by the clock the APIC's timer counted %u us",
			     (u32)(least / 1000), (u32)(most / 1000), (u32)(ns / 1000));
			return;
		}
	} while (least < seconds * S);
	print("after %u s the APIC's timer is ahead by %d to %d ns\n", seconds, (int)(ns - most),
	      (int)(ns - least));
}

static void test_order(void)
{
	u64 last = now(), next;

	for (u32 i = 0; i < 100000; i++, last = next) {
		next = now();
		if (next < last) {
			fail("the clock went from %llu back to %llu", last, next);
			return;
		}
	}
}

static void test_tsc_write(void)
{
	static const u64 values[] = {0, 1ull << 32, 1ull << 62, ~0ull << 20};
	u64 tsc = rdtsc();

	for (u32 i = 0; i < ARRAY_SIZE(values); i++) {
		struct moment before = moment();
		u64 after;

		wrmsr(0x10, values[i]);
		after = now();
		if (after < before.after)
			fail("TSC set to 0x%llx: the clock went from %llu to %llu", values[i],
			     before.after, after);
		expect_in_step("behind a write of the TSC", before);
	}
	wrmsr(0x10, tsc);
}

static void test_wall(void)
{
	u32 second, seconds;

	do { /* no second may begin between */
		seconds = rtc(0);
		wrmsr(KVM_WALL_CLOCK, (ulong)&wall);
		second = (u32)((wall.s + (wall.ns + now()) / S) % 60);
	} while (rtc(0) != seconds);
	expect(wall.version && !(wall.version & 1), "the wall clock's version is odd or 0");
	expect(wall.s > 1700000000, "the wall clock is in the past");
	expect(wall.ns < S, "the wall clock has too many nanoseconds");
	if ((second + 60 - seconds) % 60 > 1 && (seconds + 60 - second) % 60 > 1)
		fail("wall clock at second %u, RTC at %u", second, seconds);
}

static void test_addresses(void)
{
	const struct {
		struct kvm_write w;
		long trap;
	} rows[] = {
		{{KVM_SYSTEM_TIME, (ulong)clock | 3}, EXC_GP}, /* not aligned */
		{{KVM_SYSTEM_TIME, 0x600ff0 | 1}, EXC_GP},     /* across a page */
		{{KVM_WALL_CLOCK, (ulong)&wall | 2}, EXC_GP},
		{{KVM_WALL_CLOCK, 0x600ff8}, EXC_GP},
		{{KVM_ASYNC_PF, 0}, EXC_GP}, /* not offered */
		{{KVM_POLL_CONTROL, 1}, EXC_GP},
		{{0x12, (ulong)clock | 1}, EXC_GP},	      /* the old number */
		{{KVM_SYSTEM_TIME, 0xfee00000 | 1}, NO_TRAP}, /* not RAM: nothing is written */
		{{KVM_SYSTEM_TIME, 0xfffffffffffff001}, NO_TRAP},
		{{KVM_WALL_CLOCK, 0xa0000}, NO_TRAP},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 before = rows[i].trap == NO_TRAP ? 0 : rdmsr(KVM_SYSTEM_TIME);

		if (try_call(kvm_wrmsr, (void *)&rows[i].w) != rows[i].trap)
			fail("MSR 0x%x = 0x%llx: %s", rows[i].w.msr, rows[i].w.value,
			     rows[i].trap == NO_TRAP ? "#GP" : "no #GP");
		if (before && rdmsr(KVM_SYSTEM_TIME) != before)
			fail("MSR 0x%x = 0x%llx was refused and changed SYSTEM_TIME", rows[i].w.msr,
			     rows[i].w.value);
	}
}

void test_main(void)
{
	u32 version, khz, seconds = (u32)command_line_number("seconds=", 0);

	if (!kvm_has(KVM_HAS_CLOCK | KVM_CLOCK_STABLE))
		return;
	expect_eq("SYSTEM_TIME at the start", rdmsr(KVM_SYSTEM_TIME), 0);
	fill(area, 0xa5, sizeof(area));
	clock->version = 6;
	wrmsr(KVM_SYSTEM_TIME, (ulong)clock | KVM_ENABLE);
	expect_eq("SYSTEM_TIME", rdmsr(KVM_SYSTEM_TIME), (ulong)clock | KVM_ENABLE);
	expect_eq("version", clock->version, 8);
	expect_eq("flags: stable", clock->flags, 1);
	expect_eq("the bytes before it", area[0].flags, 0xa5);
	expect_eq("the bytes behind it", area[2].version, 0xa5a5a5a5);
	khz = (u32)((1000000ull << 32) / ((u64)clock->mul << clock->shift));
	if (cpuid(0x40000010, 0).eax - khz + 1 > 2)
		fail("leaf 0x40000010: TSC of %u kHz, the clock says %u", cpuid(0x40000010, 0).eax,
		     khz);
	test_order();
	test_rate();
	test_tsc_write();
	test_rate();
	test_wall();
	if (seconds)
		test_drift(seconds);
	test_addresses();
	wrmsr(KVM_SYSTEM_TIME, 0);
	version = clock->version;
	wrmsr(0x10, rdtsc());
	expect_eq("version of one that is off", clock->version, version);
}
