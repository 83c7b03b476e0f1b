/* From exit code to neutral exit. AMD APM 2, Appendix C "SVM Intercept Exit Codes", and "Decode Assists". */
#include "svm/svm.h"

#include "lib/string.h"

static const u32 exceptions_with_error = 1u << EXC_DF | 1u << EXC_TS | 1u << EXC_NP | 1u << EXC_SS |
					  1u << EXC_GP | 1u << EXC_PF | 1u << EXC_AC | 1u << EXC_CP;

static void decode_exception(const struct vmcb *b, const struct svm_caps *caps, struct hv_exit *x)
{
	u8 vector = (u8)(b->exit_code - VMEXIT_EXCP0);

	x->exception.vector = vector;
	x->exception.has_error = exceptions_with_error >> vector & 1;
	x->exception.error = x->exception.has_error ? (u32)b->exit_info1 : 0;
	x->exception.address = vector == EXC_PF ? b->exit_info2 : 0;
}

static void decode_cr_write(const struct vmcb *b, const struct svm_caps *caps, struct hv_exit *x)
{
	x->cr.cr = (u8)(b->exit_code - VMEXIT_CR0_WRITE);
	x->cr.op = CR_OP_UNKNOWN;
	if (caps->decode_assists && (b->exit_info1 & CR_INFO_MOV)) { /* clear for CLTS and LMSW */
		x->cr.op = CR_OP_WRITE;
		x->cr.gpr = b->exit_info1 & CR_INFO_GPR;
	}
}

static void decode_dr(const struct vmcb *b, const struct svm_caps *caps, struct hv_exit *x)
{
	x->dr.write = b->exit_code >= VMEXIT_DR0_WRITE;
	x->dr.dr = b->exit_code & 0xf;
	x->dr.decoded = caps->decode_assists;
	x->dr.gpr = caps->decode_assists ? b->exit_info1 & CR_INFO_GPR : 0;
}

static void decode_io(const struct vmcb *b, const struct svm_caps *caps, struct hv_exit *x)
{
	u64 info = b->exit_info1, length = b->exit_info2 - b->rip; /* given even without nRIP save */

	x->io.port = (u16)(info >> IOIO_PORT_SHIFT);
	x->io.size = info >> IOIO_SIZE_SHIFT & 7;
	x->io.in = info & IOIO_IN;
	x->io.string = info & IOIO_STR;
	x->io.rep = info & IOIO_REP;
	x->insn_len = length <= 15 ? (u8)length : 0;
}

static void decode_msr(const struct vmcb *b, const struct svm_caps *caps, struct hv_exit *x)
{
	x->reason = b->exit_info1 & 1 ? HV_EXIT_MSR_WRITE : HV_EXIT_MSR_READ;
}

static void decode_npf(const struct vmcb *b, const struct svm_caps *caps, struct hv_exit *x)
{
	x->reason = HV_EXIT_NPF;
	x->npf.gpa = gpa(b->exit_info2);
	x->npf.present = b->exit_info1 & PF_PRESENT;
	x->npf.write = b->exit_info1 & PF_WRITE;
	x->npf.fetch = b->exit_info1 & PF_FETCH;
	x->npf.table_walk = b->exit_info1 & NPF_TABLE_WALK;
	if (caps->decode_assists && !x->npf.fetch) {
		x->insn_bytes = MIN(b->insn_count, (u8)sizeof(x->insn));
		memcpy(x->insn, b->insn_bytes, x->insn_bytes);
	}
}

static void decode_unknown(const struct vmcb *b, struct hv_exit *x)
{
	x->reason = HV_EXIT_UNKNOWN;
	x->unknown.raw = b->exit_code;
	x->unknown.info1 = b->exit_info1;
	x->unknown.info2 = b->exit_info2;
}

