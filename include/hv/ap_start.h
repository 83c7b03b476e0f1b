/* Start of the other CPUs through the trampoline frame below 1 MiB. */
#pragma once

#include "hv/cpu.h"

/*
 * At the end of the trampoline (boot/trampoline.asm, which takes the offsets from
 * kernel/offsets.c). The first two are written at installation, the others for each CPU.
 */
struct far_pointer {
	u32 offset;
	u16 selector; /* in the trampoline's GDT */
} __packed;

struct ap_params {
	u16 gdt_limit;			     /* with the base: the operand of LGDT */
	u32 gdt_base;			     /* physical */
	struct far_pointer entry32, entry64; /* physical addresses of its parts */
	u32 boot_cr3; /* below 4 GiB: identity for the trampoline, and the kernel half */
	u32 efer;     /* LME, and NXE where offered */
	u16 reserved[3];
	u64 kernel_cr3;
	u64 stack_top;
	struct cpu *cpu;
} __packed;
static_assert(sizeof(struct ap_params) == 56, "trampoline parameters");

/*
 * Boot CPU only: starts a CPU, which calls ap_main(c) on the stack in the kernel's address space,
 * and waits for c->up; meanwhile it answers clock_check_cpu. False: no trampoline frame, or ap_main
 * was not reached in timeout_ns.
 */
bool ap_start(struct cpu *c, u64 stack_top, u64 timeout_ns);
