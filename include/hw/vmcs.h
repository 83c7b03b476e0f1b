/*
 * The virtual-machine control structure. Intel SDM 3, Appendix B "Field Encoding in VMCS", and the
 * chapter "Virtual Machine Control Structures".
 */
#pragma once

#include "lib/types.h"

/*
 * A field's number has a type by the field's width, so that it can't be taken for a value or for a
 * field of another width. Natural width is 64 bits here.
 */
/* clang-format off */
struct vmcs_16 { u32 id; };
struct vmcs_32 { u32 id; };
struct vmcs_64 { u32 id; };

/*
 * Width, name, number: the fields that the kernel names. Rows of four (EOI_EXIT, GUEST_PDPTE) and
 * segments have their first one here.
 */
#define VMCS_GUEST_FIELDS(F) \
	/* exit information */ \
	F(32, EXIT_REASON, 0x4402)		F(64, EXIT_QUALIFICATION, 0x6400) \
	F(32, VM_INSTRUCTION_ERROR, 0x4400)	F(32, EXIT_INSTRUCTION_LENGTH, 0x440c) \
	F(32, EXIT_INTR_INFO, 0x4404)		F(32, EXIT_INTR_ERROR, 0x4406) \
	F(32, IDT_VECTORING_INFO, 0x4408)	F(32, IDT_VECTORING_ERROR, 0x440a) \
	F(64, GUEST_PHYSICAL_ADDRESS, 0x2400) \
	/* controls */ \
	F(32, PIN_CONTROLS, 0x4000)		F(32, PROC_CONTROLS, 0x4002) \
	F(32, PROC2_CONTROLS, 0x401e)		F(32, EXCEPTION_BITMAP, 0x4004) \
	F(32, EXIT_CONTROLS, 0x400c)		F(32, ENTRY_CONTROLS, 0x4012) \
	F(32, TPR_THRESHOLD, 0x401c)		F(32, ENTRY_INTR_INFO, 0x4016) \
	F(32, ENTRY_INTR_ERROR, 0x4018)		F(16, VPID, 0x0000) \
	F(64, TSC_OFFSET, 0x2010)		F(64, LINK_POINTER, 0x2800) \
	F(16, GUEST_INTERRUPT_STATUS, 0x0810)	F(64, EOI_EXIT0, 0x201c) \
	F(16, POSTED_VECTOR, 0x0002) \
	/* controls with an address of the kernel's */ \
	F(64, EPT_POINTER, 0x201a)		F(64, MSR_BITMAP, 0x2004) \
	F(64, VIRTUAL_APIC_PAGE, 0x2012)	F(64, APIC_ACCESS_PAGE, 0x2014) \
	F(64, POSTED_DESCRIPTOR, 0x2016)	F(32, PREEMPTION_TIMER, 0x482e) \
	F(32, PLE_GAP, 0x4020)			F(32, PLE_WINDOW, 0x4022) \
	F(64, CR0_MASK, 0x6000)			F(64, CR4_MASK, 0x6002) \
	F(64, CR0_SHADOW, 0x6004)		F(64, CR4_SHADOW, 0x6006) \
	/* guest state */ \
	F(64, GUEST_CR0, 0x6800)		F(64, GUEST_CR3, 0x6802) \
	F(64, GUEST_CR4, 0x6804)		F(64, GUEST_EFER, 0x2806) \
	F(64, GUEST_RIP, 0x681e)		F(64, GUEST_RSP, 0x681c) \
	F(64, GUEST_RFLAGS, 0x6820)		F(64, GUEST_DR7, 0x681a) \
	F(32, GUEST_BLOCKING, 0x4824)		F(64, GUEST_PENDING_DEBUG, 0x6822) \
	F(64, GUEST_PAT, 0x2804)		F(32, GUEST_SYSENTER_CS, 0x482a) \
	F(64, GUEST_SYSENTER_ESP, 0x6824)	F(64, GUEST_SYSENTER_EIP, 0x6826) \
	F(64, GUEST_PDPTE0, 0x280a)		F(64, GUEST_GDTR_BASE, 0x6816) \
	F(32, GUEST_GDTR_LIMIT, 0x4810)		F(64, GUEST_IDTR_BASE, 0x6818) \
	F(32, GUEST_IDTR_LIMIT, 0x4812) \
	/* segments: the others after ES, in the order of enum seg, 2 apart */ \
	F(16, GUEST_ES_SELECTOR, 0x0800)	F(64, GUEST_ES_BASE, 0x6806) \
	F(32, GUEST_ES_LIMIT, 0x4800)		F(32, GUEST_ES_ATTR, 0x4814) \
	F(64, GUEST_CS_BASE, 0x6808)		F(32, GUEST_CS_ATTR, 0x4816) \
	F(32, GUEST_SS_ATTR, 0x4818)
