/*
 * The run page: one per vCPU, shared by the kernel and its monitor. vcpu_run fills `exit` when it
 * returns 0 or -E_INTR; the monitor writes the reply and calls again. The kernel copies each reply
 * field once before it checks it. vcpu_get and vcpu_set are allowed between, but the state is
 * complete only after the reply was taken by another vcpu_run (set `immediate` to take it without
 * entering the guest).
 */
#pragma once

#include "arch/cpuid.h"
#include "uapi/abi.h"

enum run_exit {
	RUN_EXIT_NONE,
	RUN_EXIT_INTR, /* kicked, or `immediate` was set; vcpu_run returned -E_INTR */
	RUN_EXIT_IO,   /* IN or OUT; rip is already past it. String forms: RUN_EXIT_EMULATE */
	/*
	 * an instruction at rip that the monitor must carry out: MMIO, string I/O, MOV CR and DR,
	 * CLTS, LMSW, XSETBV, RDMSR and WRMSR of what is not the local APIC's; or only measure
	 */
	RUN_EXIT_EMULATE,
	RUN_EXIT_TASK_SWITCH, /* by hardware; the monitor carries it out */
	RUN_EXIT_RESET,	      /* INIT or SIPI has come: the monitor sets the state that it makes */
	RUN_EXIT_EOI,	      /* end of a level-triggered interrupt */
	RUN_EXIT_EXTINT,      /* the vCPU can take an ExtINT: which vector? */
	RUN_EXIT_SHUTDOWN,    /* triple fault */
	RUN_EXIT_INTERNAL,    /* the kernel can't go on with this vCPU; `record` is filled in */
	RUN_EXITS
};

/* What guests may set in CR4, EFER, XCR0: what the CPU has and the kernel handles. */
struct guest_bits {
	u64 cr4, efer;
	u64 xcr0; /* 1: no XSAVE */
};

/*
 * The CPU's control block, for audit/, which knows its words, and what of the machine the rules
 * about them depend on. Addresses of the kernel's pages are left out: bits from 12 up to phys_bits.
 */
enum record_vendor { RECORD_NONE, RECORD_SVM, RECORD_VMX };
#define RECORD_WORDS 384
struct vcpu_record {
	u32 vendor; /* enum record_vendor */
	u32 phys_bits;
	struct guest_bits may;
	u32 asids; /* SVM: above the highest ASID */
	u32 reserved;
	u64 fixed[4]; /* VMX: IA32_VMX_CR0_FIXED0 to IA32_VMX_CR4_FIXED1 */
	u64 word[RECORD_WORDS];
};

enum run_task_source { TASK_BY_CALL, TASK_BY_IRET, TASK_BY_JMP, TASK_BY_GATE };

struct run_task {
	u16 selector; /* of the new task's TSS */
	u8 source;    /* enum run_task_source */
	u8 insn_len;  /* of what caused it, unless an event from outside did */
	u32 event;    /* what a gate serves, as `injecting` */
	u32 error;
};

struct run_emulate {
	u64 gpa;  /* faulting guest-physical address; for string I/O the port */
	u8 write; /* access type of the fault */
	u8 io;	  /* 1 = string I/O on port `gpa` */
	u8 fetch; /* instruction fetch: from where no memory is */
	u8 walk;  /* 1 = of the guest's page tables */
	/*
	 * 1 = the CPU can't run the guest in its mode (real mode, mostly): the monitor delivers the
	 * event that is being delivered, else carries out what is at rip, whatever it is.
	 * `carry_out` may leave that one to the kernel.
	 */
	u8 mode;
	u8 apic;   /* 1 = `gpa` is on the local APIC's page: see RUN_DO_APIC_WRITE */
	u8 length; /* 1 = the kernel knows what to do, but not how long the instruction is */
	/* Replies; to RUN_DO_APIC_WRITE `gpa` is one too. */
	u8 carry_out; /* enum run_carry_out: what is left to the kernel */
	/*
	 * of the instruction at rip, at most 15, for all but RUN_DO_APIC_WRITE; 0: the kernel
	 * decodes it, or asks by `length`
	 */
	u8 insn_len;
	u8 reserved[3];
	u32 value; /* that is written to the APIC's register */
};

