/* Model-specific registers. Intel SDM 4; AMD APM 2, Appendix A. */
#pragma once

enum msr {
	MSR_TSC = 0x10,
	MSR_APIC_BASE = 0x1b,
	MSR_FEATURE_CONTROL = 0x3a,
	MSR_BIOS_UPDT_TRIG = 0x79,
	MSR_BIOS_SIGN_ID = 0x8b,
	MSR_MTRRCAP = 0xfe,
	MSR_SYSENTER_CS = 0x174,
	MSR_SYSENTER_ESP = 0x175,
	MSR_SYSENTER_EIP = 0x176,
	MSR_MCG_CAP = 0x179,
	MSR_MCG_STATUS = 0x17a,
	MSR_MCG_CTL = 0x17b,
	MSR_MISC_ENABLE = 0x1a0,
	MSR_PAT = 0x277,
	MSR_MTRR_DEF_TYPE = 0x2ff,
	MSR_VMX_PROCBASED_CTLS = 0x482,
	MSR_VMX_PROCBASED_CTLS2 = 0x48b,
	MSR_MC0_CTL = 0x400, /* a bank has 4: control, status, address, more */
	MSR_TSC_DEADLINE = 0x6e0,
	MSR_X2APIC_BASE = 0x800, /* 0x800 + APIC page offset / 16 */
	MSR_EFER = 0xc0000080,
	MSR_STAR = 0xc0000081,
	MSR_LSTAR = 0xc0000082,
	MSR_CSTAR = 0xc0000083,
	MSR_SFMASK = 0xc0000084,
	MSR_FS_BASE = 0xc0000100,
	MSR_GS_BASE = 0xc0000101,
	MSR_KERNEL_GS_BASE = 0xc0000102,
	MSR_TSC_AUX = 0xc0000103,
	MSR_SYSCFG = 0xc0010010,
	MSR_VM_CR = 0xc0010114,
	MSR_VM_HSAVE_PA = 0xc0010117,
};

#define APIC_BASE_BSP (1ull << 8)
#define APIC_BASE_X2APIC (1ull << 10)
#define APIC_BASE_ENABLE (1ull << 11)
#define FEATURE_CONTROL_LOCK (1ull << 0)
#define FEATURE_CONTROL_VMX (1ull << 2) /* outside SMX */
/* The upper half of a controls MSR: which may be 1. */
#define VMX_MAY_SECONDARY (1ull << 63)
#define VMX_MAY_EPT (1ull << 33)
#define VM_CR_SVMDIS (1ull << 4)
#define VM_CR_LOCK (1ull << 3)