#define VMCS_HOST_FIELDS(F) \
	F(64, HOST_CR0, 0x6c00)			F(64, HOST_CR3, 0x6c02) \
	F(64, HOST_CR4, 0x6c04)			F(64, HOST_EFER, 0x2c02) \
	F(64, HOST_RIP, 0x6c16)			F(64, HOST_RSP, 0x6c14) \
	F(64, HOST_PAT, 0x2c00)			F(16, HOST_CS_SELECTOR, 0x0c02) \
	F(16, HOST_SS_SELECTOR, 0x0c04)		F(16, HOST_TR_SELECTOR, 0x0c0c) \
	F(64, HOST_GS_BASE, 0x6c08)		F(64, HOST_TR_BASE, 0x6c0a) \
	F(64, HOST_GDTR_BASE, 0x6c0c)		F(64, HOST_IDTR_BASE, 0x6c0e)

#define VMCS_FIELDS(F) VMCS_GUEST_FIELDS(F) VMCS_HOST_FIELDS(F)

#define VMCS_CONSTANT(bits, name, number) static const struct vmcs_##bits VMCS_##name = {number};
VMCS_FIELDS(VMCS_CONSTANT)
#define VMCS_NUMBER(bits, name, number) VMCS_ID_##name = number,
enum vmcs_id { VMCS_FIELDS(VMCS_NUMBER) }; /* for tables */

/* Bits 14:13 of a number are the width: 0 16, 1 64, 2 32, 3 natural; 11:10 the kind. */
#define VMCS_WIDTH(number) ((number) >> 13 & 1 ? 64 : (number) >> 13 & 2 ? 32 : 16)
#define VMCS_CHECK(bits, name, number) static_assert(VMCS_WIDTH(number) == (bits), #name);
VMCS_FIELDS(VMCS_CHECK)
/* clang-format on */

/*
 * The nth of all numbers there may be. Kinds: controls, what is read-only, the guest's, and from
 * RECORD_WORDS on, which are the words of a record, the host's.
 */
#define VMCS_NUMBERS 512u
#define VMCS_NTH(n) (((n) >> 7) << 10 | ((n) >> 5 & 3) << 13 | ((n)&31) << 1)
#define VMCS_WORD(number)                                                                          \
	(((number) >> 10 & 3) << 7 | ((number) >> 13 & 3) << 5 | ((number) >> 1 & 31))
#define VMCS_READ_ONLY(number) (((number) >> 10 & 3) == 1)

/* "Definitions of Pin-Based VM-Execution Controls" */
enum vmx_pin {
	PIN_EXTINT_EXIT = 1u << 0,
	PIN_NMI_EXIT = 1u << 3,
	PIN_VIRTUAL_NMIS = 1u << 5,
	PIN_PREEMPTION_TIMER = 1u << 6,
	PIN_POSTED_INTERRUPTS = 1u << 7,
};