struct vcpu_run {
	u32 version;   /* UAPI_VERSION */
	u32 exit;      /* enum run_exit */
	u32 immediate; /* reply: return with RUN_EXIT_INTR before entering the guest */
	u32 reserved;
	union {
		struct {
			u16 port;
			u8 size;  /* 1, 2, 4 */
			u8 in;	  /* 1 = IN */
			u32 data; /* OUT: value; IN: the reply */
		} io;
		struct run_emulate emulate;
		struct run_task task;
		struct {
			u8 init;   /* 1 = INIT: the vCPU waits for SIPI from now on */
			u8 sipi;   /* 1 = SIPI, behind it if both */
			u8 vector; /* of SIPI */
		} reset;
		struct {
			u32 vector;
		} eoi;
		struct {
			s32 vector; /* reply: 0..255, or -1 = none (spurious) */
		} extint;
		struct {
			u32 code; /* enum run_internal */
		} internal;
	};
	struct vcpu_record record; /* with RUN_EXIT_INTERNAL */
};

/* What the kernel has the rules of. */
enum run_carry_out {
	RUN_DO_NOTHING,
	RUN_DO_CPUID,
	RUN_DO_MSR_READ,
	RUN_DO_MSR_WRITE,
	RUN_DO_EXIT,	   /* the instruction that has caused this exit, with `length` 1 */
	RUN_DO_APIC_WRITE, /* of `value` to the register at `gpa`; vcpu_get reads it */
};

/*
 * Guest-physical page where the monitor keeps a page directory of 4 MiB pages, one to one: what the
 * CPU uses for a guest without paging where it can't do without.
 */
#define VM_FLAT_TABLE 0xfeffc000u

enum run_internal {
	RUN_INTERNAL_ENTRY = 1, /* the CPU refused the guest state */
	RUN_INTERNAL_UNKNOWN,	/* an exit that this kernel does not know */
	RUN_INTERNAL_MEMORY,	/* no memory left within the quota */
	RUN_INTERNAL_MC,	/* the processor reported an error while the guest ran */
};

/* ---- What CPUID tells the guest: vm_policy ---- */
#define CPUID_ROWS 64
#define CPUID_RANGES 3	/* of leaves: from 0, from 0x40000000 and from 0x80000000 on */
#define CPUID_LEAVES 32 /* in each */

enum cpuid_kind {
	CPUID_CONSTANT,
	CPUID_FEATURES, /* leaf 1: the APIC id, and whether OSXSAVE is set, are put in */
	CPUID_TOPOLOGY, /* leaf 0xB: the APIC id and the sub-leaf's number are put in */
	CPUID_XSAVE,	/* leaf 0xD: ebx becomes the size of what XCR0 enables now */
};

struct cpuid_row {
	u32 kind; /* enum cpuid_kind */
	u32 more; /* so many rows behind it are the leaf's next sub-leaves, from 1 on */
	u64 reserved;
	struct cpuid r;
};

struct vm_policy {
	u32 size;	 /* sizeof this structure */
	u32 xsave_bytes; /* of the XSAVE area with AVX */
	struct cpuid_row row[CPUID_ROWS];
	/*
	 * 1 + the row of a leaf's sub-leaf 0; 0: zeros. The last row of a leaf is for all beyond.
	 */
	u8 first[CPUID_RANGES][CPUID_LEAVES];
};

/* ---- vCPU state, in groups ---- */
/* MSRs of the KVM paravirtual ABI, from 0x4b564d00 on */
enum pv_msr { PV_WALL_CLOCK, PV_SYSTEM_TIME, PV_ASYNC_PF, PV_STEAL_TIME, PV_EOI, PV_MSRS };