/* Codes that have no row (known = false) are not intercepted by this back-end. */
static const struct {
	bool known;
	bool insn; /* caused by an instruction: nRIP tells where it ends */
	enum hv_exit_reason reason;
	void (*decode)(const struct vmcb *b, const struct svm_caps *caps, struct hv_exit *x);
} exits[VMEXIT_LOW_CODES] = {
	[VMEXIT_CR0_WRITE ... VMEXIT_CR15_WRITE] = {true, true, HV_EXIT_CR, decode_cr_write},
	[VMEXIT_DR0_READ ... VMEXIT_DR15_WRITE] = {true, true, HV_EXIT_DR, decode_dr},
	[VMEXIT_EXCP0 ... VMEXIT_EXCP18 - 1] = {true, false, HV_EXIT_EXCEPTION, decode_exception},
	[VMEXIT_EXCP18] = {true, false, HV_EXIT_MC, NULL},
	[VMEXIT_EXCP18 + 1 ... VMEXIT_EXCP31] = {true, false, HV_EXIT_EXCEPTION, decode_exception},
	[VMEXIT_INTR] = {true, false, HV_EXIT_EXTINT, NULL},
	[VMEXIT_NMI] = {true, false, HV_EXIT_NMI, NULL},
	[VMEXIT_INIT] = {true, false, HV_EXIT_INIT, NULL},
	[VMEXIT_VINTR] = {true, false, HV_EXIT_IRQ_WINDOW, NULL},
	[VMEXIT_RDPMC] = {true, true, HV_EXIT_UNDEFINED, NULL},
	[VMEXIT_CPUID] = {true, true, HV_EXIT_CPUID, NULL},
	[VMEXIT_RSM] = {true, true, HV_EXIT_UNDEFINED, NULL},
	[VMEXIT_IRET] = {true, false, HV_EXIT_NMI_WINDOW, NULL},
	[VMEXIT_INVD] = {true, true, HV_EXIT_WBINVD, NULL},
	[VMEXIT_PAUSE] = {true, true, HV_EXIT_PAUSE, NULL},
	[VMEXIT_HLT] = {true, true, HV_EXIT_HLT, NULL},
	[VMEXIT_INVLPGA] = {true, true, HV_EXIT_UNDEFINED, NULL},
	[VMEXIT_IOIO] = {true, false, HV_EXIT_IO, decode_io},
	[VMEXIT_MSR] = {true, true, HV_EXIT_MSR_READ, decode_msr},
	[VMEXIT_SHUTDOWN] = {true, false, HV_EXIT_SHUTDOWN, NULL},
	[VMEXIT_VMRUN] = {true, true, HV_EXIT_UNDEFINED, NULL},
	[VMEXIT_VMMCALL] = {true, true, HV_EXIT_HYPERCALL, NULL},
	[VMEXIT_VMLOAD ... VMEXIT_SKINIT] = {true, true, HV_EXIT_UNDEFINED, NULL},
	[VMEXIT_WBINVD] = {true, true, HV_EXIT_WBINVD, NULL},
	[VMEXIT_MONITOR ... VMEXIT_MWAIT_ARMED] = {true, true, HV_EXIT_UNDEFINED, NULL},
	[VMEXIT_XSETBV] = {true, true, HV_EXIT_XSETBV, NULL},
	[VMEXIT_RDPRU] = {true, true, HV_EXIT_UNDEFINED, NULL},
};

void svm_exit_decode(const struct vmcb *b, const struct svm_caps *caps, struct hv_exit *x)
{
	u64 code = b->exit_code;

	x->insn_len = x->insn_bytes = 0;
	if (code < VMEXIT_LOW_CODES && exits[code].known) {
		u64 length = b->next_rip - b->rip;

		x->reason = exits[code].reason;
		if (caps->nrip && exits[code].insn && length <= 15)
			x->insn_len = (u8)length;
		if (exits[code].decode)
			exits[code].decode(b, caps, x);
		return;
	}
	if (code == VMEXIT_NPF) {
		decode_npf(b, caps, x);
		return;
	}
	decode_unknown(b, x);
	if (code == VMEXIT_INVALID || code == VMEXIT_BUSY)
		x->reason = HV_EXIT_FAIL_ENTRY;
}
