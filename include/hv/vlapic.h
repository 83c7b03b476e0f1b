/* The local APIC of one vCPU, xAPIC and x2APIC. kernel/vlapic.c. */
#pragma once

#include "arch/apic.h"
#include "hv/timer.h"

#define VLAPIC_REG(offset) ((offset) >> 4)
#define VLAPIC_REGS 0x40

/* [v] owned by the vCPU's runner, [a] atomic */
struct vlapic {
	u64 pir[4];	 /* [a] fixed interrupts posted by anyone; the runner moves them to irr */
	u64 pir_tmr[4];	 /* [a] trigger mode of those: 1 = level */
	u32 pir_any;	 /* [a] pir has bits */
	u32 extint;	 /* [a] an ExtINT was posted: ask the monitor's PIC */
	u32 sipi_vector; /* [a] 0x100 | vector when a SIPI is pending */
	u32 init;	 /* [a] INIT pending */
	u64 irr[4], isr[4], tmr[4]; /* [v] */
	/* [v] those that hold what was written; others read LDR, DFR, SVR, TPR, LVT */
	u32 reg[VLAPIC_REGS];
	u32 esr_pending;    /* [v] */
	u64 timer_deadline; /* [v] ns */
	u8 offered;	    /* [v] vector offered to the CPU by offer_irq; 0 = none */
	bool update;  /* [v] irr, isr or the enable bits changed: choose again what to offer */
	u32 eoi_exit; /* [v] 0x100 | vector: a level-triggered interrupt ended, tell the monitor */
	struct timer timer;
};
