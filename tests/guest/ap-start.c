/*
 * Every other CPU waits for SIPI, starts where it says, is who the tables say, runs beside the
 * others, starts again by another INIT and SIPI, and can end the machine.
 */
#include "guest.h"

TEST_NAME("ap-start");

#define APIC_BASE_BSP 0x100u
#define ROUNDS 1000u

static struct {
	volatile u32 lives, count, id, cpuid_id;
	volatile u64 apic_base;
} cpu[AP_MAX];
static volatile bool stop;

static void counts(void *arg)
{
	u32 n = (u32)(ulong)arg;

	cpu[n].id = apic_id();
	cpu[n].cpuid_id = cpuid(1, 0).ebx >> 24;
	cpu[n].apic_base = rdmsr(MSR_APIC_BASE);
	cpu[n].lives++;
	sti(); /* with IF clear Bochs' AMD-V would never leave this loop (docs/testing.md) */
	while (!stop)
		__atomic_fetch_add(&cpu[n].count, 1, __ATOMIC_RELAXED);
}

/* The end of one CPU is the end of all. */
static void ends(void *arg)
{
	pass_now();
	end_machine(all_well() ? 0 : 1);
}

static void start_all(u32 cpus, u32 life)
{
	for (u32 n = 1; n < cpus; n++) {
		if (!ap_start(n, counts, (void *)(ulong)n)) {
			fail("CPU %u does not start, life %u", n, life);
			return;
		}
		while (cpu[n].lives < life)
			spin(10);
		expect_eq("APIC id", cpu[n].id, n);
		expect_eq("APIC id of CPUID", cpu[n].cpuid_id, n);
		expect_eq("boot CPU's bit", cpu[n].apic_base & APIC_BASE_BSP, 0);
	}
}

/* All at the same time, however few CPUs the host has. */
static void expect_all_count(u32 cpus)
{
	for (u32 n = 1; n < cpus; n++) {
		u32 from = cpu[n].count;

		if (!wait_for(&cpu[n].count, from + ROUNDS, 10000))
			fail("CPU %u stands still at %u", n, cpu[n].count);
	}
}

void test_main(void)
{
	u32 cpus = cpu_count();

	expect(cpus >= 2 && cpus <= AP_MAX, "the machine has more than one CPU");
	expect_eq("boot CPU's bit", rdmsr(MSR_APIC_BASE) & APIC_BASE_BSP, APIC_BASE_BSP);
	apic_enable();
	expect_eq("boot CPU's id", apic_id(), 0);
	for (u32 n = 1; n < cpus; n++)
		expect_eq("starts of a CPU that nobody started", cpu[n].lives, 0);
	start_all(cpus, 1);
	expect_all_count(cpus);
	start_all(cpus, 2); /* from the midst of their loops */
	expect_all_count(cpus);
	stop = true;
	ap_start(1, ends, NULL);
	for (;;)
		__asm__ volatile("cli; hlt");
}
