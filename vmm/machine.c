#include "vmm/machine.h"

#include "user/sys.h"

#define COM1_BASE 0x3f8u

static struct machine *of(struct platform *p) { return container_of(p, struct machine, plat); }

static u64 plat_now(struct platform *p) { return vm_clock_now(&of(p)->clock); }
static void plat_line(struct platform *p, u32 line, bool up) { irq_set(&of(p)->irq, line, up); }

/*
 * An address or a vector that means nothing is the guest's own programming: no message, as on
 * hardware.
 */
static void plat_msi(struct platform *p, u64 address, u32 data)
{
	(void)vm_msi(of(p)->vm, address, data);
}

/*
 * Sets the kernel timer when it must ring earlier than it would; while the VM's clock stands
 * nothing rings. One lock around look and set: of two threads, the later one sees what the earlier
 * one did.
 */
static void arm(struct machine *m)
{
	u64 next;

	rt_lock(&m->arm_lock);
	next = timers_next(&m->timers);
	if (next < m->armed && !vm_clock_stands(&m->clock)) {
		m->armed = next;
		timer_set(m->timer_event, m->clock.start_ns + next);
	}
	rt_unlock(&m->arm_lock);
}

static void plat_timer(struct platform *p, struct vtimer *t, u64 deadline)
{
	struct machine *m = of(p);

	if (timers_set(&m->timers, t, deadline))
		arm(m);
}

void machine_run_timers(struct machine *m)
{
	timers_run(&m->timers, plat_now(&m->plat));
	rt_lock(&m->arm_lock);
	m->armed = VTIMER_OFF;
	rt_unlock(&m->arm_lock);
	arm(m);
}

void machine_end(struct machine *m, enum vm_reason reason, u32 status)
{
	if (__atomic_exchange_n(&m->ending, 1, __ATOMIC_RELAXED))
		return;
	m->reason = reason;
	m->status = status;
	__atomic_store_n(&m->ended, 1, __ATOMIC_RELEASE);
	for (u32 i = 0; i < m->vcpus; i++)
		vcpu_kick(m->vcpu[i]);
	pause_open(m);
}

static void plat_end(struct platform *p, enum vm_reason reason, u32 status)
{
	machine_end(of(p), reason, status);
}

static void plat_cpu_answer(struct platform *p, u32 cpu, u32 status)
{
	cpus_answer(of(p), cpu, status);
}

static const struct platform_ops ops = {
	.now = plat_now,
	.line = plat_line,
	.timer = plat_timer,
	.msi = plat_msi,
	.end = plat_end,
	.cpu_answer = plat_cpu_answer,
};

static void create_devices(struct machine *m, u64 unix_s, u32 boot_cpus)
{
	irq_init(&m->irq, &m->plat);
	pit_init(&m->pit, &m->plat);
	rtc_init(&m->rtc, &m->plat, unix_s, m->ram.low, m->ram.high);
	uart_init(&m->com1, &m->plat, &m->console.peer, IRQ_COM1);
	acpi_pm_init(&m->acpi_pm, &m->plat);
	cpu_hotplug_init(&m->cpu_hotplug, &m->plat, boot_cpus, m->vcpus);
	pci_init(&m->pci, &m->plat);
	exit_port_init(&m->exit_port, &m->plat);
	reset_port_init(&m->reset_port, &m->plat);
	fw_cfg_init(&m->fw_cfg, &m->plat, &m->ram, (u16)boot_cpus, m->vcpus);
}

int machine_init(struct machine *m, u64 unix_s, u32 boot_cpus)
{
	const struct {
		u64 base, size;
		struct device *dev;
		u64 offset;
	} ports[] = {
		{0x20, 2, &m->irq.pic.dev, PIC_MASTER},
		{0xa0, 2, &m->irq.pic.dev, PIC_SLAVE},
		{0x4d0, 2, &m->irq.pic.dev, PIC_ELCR},
		{0x40, 4, &m->pit.dev, PIT_COUNTER0},
		{0x61, 1, &m->pit.dev, PIT_PORT61},
		{0x64, 1, &m->reset_port.dev, RESET_KBC},
		{0x92, 1, &m->reset_port.dev, RESET_PORT_A},
		{0x70, 2, &m->rtc.dev, 0},
		{EXIT_PORT_BASE, EXIT_PORT_BYTES, &m->exit_port.dev, 0},
		{COM1_BASE, 8, &m->com1.dev, 0},
		{FW_CFG_PORT_BASE, FW_CFG_PORT_BYTES, &m->fw_cfg.dev, 0},
		{ACPI_PM_BASE, ACPI_PM_BYTES, &m->acpi_pm.dev, 0},
		{ACPI_GPE_BASE, ACPI_GPE_BYTES, &m->acpi_pm.dev, ACPI_GPE},
		{CPU_HOTPLUG_BASE, CPU_HOTPLUG_BYTES, &m->cpu_hotplug.dev, 0},
		{PCI_PORT_BASE, PCI_PORT_BYTES, &m->pci.dev, 0},
	};
	int err = 0;

	m->plat.ops = &ops;
	m->armed = VTIMER_OFF;
	vm_clock_init(&m->clock);
	m->pvclock = (struct pvclock){&m->ram, rt_kinfo(), &m->clock, unix_s};
	create_devices(m, unix_s + m->clock.start_ns / NS_PER_S, boot_cpus);
	for (u32 i = 0; i < ARRAY_SIZE(ports) && !err; i++)
		err = bus_register(&m->ports, ports[i].base, ports[i].size, ports[i].dev,
				   ports[i].offset);
	return err ? err : bus_register(&m->mmio, IOAPIC_BASE, IOAPIC_BYTES, &m->irq.ioapic.dev, 0);
}
