/*
 * The guest's ACPI tables: RSDP, XSDT, FADT, FACS, MADT and the DSDT from acpi/dsdt.asl, laid out
 * in the reserved range below 1 MiB where systems look for the RSDP. ACPI 6.4, chapter 5.
 */
#pragma once

#include "vmm/ram.h"

#define ACPI_GPA 0xe0000ull /* the RSDP stands first */
#define ACPI_BYTES 0x10000ull

/*
 * Writes the tables for a machine with `vcpus` CPUs, of `possible` that it may get. 0, or -E_NOMEM:
 * they don't fit or RAM isn't there.
 */
int acpi_build(const struct ram *ram, u32 vcpus, u32 possible);

/* The length of a DSDT of so many bytes, cut off behind the device of CPU possible - 1. */
u64 acpi_dsdt_length(const u8 *dsdt, u64 bytes, u32 possible);

/* What makes the sum of all bytes zero, where the checksum's own byte is zero now. */
u8 acpi_checksum(const void *p, u64 bytes);
