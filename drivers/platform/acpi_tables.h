/*
 * Where the fields that are read lie in the ACPI tables. ACPI 6.5, chapter 5; HPET: IA-PC HPET
 * 1.0a, 3.2.4.
 */
#pragma once

#include "lib/types.h"

struct acpi_table {
	char signature[4];
	u32 length; /* with this header */
	u8 rest[28];
};
static_assert(sizeof(struct acpi_table) == 36, "ACPI table header");

enum rsdp_field {
	RSDP_REVISION = 15, /* 0: ACPI 1.0 */
	RSDP_RSDT = 16,
	RSDP_BYTES_V1 = 20, /* the first checksum covers these, the second one all */
	RSDP_XSDT = 24,
	RSDP_BYTES = 36,
};

/* Generic address structure. */
enum gas_field { GAS_SPACE = 0, GAS_ADDRESS = 4 };

enum acpi_space {
	ACPI_SPACE_MEMORY = 0,
	ACPI_SPACE_IO = 1,
	/* of bus 0: device in bits 47-32 of the address, function 31-16, offset 15-0 */
	ACPI_SPACE_PCI = 2,
};

enum fadt_field {
	FADT_DSDT = 40,
	FADT_SMI_CMD = 48,
	FADT_ACPI_ENABLE = 52,
	FADT_PM1A_CNT = 64,
	FADT_PM1B_CNT = 68,
	FADT_PM_TMR = 76,
	FADT_FLAGS = 112,
	FADT_BYTES_V1 = 116,
	FADT_RESET_REG = 116, /* from here on X_ and others are generic addresses */
	FADT_RESET_VALUE = 128,
	FADT_X_DSDT = 140,
	FADT_X_PM1A_CNT = 172,
	FADT_X_PM1B_CNT = 184,
	FADT_X_PM_TMR = 208,
	FADT_SLEEP_CONTROL = 244,
	FADT_BYTES = 276,
};
#define FADT_TMR_VAL_EXT (1u << 8)
#define FADT_RESET_REG_SUP (1u << 10)
#define FADT_HW_REDUCED (1u << 20)

/* Entries of MADT and SRAT begin with type and length; bit 0 of their flags: enabled. */
#define ACPI_ENTRY_ENABLED 1u
enum madt_type { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_X2APIC = 9 };
enum madt_field {
	MADT_BYTES = 44,
	IOAPIC_ADDRESS = 4,
	IOAPIC_GSI_BASE = 8,
	OVERRIDE_BUS = 2,
	OVERRIDE_GSI = 4,
	OVERRIDE_FLAGS = 8, /* MPS INTI flags: polarity bits 0-1, trigger mode bits 2-3 */
};

enum srat_type { SRAT_LAPIC = 0, SRAT_MEMORY = 1, SRAT_X2APIC = 2 };
enum srat_field {
	SRAT_BYTES = 48,
	SRAT_LAPIC_DOMAIN = 2, /* bits 7-0; 31-8 at SRAT_LAPIC_DOMAIN_HIGH */
	SRAT_LAPIC_DOMAIN_HIGH = 9,
	SRAT_MEMORY_BASE = 8,
	SRAT_MEMORY_LENGTH = 16,
	SRAT_X2APIC_DOMAIN = 4,
};

enum slit_field { SLIT_LOCALITIES = 36, SLIT_MATRIX = 44 };
enum dmar_field { DMAR_FLAGS = 37, DMAR_BYTES = 48 }; /* Intel VT-d 4.1, 8.1 */
#define DMAR_X2APIC_OPT_OUT 2u
enum hpet_field { HPET_ADDRESS = 40, HPET_BYTES = 56 };
