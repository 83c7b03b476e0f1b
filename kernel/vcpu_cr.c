#include "kernel/vcpu_run.h"

#include "arch/cpu.h"
#include "hv/up.h"
#include "hv/vendor.h"
#include "kernel/vlapic.h"

/* ---- EFER ---- */

u64 vcpu_efer_read(struct vcpu *v)
{
	struct hv_mode m;

	hv_ops->read_mode(v, &m);
	return m.efer;
}

bool vcpu_efer_write(struct vcpu *v, u64 value)
{
	struct hv_mode m;

	hv_ops->read_mode(v, &m);
	if (!efer_check(&m, &value))
		return false;
	hv_ops->set_cr(v, CR_EFER, value);
	return true;
}

/* ---- CR exits ---- */

static bool write_cr(struct vcpu *v, const struct hv_mode *m, u32 cr, u64 value)
{
	if (!hv_mode_64(m))
		value = (u32)value;
	switch (cr) {
	case 0:
		if (!cr0_check(m, &value))
			return false;
		break;
	case 3: break;
	case 4:
		if (!cr4_check(m, value))
			return false;
		break;
	case 8:
		if (value & ~15ull)
			return false;
		vlapic_cr8_set(&v->lapic, value);
		return true;
	default: return false;
	}
	hv_ops->set_cr(v, cr, value);
	return true;
}

static u64 read_cr(struct vcpu *v, const struct hv_mode *m, u32 cr)
{
	switch (cr) {
	case 0: return m->cr0;
	case 2: return v->priv->regs.cr2;
	case 3: return m->cr3;
	case 4: return m->cr4;
	default: return vlapic_cr8(&v->lapic);
	}
}

/* What the instruction does, from the CPU's decoding or from ours. */
struct cr_access {
	u32 op; /* enum hv_cr_op */
	u32 cr;
	u32 gpr;
	u32 length;
};

static bool decode_cr(struct vcpu *v, struct cr_access *a)
{
	const struct hv_exit *x = &v->exit;
	const struct insn *insn;

	*a = (struct cr_access){x->cr.op, x->cr.cr, x->cr.gpr, x->insn_len};
	if (a->op != CR_OP_UNKNOWN && a->length)
		return true;
	insn = guest_decode(v);
	if (!insn)
		return false;
	a->length = insn->length;
	switch (insn->kind) {
	case INSN_CR_WRITE: a->op = CR_OP_WRITE; break;
	case INSN_CR_READ: a->op = CR_OP_READ; break;
	case INSN_CLTS: a->op = CR_OP_CLTS; return true;
	default: return false;
	}
	a->cr = insn->reg;
	a->gpr = insn->rm & 15;
	return true;
}

enum vcpu_step vcpu_exit_cr(struct vcpu *v, u32 length)
{
	u64 *gpr = v->priv->regs.gpr;
	struct cr_access a;
	struct hv_mode m;
	bool ok = true;

	if (!decode_cr(v, &a)) /* LMSW, or it is not there any more */
		return vcpu_exit_emulate(v, 0);
	hv_ops->read_mode(v, &m);
	switch (a.op) {
	case CR_OP_WRITE: ok = write_cr(v, &m, a.cr, gpr[a.gpr]); break;
	case CR_OP_READ:
		gpr[a.gpr] = hv_mode_64(&m) ? read_cr(v, &m, a.cr) : (u32)read_cr(v, &m, a.cr);
		break;
	default: hv_ops->set_cr(v, 0, m.cr0 & ~(u64)CR0_TS); break; /* CLTS */
	}
	return ok ? vcpu_skip(v, a.length) : vcpu_fault(v, EXC_GP);
}
