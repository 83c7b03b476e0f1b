/*
 * Control registers, flags, exceptions, selectors. Intel SDM 3 "System Architecture Overview"; AMD
 * APM 2.
 */
#pragma once

#include "lib/types.h"

enum cr0 {
	CR0_PE = 1u << 0,  /* protection enable */
	CR0_MP = 1u << 1,  /* monitor coprocessor */
	CR0_EM = 1u << 2,  /* emulation */
	CR0_TS = 1u << 3,  /* task switched */
	CR0_ET = 1u << 4,  /* extension type */
	CR0_NE = 1u << 5,  /* numeric error */
	CR0_WP = 1u << 16, /* write protect */
	CR0_AM = 1u << 18, /* alignment mask */
	CR0_NW = 1u << 29, /* not write-through */
	CR0_CD = 1u << 30, /* cache disable */
	CR0_PG = 1u << 31, /* paging */
};
#define CR0_DEFINED                                                                                \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)

enum cr4 {
	CR4_VME = 1u << 0,
	CR4_PVI = 1u << 1,
	CR4_TSD = 1u << 2,
	CR4_DE = 1u << 3,
	CR4_PSE = 1u << 4,
	CR4_PAE = 1u << 5,
	CR4_MCE = 1u << 6,
	CR4_PGE = 1u << 7,
	CR4_PCE = 1u << 8,
	CR4_OSFXSR = 1u << 9,
	CR4_OSXMMEXCPT = 1u << 10,
	CR4_UMIP = 1u << 11,
	CR4_LA57 = 1u << 12,
	CR4_VMXE = 1u << 13,
	CR4_FSGSBASE = 1u << 16,
	CR4_PCIDE = 1u << 17,
	CR4_OSXSAVE = 1u << 18,
	CR4_SMEP = 1u << 20,
	CR4_SMAP = 1u << 21,
};

enum efer {
	EFER_SCE = 1u << 0,   /* system call extensions */
	EFER_LME = 1u << 8,   /* long mode enable */
	EFER_LMA = 1u << 10,  /* long mode active */
	EFER_NXE = 1u << 11,  /* no-execute enable */
	EFER_SVME = 1u << 12, /* secure virtual machine enable */
};

/* Intel SDM 1, "XSAVE-Supported Features and State-Component Bitmaps" */
enum xcr0 {
	XCR0_X87 = 1u << 0,
	XCR0_SSE = 1u << 1,
	XCR0_AVX = 1u << 2,
};

/* but those of arithmetic, which only the monitor looks at: vmm/emul.h */
enum rflags {
	RFLAGS_FIXED = 1u << 1,
	RFLAGS_TF = 1u << 8,
	RFLAGS_IF = 1u << 9,
	RFLAGS_DF = 1u << 10,
	RFLAGS_NT = 1u << 14,
	RFLAGS_RF = 1u << 16,
	RFLAGS_VM = 1u << 17,
	RFLAGS_AC = 1u << 18,
};

#define DR7_ENABLE_MASK 0xffu /* L0-3, G0-3 */
#define DR7_GD (1ull << 13)
#define DR7_FIXED 0x400ull
#define DR7_DEFINED 0xffff23ffull
enum dr6 { DR6_HITS = 0xf /* B0-B3 */, DR6_BD = 1u << 13, DR6_BS = 1u << 14 };

/* clang-format off */
enum exception {
	EXC_DE = 0, EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_OF = 4, EXC_BR = 5, EXC_UD = 6,
	EXC_NM = 7, EXC_DF = 8, EXC_TS = 10, EXC_NP = 11, EXC_SS = 12, EXC_GP = 13, EXC_PF = 14,
	EXC_MF = 16, EXC_AC = 17, EXC_MC = 18, EXC_XM = 19, EXC_CP = 21,
};
/* clang-format on */
/* Those that push an error code, in protected mode: DF, TS, NP, SS, GP, PF, AC. */
#define EXC_WITH_ERROR 0x27d00ull

enum pf_error { PF_PRESENT = 1, PF_WRITE = 2, PF_USER = 4, PF_RSVD = 8, PF_FETCH = 16 };

/* The kernel's GDT. SYSRET wants user data directly before user code. */
enum selector {
	SEL_KCODE = 0x08,
	SEL_KDATA = 0x10,
	SEL_UDATA = 0x1b, /* 0x18 | 3 */
	SEL_UCODE = 0x23, /* 0x20 | 3 */
	SEL_TSS = 0x28,	  /* 16 bytes */
};

static inline bool canonical(u64 a) { return (u64)((s64)(a << 16) >> 16) == a; }
