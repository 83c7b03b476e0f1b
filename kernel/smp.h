/* CPUs among themselves. */
#pragma once

#include "hv/cpu.h"

enum ipi {
	IPI_RESCHED = 1, /* look at cpu->resched; also makes a running guest exit */
	IPI_FLUSH = 2,	 /* answer TLB flush requests */
	IPI_QUIESCE = 4, /* answer the reaper's epoch */
};

void smp_ipi(u32 cpu, u32 bits); /* enum ipi */
/* Starts the other CPUs and reports those that don't come up; in the start-up array. */
void smp_start(u32 max_cpus);
void smp_ipi_interrupt(void);			       /* VECTOR_IPI */
void ap_main(struct cpu *c) __attribute__((noreturn)); /* from the trampoline */
/*
 * Returns after every CPU has taken an interrupt and flushed all translations: no lookup made
 * before is still in use. Interrupts are enabled while waiting; no lock held.
 */
void smp_quiesce(void);
