/* The virtual machine control block. AMD APM 2, Appendix B "Layout of VMCB". */
#pragma once

#include "lib/types.h"

/* 05Ch */
enum vmcb_tlb_control {
	TLB_NOTHING = 0,
	TLB_FLUSH_ALL = 1,
	TLB_FLUSH_ASID = 3, /* with flush-by-ASID */
};

/* 060h */
enum vmcb_int_ctl {
	V_IRQ = 1u << 8,
	V_INTR_PRIO_SHIFT = 16,
	V_IGN_TPR = 1u << 20,
	V_INTR_MASKING = 1u << 24,
};

#define INT_STATE_SHADOW (1ull << 0) /* 068h INTERRUPT_SHADOW */
#define NESTED_NP_ENABLE (1ull << 0) /* 090h */

/* 0C0h: 1 = the field is as the CPU knows it */
enum vmcb_clean {
	CLEAN_I = 1u << 0, /* intercepts, TSC offset, pause filter */
	CLEAN_ASID = 1u << 2,
	CLEAN_TPR = 1u << 3, /* 060h */
	CLEAN_DR = 1u << 6,  /* DR6, DR7 */
	CLEAN_CR2 = 1u << 9,
	CLEAN_ALL = (1u << 10) - 1,
};

/*
 * AMD APM 2, Appendix C "SVM Intercept Exit Codes". Below VMEXIT_LOW_CODES they are also the
 * numbers of the intercept bits, counted from the start of the control block.
 */
enum vmexit {
	VMEXIT_CR4_READ = 0x04,
	VMEXIT_CR0_WRITE = 0x10,
	VMEXIT_CR4_WRITE = 0x14,
	VMEXIT_DR0_READ = 0x20,
	VMEXIT_DR15_WRITE = 0x3f,
	VMEXIT_EXCP0 = 0x40, /* and the vector */
	VMEXIT_INTR = 0x60,
	VMEXIT_NMI = 0x61,
	VMEXIT_INIT = 0x63,
	VMEXIT_VINTR = 0x64,
	VMEXIT_RDPMC = 0x6f,
	VMEXIT_CPUID = 0x72,
	VMEXIT_RSM = 0x73,
	VMEXIT_IRET = 0x74,
	VMEXIT_INVD = 0x76,
	VMEXIT_PAUSE = 0x77,
	VMEXIT_HLT = 0x78,
	VMEXIT_INVLPGA = 0x7a,
	VMEXIT_IOIO = 0x7b,
	VMEXIT_MSR = 0x7c,
	VMEXIT_SHUTDOWN = 0x7f,
	VMEXIT_VMRUN = 0x80,
	VMEXIT_VMMCALL = 0x81,
	VMEXIT_VMLOAD = 0x82,
	VMEXIT_SKINIT = 0x86,
	VMEXIT_WBINVD = 0x89,
	VMEXIT_MONITOR = 0x8a,
	VMEXIT_MWAIT_ARMED = 0x8c,
	VMEXIT_XSETBV = 0x8d,
	VMEXIT_RDPRU = 0x8e,
	VMEXIT_LOW_CODES = 0x8f, /* below here: one table */
	VMEXIT_NPF = 0x400,
};
#define VMEXIT_INVALID (~0ull)
#define VMEXIT_BUSY (~1ull)

/* EXITINFO1 of VMEXIT_IOIO. APM 2, "IOIO Intercept Information". */
enum ioio_info {
	IOIO_IN = 1u << 0,
	IOIO_STR = 1u << 2,
	IOIO_SIZE_SHIFT = 4, /* SZ8, SZ16, SZ32: the size in bytes */
	IOIO_PORT_SHIFT = 16,
};

/* EXITINFO1 of VMEXIT_NPF: enum pf_error below, and */
/* the fault came from a guest page table, not from the final address */
#define NPF_TABLE_WALK (1ull << 33)

struct vmcb_seg {
	u16 selector;
	u16 attrib; /* as in uapi/run.h */
	u32 limit;
	u64 base;
};

/* clang-format off */
struct vmcb {
	/* Control area */
	u32 intercept[6];			       /* 000h: one bit an exit code */
	u8 reserved_018[0x3c - 0x18];
	u16 pause_filter_threshold, pause_filter_count; /* 03Ch */
	u64 iopm_base;				       /* 040h */
	u64 msrpm_base;				       /* 048h */
	u64 tsc_offset;				       /* 050h */
	u32 asid;				       /* 058h */
	u32 tlb_control;			       /* 05Ch */
	u32 int_ctl;				       /* 060h */
	u32 int_vector;				       /* 064h */
	u64 int_state;				       /* 068h */
	u64 exit_code;				       /* 070h */
	u64 exit_info1, exit_info2;		       /* 078h */
	u32 exit_int_info, exit_int_error;	       /* 088h */
	u64 nested_ctl;				       /* 090h */
	u8 reserved_098[0xa8 - 0x98];
	u32 event_inj, event_inj_error;		       /* 0A8h: enum hv_event, as 088h */
	u64 nested_cr3;				       /* 0B0h */
	u64 virt_ext;				       /* 0B8h */
	u32 clean;				       /* 0C0h */
	u32 reserved_0c4;
	u64 next_rip;				       /* 0C8h */
	u8 reserved_0d0[0x400 - 0xd0];
	/* State save area */
	struct vmcb_seg es, cs, ss, ds, fs, gs;	       /* 400h */
	struct vmcb_seg gdtr, ldtr, idtr, tr;	       /* 460h */
	u8 reserved_4a0[0x4cb - 0x4a0];
	u8 cpl;					       /* 4CBh */
	u32 reserved_4cc;
	u64 efer;				       /* 4D0h */
	u8 reserved_4d8[0x548 - 0x4d8];
	u64 cr4, cr3, cr0;			       /* 548h */
	u64 dr7, dr6;				       /* 560h */
	u64 rflags, rip;			       /* 570h */
	u8 reserved_580[0x5d8 - 0x580];
	u64 rsp;				       /* 5D8h */
	u8 reserved_5e0[0x5f8 - 0x5e0];
	u64 rax;				       /* 5F8h */
	u64 star, lstar, cstar, sfmask;		       /* 600h */
	u64 kernel_gs_base;			       /* 620h */
	u64 sysenter_cs, sysenter_esp, sysenter_eip;   /* 628h */
	u64 cr2;				       /* 640h */
	u8 reserved_648[0x668 - 0x648];
	u64 g_pat;				       /* 668h */
	u64 dbgctl;				       /* 670h */
	u8 reserved_678[0x1000 - 0x678];
};
/* clang-format on */

static_assert(sizeof(struct vmcb_seg) == 16, "VMCB segment");
static_assert(sizeof(struct vmcb) == 4096, "VMCB");
