/*
 * What a round trip out of the guest costs, in TSC ticks: instructions under QEMU's -icount
 * shift=0. 1,000 rounds, the loop and the call included; lines "BENCH name value".
 */
#include "guest.h"

TEST_NAME("exits");

#define ROUNDS 1000u
#define VECTOR 0x41
#define PM_TIMER 0x608

static void eoi_x2(struct frame *f) { wrmsr(MSR_X2APIC + (APIC_EOI >> 4), 0); }

static void eoi_x1(struct frame *f) { mmio_write(LAPIC + APIC_EOI, 0); }

static void path_cpuid(void) { cpuid(0, 0); }
static void path_port(void) { inb(0x61); }
static void path_pm_timer(void) { inl(PM_TIMER); }
static void path_rdmsr(void) { rdmsr(MSR_APIC_BASE); }
static void path_wrmsr(void) { wrmsr(MSR_X2APIC + (APIC_TPR >> 4), 0); }
static void path_timer(void) { wrmsr(MSR_X2APIC + (APIC_TIMER_INIT >> 4), 0x7fffffff); }
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

static const struct path {
	const char *name;
	void (*run)(void);
	handler_fn handler; /* of VECTOR */
	bool x2apic;
} paths[] = {
	/* those in x2APIC mode last: there is no way back */
	{"cpuid", path_cpuid, NULL, false},
	{"port-monitor", path_port, NULL, false},
	{"pm-timer", path_pm_timer, NULL, false},
	{"rdmsr", path_rdmsr, NULL, false},
	{"self-ipi-xapic-hlt", path_self_ipi_hlt, eoi_x1, false},
	{"wrmsr", path_wrmsr, NULL, true},
	{"eoi", path_eoi, NULL, true},
	{"self-ipi-x2apic", path_self_ipi_x2, eoi_x2, true},
	{"timer-rearm", path_timer, NULL, true},
};

static void measure(const struct path *p, u32 rounds)
{
	u64 start;

	if (p->handler)
		set_handler(VECTOR, p->handler);
	spin(20000); /* the console is busy with the line before */
	p->run();
	p->run();
	start = rdtsc();
	for (u32 i = 0; i < rounds; i++)
		p->run();
	print("BENCH %s %u\n", p->name, (u32)(rdtsc() - start) / rounds);
}

/* "only" and a path's name on the command line: that path alone; "long": three times the rounds. */
void test_main(void)
{
	bool only = command_line_has("only"), x2apic = false;
	u32 rounds = command_line_has("long") ? 3 * ROUNDS : ROUNDS;

	pic_init(0x20, 0);
	apic_enable();
	for (u32 i = 0; i < ARRAY_SIZE(paths); i++) {
		const struct path *p = &paths[i];

		if (only && !command_line_has(p->name))
			continue;
		if (p->x2apic && !x2apic && !apic_enter_x2())
			return;
		x2apic |= p->x2apic;
		measure(p, rounds);
	}
}
