/*
 * The guest's ACPI tables: RSDP, XSDT, FADT, FACS, MADT and the DSDT from acpi/dsdt.asl, laid out
 * in the reserved range below 1 MiB where systems look for the RSDP. ACPI 6.4, chapter 5.
 */
#pragma once

#include "vmm/ram.h"

#define ACPI_GPA 0xe0000ull /* the RSDP stands first */
#define ACPI_BYTES 0x10000ull

/*
 * Writes the tables for a machine with `vcpus` CPUs. 0, or -E_NOMEM: they don't fit or RAM isn't
 * there.
 */
int acpi_build(const struct ram *ram, u32 vcpus);

/* What makes the sum of all bytes zero, where the checksum's own byte is zero now. */
u8 acpi_checksum(const void *p, u64 bytes);