/* "Definitions of Primary Processor-Based VM-Execution Controls" */
enum vmx_proc {
	PROC_IRQ_WINDOW = 1u << 2,
	PROC_TSC_OFFSET = 1u << 3,
	PROC_HLT_EXIT = 1u << 7,
	PROC_INVLPG_EXIT = 1u << 9,
	PROC_MWAIT_EXIT = 1u << 10,
	PROC_RDPMC_EXIT = 1u << 11,
	PROC_CR3_LOAD_EXIT = 1u << 15,
	PROC_CR3_STORE_EXIT = 1u << 16,
	PROC_CR8_LOAD_EXIT = 1u << 19,
	PROC_CR8_STORE_EXIT = 1u << 20,
	PROC_TPR_SHADOW = 1u << 21,
	PROC_NMI_WINDOW = 1u << 22,
	PROC_MOV_DR_EXIT = 1u << 23,
	PROC_ALL_IO_EXIT = 1u << 24,
	PROC_MSR_BITMAP = 1u << 28,
	PROC_MONITOR_EXIT = 1u << 29,
	PROC_SECONDARY = 1u << 31,
};

/* "Definitions of Secondary Processor-Based VM-Execution Controls" */
enum vmx_proc2 {
	PROC2_APIC_ACCESSES = 1u << 0,
	PROC2_EPT = 1u << 1,
	PROC2_RDTSCP = 1u << 3,
	PROC2_X2APIC = 1u << 4,
	PROC2_VPID = 1u << 5,
	PROC2_WBINVD_EXIT = 1u << 6,
	PROC2_UNRESTRICTED = 1u << 7,
	PROC2_APIC_REGISTERS = 1u << 8,
	PROC2_IRQ_DELIVERY = 1u << 9,
	PROC2_PAUSE_LOOP = 1u << 10,
	PROC2_INVPCID = 1u << 12,
};
#define PROC2_APICV (PROC2_APIC_ACCESSES | PROC2_X2APIC | PROC2_APIC_REGISTERS | PROC2_IRQ_DELIVERY)

/* "VM-Exit Controls" */
enum vmx_exit_controls {
	EXIT_SAVE_DEBUG = 1u << 2,
	EXIT_HOST_64 = 1u << 9,
	EXIT_ACK_INTERRUPT = 1u << 15,
	EXIT_LOAD_PAT = 1u << 19,
	EXIT_LOAD_EFER = 1u << 21,
};

/* "VM-Entry Controls" */
enum vmx_entry_controls {
	ENTRY_LOAD_DEBUG = 1u << 2,
	ENTRY_LONG_MODE = 1u << 9,
	ENTRY_LOAD_PAT = 1u << 14,
	ENTRY_LOAD_EFER = 1u << 15,
};

/* GUEST_BLOCKING: "Interruptibility State" */
enum vmx_blocking { BLOCKED_STI = 1, BLOCKED_MOV_SS = 2, BLOCKED_SMI = 4, BLOCKED_NMI = 8 };
#define BLOCKED_SHADOW (BLOCKED_STI | BLOCKED_MOV_SS)
#define PENDING_DEBUG_BS (1ull << 14)

/* Interruption information has the layout of enum hv_event (arch/event.h); types beside its: */
#define EVENT_ICEBP (5u << 8)
#define EVENT_NMI_UNBLOCKED (1u << 12) /* of exits: the IRET had ended the blocking by NMI */

/* Segment attributes: as in uapi/run.h, but bits 8 and up stand at 12, and */
#define VMCS_ATTR_UNUSABLE (1u << 16)

