/* Device registers and firmware tables, mapped in the kernel's MMIO area. */
#pragma once

#include "lib/types.h"

/*
 * Maps bytes, which do not wrap, of physical addresses and returns the address of a itself.
 * prot_flags: enum pt_prot, e.g. PT_R | PT_W | PT_UNCACHED for registers, PT_R for tables. NULL: no
 * room. It stays mapped. Boot CPU, at start.
 */
void *mmio_map(hpa_t a, u64 bytes, u32 prot_flags) __must_check;
