/*
 * Steal time: how long others ran while this guest wanted to; "share=N" on the command line: N such
 * guests have one CPU together.
 */
#include "kvm.h"

TEST_NAME("steal-time");

#define MS 1000000ull

static volatile struct kvm_steal steal;
static volatile struct kvm_clock clock;

static u64 stolen(void)
{
	u32 version;
	u64 ns;

	do {
		version = steal.version;
		ns = steal.ns;
	} while (version != steal.version || version & 1);
	return ns;
}

/* A gap in the own clock is theft, and nothing else is. */
static void test_gaps(u64 length, u64 *elapsed, u64 *theft)
{
	u64 start = kvm_clock_read(&clock), before = stolen(), now = start, last;

	do {
		last = now;
		now = kvm_clock_read(&clock);
		expect(now >= last, "the clock goes backwards");
		expect_eq("preempted, in its own eyes", steal.preempted, 0);
	} while (now - start < length && all_well());
	*theft = stolen() - before;
	*elapsed = kvm_clock_read(&clock) - start; /* what was stolen lies within it */
}

void test_main(void)
{
	u64 share = command_line_number("share=", 0), elapsed, theft;

	if (!kvm_has(KVM_HAS_STEAL_TIME | KVM_HAS_CLOCK))
		return;
	wrmsr(KVM_SYSTEM_TIME, (ulong)&clock | KVM_ENABLE);
	wrmsr(KVM_STEAL_TIME, (ulong)&steal | KVM_ENABLE);
	expect_eq("STEAL_TIME", rdmsr(KVM_STEAL_TIME), (ulong)&steal | KVM_ENABLE);
	test_gaps(100 * MS, &elapsed, &theft);
	expect(theft <= elapsed, "more time was stolen than passed");
	expect(steal.version, "the area was never written");
	if (share) {
		spin(200000); /* until the others run too */
		test_gaps(400 * MS, &elapsed, &theft);
		print("%u ms, of them stolen %u\n", (u32)(elapsed / MS), (u32)(theft / MS));
		expect(theft > elapsed * (share - 1) / share * 8 / 10, "too little was stolen");
		expect(theft < elapsed * (share - 1) / share * 12 / 10, "too much was stolen");
		spin(300000); /* the others are measuring still */
	}
	wrmsr(KVM_STEAL_TIME, 0);
}