enum state_group {
	STATE_GPR = 1 << 0, /* gpr[], rip, rflags */
	STATE_SEG = 1 << 1, /* segments, GDTR, IDTR */
	STATE_CR = 1 << 2,  /* control registers, EFER, XCR0 */
	STATE_DR = 1 << 3,
	STATE_MSR = 1 << 4,   /* the fields under `msr` */
	STATE_APIC = 1 << 5,  /* local APIC registers */
	STATE_EVENT = 1 << 6, /* pending and blocked events, activity */
	STATE_FPU = 1 << 7,   /* XSAVE area, standard format */
	STATE_CLOCK = 1 << 8, /* the time-stamp counter and the local APIC's timer */
	STATE_ALL = 0x1ff,
	/* vcpu_get only: the APIC's timer stands from now on, until vcpu_set of STATE_CLOCK */
	STATE_TIMER_STOP = 1 << 9,
};

/* clang-format off */
enum gpr {
	GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSP, GPR_RBP, GPR_RSI, GPR_RDI, GPR_R8, GPR_R9,
	GPR_R10, GPR_R11, GPR_R12, GPR_R13, GPR_R14, GPR_R15, GPRS,
};
/* clang-format on */

enum seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEGS };

/*
 * attr: type 0-3, S 4, DPL 5-6, P 7, AVL 8, L 9, D/B 10, G 11 (as in the VMCB; AMD APM 2, Appendix
 * B)
 */
struct seg_state {
	u16 selector;
	u16 attr;
	u32 limit; /* in bytes, expanded */
	u64 base;
};

#define SEG_ATTR_S 0x10u
#define SEG_ATTR_P 0x80u
#define SEG_ATTR_L 0x200u
#define SEG_ATTR_DB 0x400u
#define SEG_ATTR_G 0x800u

struct table_state {
	u64 base;
	u32 limit;
	u32 reserved;
};

#define FPU_STATE_BYTES 2696

enum vcpu_activity { VCPU_RUNNABLE, VCPU_HALTED, VCPU_WAIT_SIPI };

struct vcpu_state {
	u32 size;   /* sizeof this structure */
	u32 groups; /* enum state_group: what get fills, what set takes */
	u64 gpr[GPRS];
	u64 rip, rflags;
	struct seg_state seg[SEGS];
	struct table_state gdtr, idtr;
	/* group CR, with PAE paging: the entries of CR3's table that VT-x holds; AMD-V reads it */
	u64 pdpte[4];
	u64 cr0, cr2, cr3, cr4, cr8, efer, xcr0;
	u64 dr[4], dr6, dr7;
	struct {
		u64 star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
		u64 sysenter_cs, sysenter_esp, sysenter_eip;
		u64 pat;
		u64 pv[PV_MSRS]; /* the kernel acts on PV_STEAL_TIME and PV_EOI */
	} msr;
	struct {
		u64 base;    /* IA32_APIC_BASE */
		u32 reg[64]; /* register at offset n * 16 of the APIC page */
	} apic;
	struct {
		u64 tsc_offset;	   /* guest TSC = host TSC + this */
		u64 tsc_deadline;  /* IA32_TSC_DEADLINE; 0: none */
		u64 apic_deadline; /* host clock when the APIC timer's count ends; 0: it has */
	} clock;
	struct {
		u32 activity; /* enum vcpu_activity */
		/* nmi_pending: vcpu_set makes one pending, and takes none back */
		u8 nmi_pending, nmi_blocked, sti_blocked, reserved;
		/* event being delivered: bit 31 valid, 11 error code, 8-10 type, 0-7 vector */
		u32 injecting;
		u32 injecting_error;
	} event;
	u8 fpu[FPU_STATE_BYTES] __aligned(64);
};
