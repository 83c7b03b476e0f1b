/*
 * Neutral exits: a vendor back-end decodes an exit once into struct hv_exit; common code never sees
 * a vendor's exit number.
 */
#pragma once

#include "uapi/run.h"

enum hv_exit_reason {
	HV_EXIT_EXTINT, /* a host interrupt is pending; it is taken when interrupts are enabled */
	HV_EXIT_NMI,	/* a host NMI, already handled */
	HV_EXIT_MC,	/* a machine check under the guest */
	HV_EXIT_EXCEPTION, /* an intercepted exception: vector, error */
	HV_EXIT_CPUID,
	HV_EXIT_HLT,
	HV_EXIT_PAUSE,
	HV_EXIT_IO,
	HV_EXIT_MSR_READ, /* number in the guest's ECX */
	HV_EXIT_MSR_WRITE,
	HV_EXIT_CR, /* MOV to or from CR, CLTS, LMSW */
	HV_EXIT_DR,
	HV_EXIT_XSETBV,
	HV_EXIT_HYPERCALL,  /* VMMCALL or VMCALL */
	HV_EXIT_APIC_WRITE, /* the guest has written this register in its APIC's page */
	HV_EXIT_EOI,	    /* the CPU has ended a level-triggered interrupt of the guest */
	HV_EXIT_NPF,	    /* nested page fault: no or insufficient mapping in the nested table */
	HV_EXIT_WINDOW,	    /* the guest can take an interrupt or NMI now (asked by want_window) */
	HV_EXIT_SHUTDOWN,   /* triple fault */
	/* an instruction that the guest must see as #UD (SVM, VMX, MWAIT, ...) */
	HV_EXIT_UNDEFINED,
	HV_EXIT_WBINVD,	     /* INVD, WBINVD: skip */
	HV_EXIT_TASK_SWITCH, /* by hardware, not begun */
	HV_EXIT_UNENTERABLE, /* the CPU can't run the guest in its mode: no entry was made */
	HV_EXIT_FAIL_ENTRY,  /* the CPU refused the state: stops the VM */
	HV_EXIT_UNKNOWN,
	HV_EXITS
};

struct hv_exit {
	enum hv_exit_reason reason;
	u8 insn_len;	 /* of the instruction at rip; 0 = the CPU does not say */
	u8 acknowledged; /* EXTINT: vector that the exit has taken from the host's APIC; 0: none */
	u64 code_cr3;	 /* insn_len is 0: CR3 of 64-bit code, else ~0 */
	union {
		/* clang-format off */
		struct { u8 vector; bool has_error; u32 error; } exception;
		/* APIC_WRITE: offset; EOI: vector; FAIL_ENTRY, UNKNOWN: the vendor's */
		u64 number;
		struct { u16 port; u8 size; bool in, string; } io;
		struct run_task task;
		/* clang-format on */
		struct {
			gpa_t gpa;
			bool write, fetch;
			bool table_walk; /* while the guest's own tables were walked */
		} npf;
	};
};