/* EXIT_REASON: Appendix C "VMX Basic Exit Reasons" */
#define EXIT_ENTRY_FAILED (1u << 31)
enum vmx_exit_reason {
	EXIT_EXCEPTION = 0, /* or NMI */
	EXIT_EXTINT = 1,
	EXIT_TRIPLE_FAULT = 2,
	EXIT_IRQ_WINDOW = 7,
	EXIT_NMI_WINDOW = 8,
	EXIT_TASK_SWITCH = 9,
	EXIT_CPUID = 10,
	EXIT_GETSEC = 11,
	EXIT_HLT = 12,
	EXIT_INVD = 13,
	EXIT_RDPMC = 15,
	EXIT_RSM = 17,
	EXIT_VMCALL = 18,
	EXIT_VMCLEAR = 19,
	EXIT_VMXON = 27,
	EXIT_CR = 28,
	EXIT_DR = 29,
	EXIT_IO = 30,
	EXIT_RDMSR = 31,
	EXIT_WRMSR = 32,
	EXIT_BAD_GUEST_STATE = 33,
	EXIT_BAD_MSR_LOAD = 34,
	EXIT_MWAIT = 36,
	EXIT_MONITOR = 39,
	EXIT_PAUSE = 40,
	EXIT_MC_ENTRY = 41,
	EXIT_TPR_THRESHOLD = 43,
	EXIT_APIC_ACCESS = 44,
	EXIT_VIRTUALIZED_EOI = 45,
	EXIT_EPT_VIOLATION = 48,
	EXIT_INVEPT = 50,
	EXIT_PREEMPTION_TIMER = 52,
	EXIT_INVVPID = 53,
	EXIT_WBINVD = 54,
	EXIT_XSETBV = 55,
	EXIT_APIC_WRITE = 56,
	EXIT_VMFUNC = 59,
	EXIT_REASONS = 70,
};

/* EXIT_QUALIFICATION of EXIT_APIC_ACCESS: "Exit Qualification for APIC-Access VM Exits" */
#define APIC_ACCESS_OFFSET 0xfffu
enum apic_access_type { APIC_ACCESS_READ, APIC_ACCESS_WRITE, APIC_ACCESS_FETCH }; /* bits 15:12 */

/* EXIT_QUALIFICATION of EXIT_EPT_VIOLATION: "Exit Qualification for EPT Violations" */
enum ept_violation {
	EPT_VIOLATION_WRITE = 1u << 1,
	EPT_VIOLATION_FETCH = 1u << 2,
	EPT_VIOLATION_LINEAR = 1u << 7, /* there was a linear address, and */
	EPT_VIOLATION_FINAL = 1u << 8,	/* it was translated: no access to a guest table */
	EPT_VIOLATION_NMI_UNBLOCKED = 1u << 12,
};

/* EPT_POINTER: "Extended-Page-Table Pointer (EPTP)" */
enum eptp {
	EPTP_WRITE_BACK = 6,
	EPTP_4_LEVELS = 3u << 3,
	EPTP_ACCESSED_DIRTY = 1u << 6,
};

/* IA32_VMX_BASIC, IA32_VMX_EPT_VPID_CAP: Appendix A "VMX Capability Reporting Facility" */
#define VMX_BASIC_REVISION 0x7fffffffull
#define VMX_MISC_TIMER_RATE 0x1f /* the preemption timer counts when this bit of the TSC changes */
#define VMX_BASIC_TRUE_CONTROLS (1ull << 55)
enum vmx_ept_vpid {
	EPT_CAN_4_LEVELS = 1u << 6,
	EPT_CAN_WRITE_BACK = 1u << 14,
	EPT_CAN_2M = 1u << 16,
	EPT_CAN_1G = 1u << 17,
	EPT_CAN_INVEPT = 1u << 20,
	EPT_CAN_ACCESSED_DIRTY = 1u << 21,
	EPT_CAN_INVEPT_SINGLE = 1u << 25,
	EPT_CAN_INVEPT_ALL = 1u << 26,
};
#define VPID_CAN_INVVPID (1ull << 32)
#define VPID_CAN_INVVPID_ALL (1ull << 42)
enum vmx_invalidate { INV_SINGLE = 1, INV_ALL = 2 }; /* INVEPT's and INVVPID's types */
