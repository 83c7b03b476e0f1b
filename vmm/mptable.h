/*
 * The guest's MP configuration table, where systems without ACPI look for CPUs and interrupts:
 * behind the ACPI tables, in the BIOS range below 1 MiB. Intel MultiProcessor Specification 1.4.
 */
#pragma once

#include "vmm/ram.h"

#define MPTABLE_GPA 0xf0000ull /* the floating pointer structure stands first */
#define MPTABLE_BYTES 0x10000ull

/*
 * Writes the table for a machine with `vcpus` CPUs (1..254) of one kind: signature and features are
 * EAX and EDX of CPUID leaf 1. 0, or -E_NOMEM: too many CPUs, or RAM isn't there.
 */
int mptable_build(const struct ram *ram, u32 vcpus, u32 signature, u32 features);
