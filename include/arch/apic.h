/*
 * Local APIC registers as offsets in the APIC page; x2APIC MSR = 0x800 + offset / 16. Intel SDM 3
 * "APIC".
 */
#pragma once

enum apic_reg {
	APIC_ID = 0x020,
	APIC_VERSION = 0x030,
	APIC_TPR = 0x080,
	APIC_APR = 0x090,
	APIC_PPR = 0x0a0,
	APIC_EOI = 0x0b0,
	APIC_RRD = 0x0c0,
	APIC_LDR = 0x0d0,
	APIC_DFR = 0x0e0,
	APIC_SVR = 0x0f0,
	APIC_ISR = 0x100, /* 8 registers, 16 bytes apart; so are TMR and IRR */
	APIC_TMR = 0x180,
	APIC_IRR = 0x200,
	APIC_ESR = 0x280,
	APIC_LVT_CMCI = 0x2f0,
	APIC_ICR = 0x300, /* x2APIC: one 64-bit MSR */
	APIC_ICR_HIGH = 0x310,
	APIC_LVT_TIMER = 0x320,
	APIC_LVT_THERMAL = 0x330,
	APIC_LVT_PMC = 0x340,
	APIC_LVT_LINT0 = 0x350,
	APIC_LVT_LINT1 = 0x360,
	APIC_LVT_ERROR = 0x370,
	APIC_TIMER_INIT = 0x380,
	APIC_TIMER_CURRENT = 0x390,
	APIC_TIMER_DIVIDE = 0x3e0,
	APIC_SELF_IPI = 0x3f0, /* x2APIC only */
};

#define APIC_SVR_ENABLE 0x100u
#define APIC_SVR_NO_BROADCAST 0x1000u /* of EOIs: they are directed */
#define APIC_LVT_STATUS (1u << 12)
#define APIC_LVT_REMOTE_IRR (1u << 14)
#define APIC_LVT_MASKED 0x10000u
#define APIC_LVT_TIMER_PERIODIC 0x20000u
#define APIC_LVT_TIMER_DEADLINE 0x40000u

/* ICR, LVT and MSI data bits 8-10 */
enum apic_delivery {
	APIC_DM_FIXED = 0,
	APIC_DM_LOWEST = 1,
	APIC_DM_SMI = 2,
	APIC_DM_NMI = 4,
	APIC_DM_INIT = 5,
	APIC_DM_STARTUP = 6,
	APIC_DM_EXTINT = 7,
};

#define APIC_ICR_LOGICAL (1u << 11)
#define APIC_ICR_BUSY (1u << 12)
#define APIC_ICR_ASSERT (1u << 14)
#define APIC_ICR_LEVEL (1u << 15)
#define APIC_DEFAULT_BASE 0xfee00000ull
#define MSI_ADDR_BASE 0xfee00000ull
#define MSI_ADDR_LOGICAL (1u << 2)
#define MSI_ADDR_REDIRECT (1u << 3)
#define MSI_DATA_LEVEL (1u << 15)
