/* Start of memory management, and the address space of kernel threads. */
#pragma once

#include "hv/bootinfo.h"
#include "mm/aspace.h"

/* The kernel's half only; every other address space shares it, but for the private slot. */
extern struct aspace kernel_aspace;

/*
 * Boot CPU, once, with GS set (struct cpu with its id), on a stack in the image, with the boot
 * tables: image at KERNEL_BASE, the low 4 GiB mapped one to one and at DIRECT_BASE. Builds the
 * final tables, loads them (nothing below KERNEL_BASE of the boot tables stays reachable: GDT, IDT
 * and *b must be in the image); the heap's first blocks serve until frame_init. mem_limit: bytes of
 * RAM to use, 0 = all. Panics when RAM is too small.
 */
void mm_init(const struct bootinfo *b, u64 mem_limit);

/* A frame below 640 KiB for the start of the other CPUs; 0 = none. [I] after mm_init */
extern hpa_t mm_trampoline;

/*
 * Maps bytes, which do not wrap, of physical addresses and returns the address of a itself.
 * prot_flags: enum pt_prot, e.g. PT_R | PT_W | PT_UNCACHED for registers, PT_R for tables. NULL: no
 * room. It stays mapped. Boot CPU, at start.
 */
void *mmio_map(hpa_t a, u64 bytes, u32 prot_flags) __must_check;
