/*
 * From exit code to neutral exit. AMD APM 2, Appendix C "SVM Intercept Exit Codes".
 */
#include "svm/svm.h"

static void decode_exception(const struct vmcb *b, struct hv_exit *x)
{
	x->exception.vector = (u8)(b->exit_code - VMEXIT_EXCP0);
	x->exception.has_error = x->exception.vector == EXC_AC;
	x->exception.error = (u32)b->exit_info1;
}

static void decode_io(const struct vmcb *b, struct hv_exit *x)
{
	/* given even without nRIP save */
	u64 info = b->exit_info1, length = b->exit_info2 - b->rip;

	x->io.port = (u16)(info >> IOIO_PORT_SHIFT);
	x->io.size = info >> IOIO_SIZE_SHIFT & 7;
	x->io.in = info & IOIO_IN;
	x->io.string = info & IOIO_STR;
	x->insn_len = length <= 15 ? (u8)length : 0;
}

static void decode_msr(const struct vmcb *b, struct hv_exit *x)
{
	x->reason = b->exit_info1 & 1 ? HV_EXIT_MSR_WRITE : HV_EXIT_MSR_READ;
}

static void decode_npf(const struct vmcb *b, struct hv_exit *x)
{
	x->reason = HV_EXIT_NPF;
	x->npf.gpa = gpa(b->exit_info2);
	x->npf.write = b->exit_info1 & PF_WRITE;
	x->npf.fetch = b->exit_info1 & PF_FETCH;
	x->npf.table_walk = b->exit_info1 & NPF_TABLE_WALK;
}

static void decode_number(const struct vmcb *b, struct hv_exit *x) { x->number = b->exit_code; }

/* When the event leaves the guest. Of those with an instruction, nRIP tells where it ends. */
enum { ASKED = 1, ALWAYS = 2, INSN = 4 };

/* Codes that have no row (how = 0) are not intercepted. */
static const struct exit_row {
	u8 how;
	enum hv_exit_reason reason;
	void (*decode)(const struct vmcb *b, struct hv_exit *x);
} exits[VMEXIT_LOW_CODES] = {
	[VMEXIT_CR0_WRITE] = {ALWAYS, HV_EXIT_CR, NULL},
	[VMEXIT_CR4_READ] = {ALWAYS, HV_EXIT_CR, NULL},
	[VMEXIT_CR4_WRITE] = {ALWAYS, HV_EXIT_CR, NULL},
	[VMEXIT_DR0_READ... VMEXIT_DR15_WRITE] = {ALWAYS, HV_EXIT_DR, NULL},
	/* #AC and #DB can fault for ever while they are delivered: each must pass through here. */
	[VMEXIT_EXCP0 + EXC_DB] = {ALWAYS, HV_EXIT_EXCEPTION, decode_exception},
	[VMEXIT_EXCP0 + EXC_AC] = {ALWAYS, HV_EXIT_EXCEPTION, decode_exception},
	[VMEXIT_EXCP0 + EXC_MC] = {ALWAYS, HV_EXIT_MC, NULL},
	[VMEXIT_INTR] = {ALWAYS, HV_EXIT_EXTINT, NULL},
	[VMEXIT_NMI] = {ALWAYS, HV_EXIT_NMI, NULL},
	[VMEXIT_INIT] = {ALWAYS, HV_EXIT_UNKNOWN, decode_number},
	[VMEXIT_VINTR] = {ASKED, HV_EXIT_WINDOW, NULL},
	[VMEXIT_RDPMC] = {ALWAYS | INSN, HV_EXIT_UNDEFINED, NULL},
	[VMEXIT_CPUID] = {ALWAYS | INSN, HV_EXIT_CPUID, NULL},
	[VMEXIT_RSM] = {ALWAYS | INSN, HV_EXIT_UNDEFINED, NULL},
	[VMEXIT_IRET] = {ASKED, HV_EXIT_WINDOW, NULL},
	[VMEXIT_INVD] = {ALWAYS | INSN, HV_EXIT_WBINVD, NULL},
	[VMEXIT_PAUSE] = {ASKED | INSN, HV_EXIT_PAUSE, NULL},
	[VMEXIT_HLT] = {ALWAYS | INSN, HV_EXIT_HLT, NULL},
	[VMEXIT_INVLPGA] = {ALWAYS | INSN, HV_EXIT_UNDEFINED, NULL},
	[VMEXIT_IOIO] = {ALWAYS, HV_EXIT_IO, decode_io},
	[VMEXIT_MSR] = {ALWAYS | INSN, HV_EXIT_MSR_READ, decode_msr},
	[VMEXIT_SHUTDOWN] = {ALWAYS, HV_EXIT_SHUTDOWN, NULL},
	[VMEXIT_VMRUN] = {ALWAYS | INSN, HV_EXIT_UNDEFINED, NULL},
	[VMEXIT_VMMCALL] = {ALWAYS | INSN, HV_EXIT_HYPERCALL, NULL},
	[VMEXIT_VMLOAD... VMEXIT_SKINIT] = {ALWAYS | INSN, HV_EXIT_UNDEFINED, NULL},
	[VMEXIT_WBINVD] = {ALWAYS | INSN, HV_EXIT_WBINVD, NULL},
	[VMEXIT_MONITOR... VMEXIT_MWAIT_ARMED] = {ALWAYS | INSN, HV_EXIT_UNDEFINED, NULL},
	[VMEXIT_XSETBV] = {ALWAYS, HV_EXIT_XSETBV, NULL},
	[VMEXIT_RDPRU] = {ALWAYS | INSN, HV_EXIT_UNDEFINED, NULL},
};

void svm_intercepts_init(struct vmcb *b)
{
	for (u32 code = 0; code < VMEXIT_LOW_CODES; code++)
		if (exits[code].how & ALWAYS)
			b->intercept[code / 32] |= 1u << code % 32;
}

static u64 code_cr3(const struct vmcb *b)
{
	return likely(b->efer & EFER_LMA && b->cs.attrib & SEG_ATTR_L) ? b->cr3 : ~0ull;
}

void svm_exit_decode(const struct vmcb *b, struct hv_exit *x)
{
	u64 code = b->exit_code;

	x->insn_len = 0;
	if (code < VMEXIT_LOW_CODES && exits[code].how) {
		const struct exit_row *row = &exits[code];
		u64 length = b->next_rip - b->rip;

		x->reason = row->reason;
		if (cpu_facts.svm_nrip && (row->how & INSN) && length <= 15)
			x->insn_len = (u8)length;
		else
			x->code_cr3 = code_cr3(b);
		if (row->decode)
			row->decode(b, x);
		return;
	}
	decode_number(b, x);
	x->reason = svm_refused(code) ? HV_EXIT_FAIL_ENTRY : HV_EXIT_UNKNOWN;
	if (code == VMEXIT_NPF)
		decode_npf(b, x);
}
