/*
 * ACPI tables, read once at start: every length checked, a bad table reported and skipped. ACPI
 * 6.5, chapter 5. Parsers are pure functions over bytes (host-tested, fuzzed); only acpi_init maps
 * memory.
 */
#pragma once

#include "drivers/platform/acpi_tables.h"
#include "hv/bootinfo.h"
#include "mm/numa.h"
#include "uapi/abi.h"
#include "uapi/layout.h"

/* clang-format off */
struct acpi_override { bool listed; u32 gsi; u16 flags; };
struct acpi_ioapic { u8 id; hpa_t address; u32 gsi_base; };
struct acpi_gas { u8 space; u64 address; volatile void *mapped; }; /* address 0: not there */
/* clang-format on */

#define REG_RESET POWER_REGS

struct acpi_facts {
	u32 cpus; /* enabled local APICs, in the MADT's order; 0 without MADT */
	u32 apic_id[MAX_CPUS];
	u8 node[MAX_CPUS]; /* from SRAT; 0 without */
	u32 cpus_dropped;  /* more than MAX_CPUS */
	u32 ioapics;
	struct acpi_ioapic ioapic[64];
	struct acpi_override override[16]; /* by ISA interrupt */
	hpa_t hpet;			   /* 0 = none */
	u16 pm_timer_port;		   /* 0 = none */
	bool pm_timer_32;
	struct acpi_gas power[POWER_REGS + 1]; /* the last one is REG_RESET */
	u8 reset_value;
	bool x2apic_opt_out; /* the firmware's SMM code may not know that mode */
	u8 acpi_enable;	     /* written to power[POWER_ACPI_ENABLE] */
	hpa_t dsdt;
	struct numa numa;
	u32 tables;
	const struct acpi_table *table[128]; /* length checked; mapped for good, read-only */
};

extern struct acpi_facts acpi_facts; /* [I] after acpi_init */

/* After mm_init. A machine without ACPI gets one CPU and legacy defaults, and a log line. */
void acpi_init(const struct bootinfo *b);
/*
 * Takes what the kernel needs out of the listed tables, in memory that nothing changes. Pure but
 * for the log.
 */
void acpi_parse(struct acpi_facts *f);
/* Is this the start of a sane RSDP? *root: the XSDT, or the RSDT with *entry_bytes 4. */
bool acpi_parse_rsdp(const u8 *rsdp, u32 bytes, hpa_t *root, u32 *entry_bytes);
bool acpi_checksum_ok(const u8 *table, u32 bytes);

/* Maps what the firmware named, during acpi_init. NULL: no room, or RAM, which it can't be. */
void *acpi_map(hpa_t a, u64 bytes, u32 prot_flags);

/* Reads or writes a register for power-off. -E_INVAL: no such; -E_NODEV: the FADT names none. */
int power_access(struct sys_power *p);
/*
 * Maps the registers for both that lie in memory, so that a panic needs no mapping. Called by
 * acpi_init.
 */
void power_init(void);
/* As in reboot=. */
enum reset_method {
	RESET_ACPI,   /* the FADT's reset register */
	RESET_PCI,    /* port 0xcf9 */
	RESET_KBD,    /* the keyboard controller's pulse on the reset line */
	RESET_TRIPLE, /* triple fault */
	RESET_METHODS
};
/* The first method, then the others in their order. say gets a line before each one. */
void platform_reset(enum reset_method first, void (*say)(const char *line))
	__attribute__((noreturn));
