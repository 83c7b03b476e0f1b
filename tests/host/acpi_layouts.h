/*
 * Whole ACPI table layouts, from which the tests build tables: ACPI 6.5, chapter 5; HPET: IA-PC
 * HPET 1.0a, 3.2.4.
 */
#pragma once

#include "drivers/platform/acpi_tables.h"

struct acpi_rsdp {
	char signature[8]; /* "RSD PTR " */
	u8 checksum;	   /* of the first 20 bytes */
	char oem_id[6];
	u8 revision; /* 0: ACPI 1.0, ends after rsdt_address */
	u32 rsdt_address;
	u32 length;
	u64 xsdt_address;
	u8 extended_checksum; /* of all */
	u8 reserved[3];
} __packed;

struct acpi_header {
	char signature[4];
	u32 length; /* with this header */
	u8 revision;
	u8 checksum;
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision, creator_id, creator_revision;
} __packed;

struct acpi_gas_layout { /* generic address structure */
	u8 space, bit_width, bit_offset, access_size;
	u64 address;
} __packed;

struct acpi_fadt {
	struct acpi_header header;
	u32 firmware_ctrl, dsdt;
	u8 reserved_44, preferred_profile;
	u16 sci_int;
	u32 smi_cmd;
	u8 acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	u32 pm1a_evt_blk, pm1b_evt_blk, pm1a_cnt_blk, pm1b_cnt_blk, pm2_cnt_blk, pm_tmr_blk;
	u32 gpe0_blk, gpe1_blk;
	u8 pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len;
	u8 gpe0_blk_len, gpe1_blk_len, gpe1_base, cst_cnt;
	u16 p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
	u8 duty_offset, duty_width, day_alarm, month_alarm, century;
	u16 iapc_boot_arch;
	u8 reserved_111;
	u32 flags;
	/* ACPI 1.0 ends here (116 bytes) */
	struct acpi_gas_layout reset_reg;
	u8 reset_value;
	u16 arm_boot_arch;
	u8 minor_version;
	u64 x_firmware_ctrl, x_dsdt;
	struct acpi_gas_layout x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr;
	struct acpi_gas_layout x_gpe0, x_gpe1, sleep_control, sleep_status;
	u64 hypervisor_vendor;
} __packed;

struct acpi_madt {
	struct acpi_header header;
	u32 lapic_address;
	u32 flags; /* bit 0: the machine has 8259s */
} __packed;

struct acpi_entry { /* of MADT and SRAT */
	u8 type, length;
} __packed;

struct madt_lapic {
	struct acpi_entry entry;
	u8 uid, apic_id;
	u32 flags;
} __packed;

struct madt_ioapic {
	struct acpi_entry entry;
	u8 id, reserved;
	u32 address, gsi_base;
} __packed;

struct madt_override {
	struct acpi_entry entry;
	u8 bus, source;
	u32 gsi;
	u16 flags; /* MPS INTI flags: polarity bits 0-1, trigger mode bits 2-3 */
} __packed;

struct madt_x2apic {
	struct acpi_entry entry;
	u16 reserved;
	u32 apic_id, flags, uid;
} __packed;

struct acpi_srat {
	struct acpi_header header;
	u32 table_revision;
	u64 reserved;
} __packed;

struct srat_lapic {
	struct acpi_entry entry;
	u8 domain_low, apic_id;
	u32 flags;
	u8 sapic_eid, domain_high[3];
	u32 clock_domain;
} __packed;

struct srat_memory {
	struct acpi_entry entry;
	u32 domain;
	u16 reserved_6;
	u64 base, length;
	u32 reserved_24, flags;
	u64 reserved_32;
} __packed;

struct srat_x2apic {
	struct acpi_entry entry;
	u16 reserved_2;
	u32 domain, apic_id, flags, clock_domain, reserved_20;
} __packed;

struct acpi_slit {
	struct acpi_header header;
	u64 localities;
	/* u8 matrix[localities][localities] */
} __packed;

struct acpi_hpet {
	struct acpi_header header;
	u32 block_id;
	struct acpi_gas_layout address;
	u8 number;
	u16 minimum_tick;
	u8 page_protection;
} __packed;

static_assert(sizeof(struct acpi_rsdp) == 36, "RSDP");
static_assert(sizeof(struct acpi_header) == 36, "ACPI table header");
static_assert(sizeof(struct acpi_gas_layout) == 12, "GAS");
static_assert(offsetof(struct acpi_fadt, pm_tmr_blk) == 76, "FADT");
static_assert(offsetof(struct acpi_fadt, iapc_boot_arch) == 109, "FADT");
static_assert(offsetof(struct acpi_fadt, reset_reg) == 116, "FADT");
static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "FADT");
static_assert(offsetof(struct acpi_fadt, sleep_control) == 244, "FADT");
static_assert(sizeof(struct acpi_fadt) == 276, "FADT");
static_assert(sizeof(struct acpi_madt) == 44, "MADT");
static_assert(sizeof(struct madt_lapic) == 8, "MADT local APIC");
static_assert(sizeof(struct madt_ioapic) == 12, "MADT I/O APIC");
static_assert(sizeof(struct madt_override) == 10, "MADT interrupt source override");
static_assert(sizeof(struct madt_x2apic) == 16, "MADT x2APIC");
static_assert(sizeof(struct acpi_srat) == 48, "SRAT");
static_assert(sizeof(struct srat_lapic) == 16, "SRAT local APIC");
static_assert(sizeof(struct srat_memory) == 40, "SRAT memory");
static_assert(sizeof(struct srat_x2apic) == 24, "SRAT x2APIC");
static_assert(sizeof(struct acpi_slit) == 44, "SLIT");
static_assert(sizeof(struct acpi_hpet) == 56, "HPET");
