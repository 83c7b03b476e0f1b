/*
 * ACPI tables, read once at start: every length checked, a bad table reported and skipped. ACPI 6.5, chapter 5.
 * Parsers are pure functions over bytes (host-tested, fuzzed); only acpi_init maps memory.
 */
#pragma once

#include "hv/bootinfo.h"
#include "hv/layout.h"

struct acpi_override { u8 source; u32 gsi; u16 flags; };
struct acpi_ioapic { u8 id; hpa_t address; u32 gsi_base; };
struct acpi_gas { u8 space, width, offset, access; u64 address; };

struct acpi_facts {
	u32 cpus;		/* enabled local APICs, boot CPU first when known */
	u32 apic_id[MAX_CPUS];
	u8 node[MAX_CPUS];	/* from SRAT; 0 without */
	u32 cpus_dropped;	/* more than MAX_CPUS */
	hpa_t lapic_address;
	u32 ioapics;
	struct acpi_ioapic ioapic[8];
	u32 overrides;
	struct acpi_override override[16];
	bool has_8259;
	hpa_t hpet;		/* 0 = none */
	u16 pm_timer_port;	/* 0 = none */
	bool pm_timer_32;
	struct acpi_gas pm1a_control, pm1b_control, reset_register;
	u8 reset_value;
	bool reset_supported, hw_reduced;
	hpa_t mcfg_base;	/* segment 0; 0 = none */
	u8 mcfg_bus_first, mcfg_bus_last;
	u32 nodes;
	u8 distance[16][16];	/* SLIT; 10 local */
	u32 mem_ranges;
	struct { u64 base, bytes; u8 node; } mem_range[64]; /* SRAT */
	u32 tables;
	struct { char signature[4]; hpa_t address; u32 length; } table[64]; /* checked: length and checksum */
};

extern struct acpi_facts acpi_facts; /* [I] after acpi_init */

/* Needs mmio_map. A machine without ACPI gets one CPU and legacy defaults, and a log line. */
void acpi_init(const struct bootinfo *b);
/* Copies bytes of a listed table; for SYSOP_ACPI_READ. Returns bytes copied. */
u32 acpi_table_read(u32 index, u32 offset, void *buf, u32 bytes);

/* Writes SLP_TYP and SLP_EN; returns if the machine did not power off. */
void acpi_poweroff(u8 slp_typa, u8 slp_typb);
/* ACPI reset register, then 0xcf9, then the keyboard controller, then a triple fault. */
void platform_reset(void) __attribute__((noreturn));
