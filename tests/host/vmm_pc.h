/*
 * All device models on their buses, as vmm/machine.c wires them; what varies comes from the
 * includer's chance().
 */
#pragma once

#include "tests/host/vmm_fake.h"
#include "vmm/acpi_pm.h"
#include "vmm/bus.h"
#include "vmm/cpu_hotplug.h"
#include "vmm/exit_port.h"
#include "vmm/fw_cfg.h"
#include "vmm/irq.h"
#include "vmm/pci.h"
#include "vmm/pit.h"
#include "vmm/reset_port.h"
#include "vmm/rtc.h"
#include "vmm/uart.h"

#define DEVICES 11
#define PC_CPUS 4

struct pc {
	struct fake f;
	struct irq irq;
	struct pit pit;
	struct rtc rtc;
	struct uart uart;
	struct acpi_pm pm;
	struct cpu_hotplug cpus;
	struct pci pci;
	struct exit_port exit;
	struct reset_port reset;
	struct fw_cfg fw_cfg;
	struct uart_peer peer;
	struct bus ports, mmio;
	struct device *all[DEVICES];
	u64 seed; /* for chance() */
};

/* The next number: random in a test, the input in a fuzzer. */
static u32 chance(struct pc *pc);

static struct pc *pc_of(struct platform *p) { return container_of(fake_of(p), struct pc, f); }
static void pc_line(struct platform *p, u32 irq, bool up) { irq_set(&pc_of(p)->irq, irq, up); }
static void pc_msi(struct platform *p, u64 address, u32 data)
{
	assert_true(address >> 20 == 0xfee);
	assert_int_equal(data >> 16, 0);
}

static const struct platform_ops pc_ops = {
	.now = fake_now,
	.line = pc_line,
	.timer = fake_timer,
	.msi = pc_msi,
	.end = fake_end,
	.cpu_answer = fake_cpu_answer,
};

static bool peer_put(struct uart_peer *p, u8 c)
{
	return chance(container_of(p, struct pc, peer)) & 7;
}
static s32 peer_get(struct uart_peer *p)
{
	return (s32)(chance(container_of(p, struct pc, peer)) & 0x1ff) - 0x100;
}
static void peer_flush(struct uart_peer *p) {}
static const struct uart_peer_ops peer_ops = {
	.put = peer_put, .get = peer_get, .flush = peer_flush};

/* CPUs come and shall go. */
static inline void pc_hotplug(struct pc *pc)
{
	if (chance(pc) & 1)
		cpu_hotplug_insert(&pc->cpus, chance(pc) % PC_CPUS);
	else
		cpu_hotplug_ask(&pc->cpus, chance(pc) & 0xff);
	acpi_pm_gpe(&pc->pm, GPE_CPU_HOTPLUG);
}

static inline void pc_build(struct pc *pc)
{
	struct platform *p = &pc->f.plat;
	struct {
		u64 base, size;
		struct device *dev;
		u64 offset;
	} row[] = {
		{0x20, 2, &pc->irq.pic.dev, 0},	 {0xa0, 2, &pc->irq.pic.dev, 2},
		{0x4d0, 2, &pc->irq.pic.dev, 4}, {0x40, 4, &pc->pit.dev, 0},
		{0x61, 1, &pc->pit.dev, 4},	 {0x64, 1, &pc->reset.dev, 0},
		{0x92, 1, &pc->reset.dev, 1},	 {0x70, 2, &pc->rtc.dev, 0},
		{0xf4, 4, &pc->exit.dev, 0},	 {0x3f8, 8, &pc->uart.dev, 0},
		{0x600, 12, &pc->pm.dev, 0},	 {0xcf8, 8, &pc->pci.dev, 0},
		{0x510, 2, &pc->fw_cfg.dev, 0},	 {0x620, 16, &pc->pm.dev, ACPI_GPE},
		{0xcd8, 12, &pc->cpus.dev, 0},
	};
	struct device *all[DEVICES] = {&pc->irq.pic.dev, &pc->irq.ioapic.dev, &pc->pit.dev,
				       &pc->rtc.dev,	 &pc->uart.dev,	      &pc->pm.dev,
				       &pc->pci.dev,	 &pc->exit.dev,	      &pc->reset.dev,
				       &pc->fw_cfg.dev,	 &pc->cpus.dev};

	memset(pc, 0, sizeof(*pc));
	p->ops = &pc_ops;
	pc->peer.ops = &peer_ops;
	irq_init(&pc->irq, p);
	pit_init(&pc->pit, p);
	rtc_init(&pc->rtc, p, 1700000000, GiB(1), 0);
	uart_init(&pc->uart, p, &pc->peer, IRQ_COM1);
	acpi_pm_init(&pc->pm, p);
	cpu_hotplug_init(&pc->cpus, p, 2, PC_CPUS);
	pci_init(&pc->pci, p);
	exit_port_init(&pc->exit, p);
	reset_port_init(&pc->reset, p);
	fw_cfg_init(&pc->fw_cfg, p, &(struct ram){.low = GiB(1)}, 2, PC_CPUS);
	for (u32 i = 0; i < ARRAY_SIZE(row); i++)
		assert_int_equal(bus_register(&pc->ports, row[i].base, row[i].size, row[i].dev,
					      row[i].offset),
				 0);
	assert_int_equal(bus_register(&pc->mmio, IOAPIC_BASE, IOAPIC_BYTES, &pc->irq.ioapic.dev, 0),
			 0);
	memcpy(pc->all, all, sizeof(all));
}
