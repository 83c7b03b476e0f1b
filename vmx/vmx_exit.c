/*
 * From exit reason to neutral exit. Intel SDM 3, Appendix C "VMX Basic Exit Reasons", and "Exit
 * Qualification".
 */
#include "vmx/vmx.h"

/*
 * The CPU leaves DR6 and DR7 to us. INT1 is the one instruction that raises an intercepted
 * exception: the handler's frame points behind it.
 */
static void decode_debug(struct vmx_vcpu *s, u32 info)
{
	struct vcpu_regs *r = &s->vcpu.priv->regs;
	u64 what = vmcs_read64(VMCS_EXIT_QUALIFICATION) & (DR6_HITS | DR6_BD | DR6_BS);

	r->dr6 = (r->dr6 & ~(u64)DR6_HITS) | what;
	vmcs_write64(VMCS_GUEST_DR7, vmcs_read64(VMCS_GUEST_DR7) & ~DR7_GD);
	if ((info & EVENT_TYPE_MASK) == EVENT_ICEBP)
		r->rip += vmcs_read32(VMCS_EXIT_INSTRUCTION_LENGTH);
}

static void decode_exception(struct vmx_vcpu *s, struct hv_exit *x)
{
	u32 info = vmcs_read32(VMCS_EXIT_INTR_INFO);

	if ((info & EVENT_TYPE_MASK) == (HV_EVENT_NMI & EVENT_TYPE_MASK)) {
		x->reason = HV_EXIT_NMI;
		__asm__ volatile("int %0" : : "i"(EXC_NMI) : "memory");
		return;
	}
	x->exception.vector = info & EVENT_VECTOR_MASK;
	x->exception.has_error = info & HV_EVENT_ERROR;
	x->exception.error = x->exception.has_error ? vmcs_read32(VMCS_EXIT_INTR_ERROR) : 0;
	if (x->exception.vector == EXC_MC)
		x->reason = HV_EXIT_MC;
	else if (x->exception.vector == EXC_DB)
		decode_debug(s, info);
}

static void decode_io(struct vmx_vcpu *s, struct hv_exit *x)
{
	u64 q = vmcs_read64(VMCS_EXIT_QUALIFICATION);

	x->io.size = (u8)((q & 7) + 1);
	x->io.in = q & 8;
	x->io.string = q & 0x10;
	x->io.port = (u16)(q >> 16);
}

/* Only what the instruction itself reads or writes has an operand to decode. */
static void decode_apic_access(struct vmx_vcpu *s, struct hv_exit *x)
{
	u64 q = vmcs_read64(VMCS_EXIT_QUALIFICATION), type = q >> 12 & 0xf;

	x->npf.gpa = gpa(APIC_DEFAULT_BASE | (q & APIC_ACCESS_OFFSET));
	x->npf.write = type == APIC_ACCESS_WRITE;
	x->npf.fetch = type == APIC_ACCESS_FETCH;
	x->npf.table_walk = type > APIC_ACCESS_FETCH;
}

static void decode_qualification(struct vmx_vcpu *s, struct hv_exit *x)
{
	x->number = vmcs_read64(VMCS_EXIT_QUALIFICATION);
}

/* With "acknowledge interrupt on exit", else the interrupt still pends. */
static void decode_extint(struct vmx_vcpu *s, struct hv_exit *x)
{
	if (vmx_caps.exit & EXIT_ACK_INTERRUPT)
		x->acknowledged = (u8)vmcs_read32(VMCS_EXIT_INTR_INFO);
}

static void decode_violation(struct vmx_vcpu *s, struct hv_exit *x)
{
	u64 q = vmcs_read64(VMCS_EXIT_QUALIFICATION);

	x->npf.gpa = gpa(vmcs_read64(VMCS_GUEST_PHYSICAL_ADDRESS));
	x->npf.write = q & EPT_VIOLATION_WRITE;
	x->npf.fetch = q & EPT_VIOLATION_FETCH;
	x->npf.table_walk = (q & EPT_VIOLATION_LINEAR) && !(q & EPT_VIOLATION_FINAL);
}

static void decode_number(struct vmx_vcpu *s, struct hv_exit *x)
{
	x->number = vmcs_read32(VMCS_EXIT_REASON);
}

/* 0 CALL, 1 IRET, 2 JMP, 3 a gate of the IDT: by an event, or by an instruction too. */
static void decode_task(struct vmx_vcpu *s, struct hv_exit *x)
{
	u64 q = vmcs_read64(VMCS_EXIT_QUALIFICATION);

	x->task = (struct run_task){
		.selector = (u16)q,
		.source = q >> 30 & 3,
		.insn_len = x->insn_len,
		.event = vmcs_read32(VMCS_IDT_VECTORING_INFO) & EVENT_DEFINED,
		.error = vmcs_read32(VMCS_IDT_VECTORING_ERROR),
	};
}

/* What the CPU can't enter only because it lacks "unrestricted guest" is emulated. */
static void decode_bad_state(struct vmx_vcpu *s, struct hv_exit *x)
{
	decode_number(s, x);
	if (!vmx_caps.unrestricted)
		x->reason = HV_EXIT_UNENTERABLE;
}

/* INSN: the CPU gives the length. DELIVERY: it can come while an event is delivered. */
enum { KNOWN = 1, INSN = 2, DELIVERY = 4 };

