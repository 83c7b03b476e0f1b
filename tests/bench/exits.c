/*
 * What a round trip out of the guest costs, in TSC ticks: instructions under QEMU's -icount shift=0.
 * 1,000 rounds, the loop included; lines "BENCH name value".
 */
#include "guest.h"

TEST_NAME("exits");

#define ROUNDS 1000u
#define VECTOR 0x41
#define PM_TIMER 0x608

static void eoi_x2(struct frame *f)
{
	wrmsr(MSR_X2APIC + (APIC_EOI >> 4), 0);
}

static void eoi_x1(struct frame *f)
{
	mmio_write(LAPIC + APIC_EOI, 0);
}

static void path_cpuid(void) { cpuid(0, 0); }
static void path_port(void) { inb(0x61); }
static void path_pm_timer(void) { inl(PM_TIMER); }
static void path_rdmsr(void) { rdmsr(MSR_APIC_BASE); }
static void path_wrmsr(void) { wrmsr(MSR_X2APIC + (APIC_TPR >> 4), 0); }
static void path_eoi(void) { wrmsr(MSR_X2APIC + (APIC_EOI >> 4), 0); }

static void path_self_ipi_x2(void)
{
	wrmsr(MSR_X2APIC + (APIC_ICR >> 4), APIC_SELF | VECTOR);
	__asm__ volatile("sti; nop; cli" ::: "memory");
}

static void path_self_ipi_hlt(void)
{
	mmio_write(LAPIC + APIC_ICR, APIC_SELF | VECTOR);
	__asm__ volatile("sti; hlt; cli" ::: "memory");
}

static void measure(const char *name, void (*path)(void))
{
	path();
	path();
	u64 start = rdtsc();
	for (u32 i = 0; i < ROUNDS; i++)
		path();
	print("BENCH %s %u\n", name, (u32)(rdtsc() - start) / ROUNDS);
}

void test_main(void)
{
	pic_init(0x20, 0);
	apic_enable();
	measure("cpuid", path_cpuid);
	measure("port-monitor", path_port);
	measure("pm-timer", path_pm_timer);
	measure("rdmsr", path_rdmsr);
	set_handler(VECTOR, eoi_x1);
	measure("self-ipi-xapic-hlt", path_self_ipi_hlt);
	if (!apic_enter_x2())
		return;
	set_handler(VECTOR, eoi_x2);
	measure("wrmsr", path_wrmsr);
	measure("eoi", path_eoi);
	measure("self-ipi-x2apic", path_self_ipi_x2);
}
