/* What every CPU sets up for itself: descriptor tables, control registers, system-call MSRs. */
#pragma once

#include "hv/cpu.h"

/* Boot CPU only, before anything that needs this_cpu(): uses no memory but the image. */
void cpu_setup_boot(void);
/* Allocates the structure, tables and interrupt stacks of CPU `id`. NULL: no memory. */
struct cpu *cpu_create(u32 id, u32 apic_id);
/* On the CPU itself: GS, GDT, TSS, IDT. */
void cpu_setup_tables(struct cpu *c);
/* On the CPU itself, after facts_read: CR0, CR4, EFER, SYSCALL MSRs, host XCR0. */
void cpu_setup_registers(void);
/* The stack on which traps from ring 3 and system calls of the current thread start. */
void cpu_set_kstack(u64 top);