static const struct {
	u8 how;
	enum hv_exit_reason reason;
	void (*decode)(struct vmx_vcpu *s, struct hv_exit *x);
} exits[EXIT_REASONS] = {
	[EXIT_EXCEPTION] = {KNOWN | DELIVERY, HV_EXIT_EXCEPTION, decode_exception},
	[EXIT_EXTINT] = {KNOWN, HV_EXIT_EXTINT, decode_extint},
	[EXIT_TRIPLE_FAULT] = {KNOWN, HV_EXIT_SHUTDOWN, NULL},
	[EXIT_IRQ_WINDOW] = {KNOWN, HV_EXIT_WINDOW, NULL},
	[EXIT_NMI_WINDOW] = {KNOWN, HV_EXIT_WINDOW, NULL},
	[EXIT_TASK_SWITCH] = {KNOWN | INSN, HV_EXIT_TASK_SWITCH, decode_task},
	[EXIT_CPUID] = {KNOWN | INSN, HV_EXIT_CPUID, NULL},
	[EXIT_GETSEC] = {KNOWN | INSN, HV_EXIT_UNDEFINED, NULL},
	[EXIT_HLT] = {KNOWN | INSN, HV_EXIT_HLT, NULL},
	[EXIT_INVD] = {KNOWN | INSN, HV_EXIT_WBINVD, NULL},
	[EXIT_RDPMC] = {KNOWN | INSN, HV_EXIT_UNDEFINED, NULL},
	[EXIT_RSM] = {KNOWN | INSN, HV_EXIT_UNDEFINED, NULL},
	[EXIT_VMCALL] = {KNOWN | INSN, HV_EXIT_HYPERCALL, NULL},
	[EXIT_VMCLEAR... EXIT_VMXON] = {KNOWN | INSN, HV_EXIT_UNDEFINED, NULL},
	[EXIT_CR] = {KNOWN, HV_EXIT_CR, NULL},
	[EXIT_DR] = {KNOWN, HV_EXIT_DR, NULL},
	[EXIT_IO] = {KNOWN | INSN, HV_EXIT_IO, decode_io},
	[EXIT_RDMSR] = {KNOWN | INSN, HV_EXIT_MSR_READ, NULL},
	[EXIT_WRMSR] = {KNOWN | INSN, HV_EXIT_MSR_WRITE, NULL},
	[EXIT_BAD_GUEST_STATE] = {KNOWN, HV_EXIT_FAIL_ENTRY, decode_bad_state},
	[EXIT_BAD_MSR_LOAD] = {KNOWN, HV_EXIT_FAIL_ENTRY, decode_number},
	[EXIT_MWAIT] = {KNOWN | INSN, HV_EXIT_UNDEFINED, NULL},
	[EXIT_MONITOR] = {KNOWN | INSN, HV_EXIT_UNDEFINED, NULL},
	[EXIT_PAUSE] = {KNOWN | INSN, HV_EXIT_PAUSE, NULL},
	[EXIT_MC_ENTRY] = {KNOWN, HV_EXIT_MC, NULL},
	[EXIT_TPR_THRESHOLD] = {KNOWN, HV_EXIT_WINDOW, NULL},
	[EXIT_APIC_ACCESS] = {KNOWN | DELIVERY, HV_EXIT_NPF, decode_apic_access},
	[EXIT_VIRTUALIZED_EOI] = {KNOWN, HV_EXIT_EOI, decode_qualification},
	[EXIT_APIC_WRITE] = {KNOWN, HV_EXIT_APIC_WRITE, decode_qualification},
	[EXIT_EPT_VIOLATION] = {KNOWN | DELIVERY, HV_EXIT_NPF, decode_violation},
	[EXIT_INVEPT] = {KNOWN | INSN, HV_EXIT_UNDEFINED, NULL},
	/* as if the timer's interrupt had come: whatever waits is taken */
	[EXIT_PREEMPTION_TIMER] = {KNOWN, HV_EXIT_EXTINT, NULL},
	[EXIT_INVVPID] = {KNOWN | INSN, HV_EXIT_UNDEFINED, NULL},
	[EXIT_WBINVD] = {KNOWN | INSN, HV_EXIT_WBINVD, NULL},
	[EXIT_XSETBV] = {KNOWN, HV_EXIT_XSETBV, NULL},
	[EXIT_VMFUNC] = {KNOWN | INSN, HV_EXIT_UNDEFINED, NULL},
};

bool vmx_exit_in_delivery(u32 reason)
{
	return reason < EXIT_REASONS && (exits[reason].how & DELIVERY);
}

void vmx_exit_decode(struct vmx_vcpu *s, u32 reason)
{
	struct hv_exit *x = &s->vcpu.exit;
	u32 basic = reason & ~EXIT_ENTRY_FAILED;

	if (basic >= EXIT_REASONS || !exits[basic].how) {
		x->reason = HV_EXIT_UNKNOWN;
		x->number = reason;
		return;
	}
	x->reason = exits[basic].reason;
	x->insn_len = exits[basic].how & INSN ? (u8)vmcs_read32(VMCS_EXIT_INSTRUCTION_LENGTH) : 0;
	if (exits[basic].decode)
		exits[basic].decode(s, x);
}
