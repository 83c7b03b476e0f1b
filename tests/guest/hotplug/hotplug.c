/*
 * Hot-plug of CPUs as a system without ACPI code does it: by the registers, woken by the SCI. CPUs
 * that come are started, those that shall go are stopped and given back, but for CPU `keep=N`. The
 * power button resets the machine.
 */
#include "guest.h"

TEST_NAME("hotplug");

#define SCI 9
#define VECTOR 0x59
#define LEVEL 0x8000u
#define PM1_STATUS 0x600
#define PM1_ENABLE 0x602
#define PM1_BUTTON 0x100
#define GPE_STATUS 0x620
#define GPE_ENABLE 0x628
#define GPE_CPU 4
#define AP_PAGE 8
#define MSR_EFER 0xc0000080
#define APIC_RESET (LAPIC | APIC_BASE_ENABLE)
enum { SELECTOR = 0xcd8, FLAGS = 0xcdc, COMMAND = 0xcdd, DATA = 0xce0 };
enum { HERE = 1, CAME = 2, MUST_GO = 4, EJECT = 8, EVENTS = CAME | MUST_GO };
enum { NEXT_EVENT, OST_EVENT, OST_STATUS, CPU_ID };
enum { EJECT_REQUEST = 3, DEVICE_BUSY = 0x82 };
enum { IPI_INIT = 5 << 8, IPI_STARTUP = 6 << 8, FW_CFG_MAX_CPUS = 15 };

static struct {
	volatile u32 count; /* of its rounds */
	volatile u32 lives;
	volatile bool stop, stopped;
	volatile u64 apic_base;
} cpu[AP_MAX];
static volatile u32 interrupts;

static void on_sci(struct frame *f)
{
	if (inw(PM1_STATUS) & PM1_BUTTON)
		outb(0xcf9, 6);
	expect_eq("status of the event", inb(GPE_STATUS), GPE_CPU);
	outb(GPE_STATUS, GPE_CPU);
	interrupts++;
	apic_eoi();
}

static void first(void)
{
	cpu[cpu_number()].apic_base = rdmsr(MSR_APIC_BASE);
	cpu[cpu_number()].lives++;
}

static void work(void *arg)
{
	u32 n = (u32)(ulong)arg;

	sti(); /* with IF clear Bochs' AMD-V would never leave this loop (docs/testing.md) */
	while (!cpu[n].stop)
		cpu[n].count++;
	cli();
	cpu[n].stopped = true;
}

static void start_cpu(u32 n)
{
	u32 lives = cpu[n].lives;

	cpu[n].stop = cpu[n].stopped = false;
	spin(20000);
	expect_eq("starts of a CPU that has come", cpu[n].lives, lives);
	if (!ap_start(n, work, (void *)(ulong)n)) {
		fail("CPU %u does not start", n);
		return;
	}
	expect_eq("its APIC's base", cpu[n].apic_base, APIC_RESET);
	if (!wait_for(&cpu[n].count, cpu[n].count + 1000, 10000))
		fail("CPU %u stands still", n);
}

static void came(u32 n)
{
	outb(FLAGS, CAME);
	start_cpu(n);
	print("hotplug: CPU %u came\n", n);
}

static void must_go(u32 n)
{
	u32 lives = cpu[n].lives;

	outb(FLAGS, MUST_GO);
	if (n == command_line_number("keep=", 0)) {
		outb(COMMAND, OST_EVENT);
		outl(DATA, EJECT_REQUEST);
		outb(COMMAND, OST_STATUS);
		outl(DATA, DEVICE_BUSY);
		print("hotplug: CPU %u stays\n", n);
		return;
	}
	cpu[n].stop = true;
	while (!cpu[n].stopped)
		spin(10);
	outb(FLAGS, EJECT);
	expect_eq("flags of a CPU that is gone", inb(FLAGS), 0);
	/* Nobody hears it. */
	apic_ipi(n, IPI_INIT | APIC_ASSERT);
	spin(200);
	apic_ipi(n, IPI_STARTUP | AP_PAGE);
	spin(20000);
	expect_eq("starts of a CPU that is gone", cpu[n].lives, lives);
	print("hotplug: CPU %u went\n", n);
}

/* One event; false: there is none. */
static bool take_event(void)
{
	u32 n, flags;

	outb(COMMAND, NEXT_EVENT);
	n = inl(DATA);
	flags = inb(FLAGS);
	if (!(flags & EVENTS))
		return false;
	outb(COMMAND, CPU_ID);
	expect_eq("CPU's id", inl(DATA), n);
	expect(flags & HERE, "a CPU with an event is there");
	if (flags & CAME)
		came(n);
	else
		must_go(n);
	return true;
}

static void test_registers(u32 cpus, u32 possible)
{
	for (u32 n = 0; n < possible; n++) {
		outl(SELECTOR, n);
		expect_eq("flags at the start", inb(FLAGS), n < cpus ? HERE : 0);
	}
	outl(SELECTOR, 0);
	outb(FLAGS, EJECT);
	expect_eq("the boot CPU's flags after its ejection", inb(FLAGS), HERE);
	outl(SELECTOR, possible);
	outb(COMMAND, CPU_ID);
	expect_eq("flags of a CPU that can't be", inb(FLAGS), 0);
	expect_eq("data of it", inl(DATA), 0);
	outl(SELECTOR, 0);
}

void test_main(void)
{
	u32 cpus = cpu_count(), possible;

	outw(0x510, FW_CFG_MAX_CPUS);
	possible = inb(0x511) | (u32)inb(0x511) << 8;
	pic_init(0x20, 0);
	set_handler(VECTOR, on_sci);
	apic_enable();
	(void)apic_enter_x2();
	ap_first = first;
	test_registers(cpus, possible);
	for (u32 n = 1; n < cpus; n++)
		start_cpu(n);
	ioapic_write(0x11 + 2 * SCI, 0);
	ioapic_write(0x10 + 2 * SCI, VECTOR | LEVEL);
	outb(GPE_ENABLE, GPE_CPU);
	outw(PM1_ENABLE, PM1_BUTTON);
	print("hotplug: begins with %u of %u\n", cpus, possible);
	for (;;) {
		u32 seen = interrupts;

		while (take_event())
			;
		if (!all_well())
			end_machine(1);
		cli();
		if (seen == interrupts)
			sti_hlt();
		sti();
	}
}
