/*
 * The paravirtual ABI between CPUs: no clock shows less than another one showed before, a kick ends
 * a HLT that no interrupt can end and is never lost, one hypercall interrupts many, a yield lets
 * the others go on.
 */
#include "kvm.h"

TEST_NAME("pv-smp");

#define VECTOR 0x41
#define MS 1000000ull
#define KICKS 60u
#define IPIS 60u
#define PATIENCE_MS 20000u

static volatile struct kvm_clock clocks[AP_MAX];
static volatile struct kvm_steal steals[AP_MAX];
static struct {
	volatile u32 reads, halts, woken, interrupts;
	volatile u64 behind; /* the clock of this CPU was behind what another one had shown */
} cpu[AP_MAX];
static volatile bool clocks_done;
static u64 shown; /* the latest time that any CPU has read */

static void join(u32 n)
{
	wrmsr(KVM_SYSTEM_TIME, (ulong)&clocks[n] | KVM_ENABLE);
	wrmsr(KVM_STEAL_TIME, (ulong)&steals[n] | KVM_ENABLE);
}

static void note(struct frame *f)
{
	__atomic_fetch_add(&cpu[apic_id()].interrupts, 1, __ATOMIC_RELAXED);
	apic_eoi();
}

static void read_clock(u32 n)
{
	u64 before = __atomic_load_n(&shown, __ATOMIC_SEQ_CST), now = kvm_clock_read(&clocks[n]);

	if (now < before && before - now > cpu[n].behind)
		cpu[n].behind = before - now;
	while (before < now && !__atomic_compare_exchange_n(&shown, &before, now, false,
							    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	cpu[n].reads++;
}

static void live(void *arg)
{
	u32 n = (u32)(ulong)arg;

	join(n);
	sti();
	while (!clocks_done)
		read_clock(n);
	cli();
	while (cpu[n].woken < KICKS) {
		cpu[n].halts++;
		__asm__ volatile("hlt" ::: "memory");
		cpu[n].woken++;
	}
	for (; cpu[n].interrupts <= IPIS; cli())
		sti_hlt();
	wrmsr(KVM_SYSTEM_TIME, 0);
	wrmsr(KVM_STEAL_TIME, 0);
}

static bool wait(u32 n, volatile u32 *counter, u32 at_least, const char *what)
{
	u64 start = kvm_clock_read(&clocks[0]);

	while (*counter < at_least) {
		hypercall(KVM_SCHED_YIELD, n, 0, 0, 0);
		if (kvm_clock_read(&clocks[0]) - start > PATIENCE_MS * MS) {
			fail("CPU %u: %s: %u, expected %u", n, what, *counter, at_least);
			return false;
		}
	}
	return true;
}

static void test_clocks(u32 cpus)
{
	u64 start = kvm_clock_read(&clocks[0]);

	while (kvm_clock_read(&clocks[0]) - start < 300 * MS)
		read_clock(0);
	for (u32 n = 0; n < cpus; n++) {
		(void)wait(n, &cpu[n].reads, 1000, "reads of the clock");
		if (cpu[n].behind)
			fail("CPU %u: its clock was %llu ns behind another's", n, cpu[n].behind);
	}
}

static void test_kicks(u32 cpus)
{
	clocks_done = true;
	for (u32 i = 1; i <= KICKS && all_well(); i++)
		for (u32 n = 1; n < cpus && all_well(); n++) {
			if (!wait(n, &cpu[n].halts, i, "HLTs"))
				return;
			expect_eq("HLTs that ended before the kick", cpu[n].woken, i - 1);
			expect_eq("kick", hypercall(KVM_KICK_CPU, 0, n, 0, 0), 0);
			(void)wait(n, &cpu[n].woken, i, "HLTs that a kick ended");
		}
}

static void test_ipis(u32 cpus)
{
	u64 others = (1ull << cpus) - 2;

	for (u32 i = 1; i <= IPIS && all_well(); i++) {
		expect_eq("IPI to the others", hypercall(KVM_SEND_IPI, others >> 1, 0, 1, VECTOR),
			  cpus - 1);
		for (u32 n = 1; n < cpus; n++)
			(void)wait(n, &cpu[n].interrupts, i, "IPIs");
	}
	expect_eq("the last IPI", hypercall(KVM_SEND_IPI, others, 0, 0, VECTOR), cpus - 1);
	for (u32 n = 1; n < cpus; n++)
		(void)wait(n, &cpu[n].interrupts, IPIS + 1, "the last IPI");
	expect_eq("interrupts of the sender", cpu[0].interrupts, 0);
}

void test_main(void)
{
	u32 cpus = cpu_count();

	if (!kvm_has(KVM_HAS_CLOCK | KVM_HAS_UNHALT | KVM_HAS_SEND_IPI | KVM_HAS_YIELD))
		return;
	expect(cpus > 1, "the machine has more than one CPU");
	pic_init(0x20, 0);
	set_handler(VECTOR, note);
	apic_enable();
	apic_enter_x2();
	join(0);
	for (u32 n = 1; n < cpus; n++)
		if (!ap_start(n, live, (void *)(ulong)n))
			fail("CPU %u does not start", n);
	if (!all_well())
		return;
	test_clocks(cpus);
	test_kicks(cpus);
	test_ipis(cpus);
}
