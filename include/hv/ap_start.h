/* Start of the other CPUs through the trampoline frame below 1 MiB. */
#pragma once

#include "hv/cpu.h"

/*
 * At the end of the trampoline (boot/trampoline.asm, which takes the offsets from
 * kernel/offsets.c). The first is written at installation, the others for each CPU.
 */
struct ap_params {
	u64 image; /* where it was loaded */
	u64 kernel_cr3;
	u64 stack_top;
	struct cpu *cpu;
};

/*
 * Boot CPU only: starts a CPU, which calls ap_main(c) on the stack in the kernel's address space,
 * and waits for c->up; meanwhile it answers clock_check_cpu. False: no trampoline frame, or ap_main
 * was not reached in timeout_ns.
 */
bool ap_start(struct cpu *c, u64 stack_top, u64 timeout_ns);
