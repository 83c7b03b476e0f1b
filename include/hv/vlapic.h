/* The local APIC of one vCPU, xAPIC and x2APIC. kernel/vlapic.c. */
#pragma once

#include "arch/apic.h"
#include "hv/timer.h"

#define VLAPIC_REG(offset) ((offset) >> 4)
#define VLAPIC_REGS 0x40

#define VLAPIC_NOTIFY 0xf2 /* vector of the host */

enum { VLAPIC_SIPI = 1u << 8, VLAPIC_INIT = 1u << 9 };

/* [I] immutable, [v] owned by the vCPU's runner, [a] atomic */
struct vlapic {
	/*
	 * [a] Fixed interrupts posted by anyone; the runner moves them to IRR. The first 64 bytes
	 * are VT-x's posted-interrupt descriptor: a CPU in the guest may take `edge` by itself, and
	 * clears bit 0.
	 */
	struct {
		u32 edge[8];
		u64 any; /* bit 0: edge has bits, bit 32: level has */
		u64 reserved[3];
		u32 level[8];
	} posted __aligned(64);
	u32 extint; /* [a] an ExtINT was posted: ask the monitor's PIC */
	u32 reset;  /* [a] VLAPIC_INIT, and VLAPIC_SIPI | vector of the SIPI behind it */
	/*
	 * [I] The registers as they lie in the APIC's page: on VT-x the CPU uses it too. [v] what
	 * it holds; others read LDR, DFR, SVR, TPR, LVT. PPR and the timer's count are made when
	 * they are read.
	 */
	u32 *page;
	u32 esr_pending;    /* [a] errors since the last write of ESR */
	u64 timer_deadline; /* [v] ns */
	u64 tsc_deadline;   /* [v] IA32_TSC_DEADLINE; the timer's fn ends it */
	u8 timer_shift;	    /* [v] one count takes 1 << this ns */
	/*
	 * [I] The CPU delivers by itself what IRR holds, from the page: offer_irq tells it to look
	 * there again.
	 */
	bool by_cpu;
	bool posting; /* [I] and takes what is posted while the guest runs, on VLAPIC_NOTIFY */
	u8 offered;   /* [v] vector that hv_ops->enter delivers when the guest can; 0 = none */
	bool update;  /* [v] IRR, ISR or the enable bits changed: choose again what to offer */
	/*
	 * [v] 0x100 | vector: a level-triggered interrupt ended, tell the monitor
	 */
	u32 eoi_exit;
	struct timer timer;
};

/* The word of ISR, TMR or IRR that has the bit of vector n. */
static inline u32 *vlapic_word(const struct vlapic *l, enum apic_reg map, u8 n)
{
	return &l->page[map / 4 + n / 32 * 4];
}

/* 0 = none */
static inline u8 vlapic_highest(const struct vlapic *l, enum apic_reg map)
{
	const u32 *w = vlapic_word(l, map, 0);
	u32 first = w[16] | w[20] | w[24] | w[28] ? 128 : 0;

	w += first / 8;
	/* mostly there is none */
	if (!first && !(w[0] | w[4] | w[8] | w[12]))
		return 0;
#pragma GCC unroll 4
	for (u32 i = 12; i; i -= 4)
		if (w[i])
			return (u8)(first + i * 8 + 31 - (u32)__builtin_clz(w[i]));
	return (u8)(first + 31 - (u32)__builtin_clz(w[0]));
}

static inline u8 vlapic_cr8(const struct vlapic *l) { return l->page[APIC_TPR / 4] >> 4 & 0xf; }

/* As the CPU left it: the bits of TPR that it doesn't show stay. */
static inline void vlapic_cr8_set(struct vlapic *l, u64 cr8)
{
	if (unlikely((l->page[APIC_TPR / 4] >> 4 ^ cr8) & 0xf))
		l->page[APIC_TPR / 4] = (u32)cr8 << 4 & 0xf0;
}
