/*
 * Hot-plug of CPUs: the registers by which the guest's ACPI code (acpi/dsdt.asl) learns which CPUs
 * have come and which are to go, and gives those back. QEMU, "QEMU<->ACPI BIOS CPU hotplug
 * interface": the modern one of a q35 board. CPU n is the one with APIC id n; CPU 0 never leaves.
 */
#pragma once

#include "vmm/device.h"

#define CPU_HOTPLUG_BASE 0xcd8u
#define CPU_HOTPLUG_BYTES 12u

/* Masks: a bit for each CPU. */
struct cpu_hotplug {
	struct device dev;
	u64 possible;	   /* [I] CPUs that the machine may have */
	u64 boot;	   /* [I] that are there at power-on */
	u64 here;	   /* that are there */
	u64 came, must_go; /* events that the guest has not taken yet */
	u64 asked;	   /* it was, or once they are there will be, asked for these */
	u32 selector, ost_event;
	u8 command;
};

/* The first `boot` of `possible` CPUs are there; 1 <= boot <= possible <= 64. */
void cpu_hotplug_init(struct cpu_hotplug *h, struct platform *plat, u32 boot, u32 possible);

/* The CPU is there. Takes the lock; afterwards the caller raises GPE_CPU_HOTPLUG. */
void cpu_hotplug_insert(struct cpu_hotplug *h, u32 cpu);

/*
 * Asks the guest for these CPUs, for one that is not there yet as soon as it is, and for no others
 * any more; its answers come by platform_ops.cpu_answer. Takes the lock; afterwards the caller
 * raises GPE_CPU_HOTPLUG.
 */
void cpu_hotplug_ask(struct cpu_hotplug *h, u64 cpus);
