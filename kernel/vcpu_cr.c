#include "kernel/vcpu_run.h"

#include "arch/cpu.h"
#include "hv/up.h"
#include "hv/vendor.h"
#include "kernel/vlapic.h"

#define DR_ALL 0xffffffffull
#define DR7_GD (1ull << 13)

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
	u16 lmsw;
};

static bool decode_cr(struct vcpu *v, struct cr_access *a)
{
	const struct hv_exit *x = &v->exit;
	struct insn insn;

	*a = (struct cr_access){x->cr.op, x->cr.cr, x->cr.gpr, x->insn_len, x->cr.lmsw};
	if (a->op != CR_OP_UNKNOWN && a->length)
		return true;
	if (!guest_decode(v, &insn))
		return false;
	a->length = insn.length;
	switch (insn.kind) {
	case INSN_CR_WRITE: a->op = CR_OP_WRITE; break;
	case INSN_CR_READ: a->op = CR_OP_READ; break;
	case INSN_CLTS: a->op = CR_OP_CLTS; return true;
	case INSN_LMSW:
		a->op = CR_OP_LMSW;
		a->lmsw = (u16)v->priv->regs.gpr[insn.rm & 15];
		return !insn.has_mem || guest_read_operand(v, &insn, &a->lmsw, sizeof(a->lmsw));
	default: return false;
	}
	a->cr = insn.reg;
	a->gpr = insn.rm & 15;
	return true;
}

enum vcpu_step vcpu_exit_cr(struct vcpu *v, u32 length)
{
	u64 *gpr = v->priv->regs.gpr;
	struct cr_access a;
	struct hv_mode m;
	bool ok = true;

	if (!decode_cr(v, &a)) {
		if (vm_log_once(v->vm, 0xf0000000))
			log_info("vm %u: control register access at rip %#lx was not decoded",
				 v->vm->id, v->priv->regs.rip);
		return vcpu_fault(v, EXC_UD);
	}
	hv_ops->read_mode(v, &m);
	switch (a.op) {
	case CR_OP_WRITE: ok = write_cr(v, &m, a.cr, gpr[a.gpr]); break;
	case CR_OP_READ:
		gpr[a.gpr] = hv_mode_64(&m) ? read_cr(v, &m, a.cr) : (u32)read_cr(v, &m, a.cr);
		break;
	case CR_OP_CLTS: hv_ops->set_cr(v, 0, m.cr0 & ~(u64)CR0_TS); break;
	default: /* LMSW: PE can be set, never cleared */
		ok = write_cr(v, &m, 0, (m.cr0 & ~0xeull) | (a.lmsw & 0xf));
		break;
	}
	return ok ? vcpu_skip(v, a.length) : vcpu_fault(v, EXC_GP);
}

/* ---- DR exits ---- */

static bool decode_dr(struct vcpu *v, u32 *length)
{
	struct hv_exit *x = &v->exit;
	struct insn insn;

	*length = x->insn_len;
	if (x->dr.decoded && *length)
		return true;
	if (!guest_decode(v, &insn) || (insn.kind != INSN_DR_WRITE && insn.kind != INSN_DR_READ))
		return false;
	*length = insn.length;
	x->dr.dr = insn.reg & 7;
	x->dr.gpr = insn.rm & 15;
	x->dr.write = insn.kind == INSN_DR_WRITE;
	return true;
}

/* DR6 and DR7 through the state group: their fixed bits are the back-end's. */
static u8 access_dr(struct vcpu *v, const struct hv_mode *m)
{
	const struct hv_exit *x = &v->exit;
	struct vcpu_state *s = v->scratch;
	u64 *reg, *gpr = &v->priv->regs.gpr[x->dr.gpr];
	u32 dr = x->dr.dr;

	if (dr == 4 || dr == 5) {
		if (m->cr4 & CR4_DE)
			return EXC_UD;
		dr += 2;
	}
	hv_ops->get_state(v, s, STATE_DR);
	if (s->dr7 & DR7_GD) {
		s->dr7 &= ~DR7_GD;
		s->dr6 |= DR6_BD;
		return hv_ops->set_state(v, s, STATE_DR) ? EXC_GP : EXC_DB;
	}
	reg = dr == 6 ? &s->dr6 : dr == 7 ? &s->dr7 : &s->dr[dr];
	if (!x->dr.write) {
		*gpr = hv_mode_64(m) ? *reg : (u32)*reg;
		return 0;
	}
	if (dr >= 6 && hv_mode_64(m) && *gpr & ~DR_ALL)
		return EXC_GP;
	*reg = hv_mode_64(m) ? *gpr : (u32)*gpr;
	return hv_ops->set_state(v, s, STATE_DR) ? EXC_GP : 0;
}

enum vcpu_step vcpu_exit_dr(struct vcpu *v, u32 length)
{
	struct hv_mode m;
	u8 fault;

	if (!decode_dr(v, &length))
		return vcpu_fault(v, EXC_UD);

	hv_ops->read_mode(v, &m);
	fault = m.cpl ? EXC_GP : access_dr(v, &m);
	return fault ? vcpu_fault(v, fault) : vcpu_skip(v, length);
}

/* ---- XSETBV ---- */

enum vcpu_step vcpu_exit_xsetbv(struct vcpu *v, u32 length)
{
	const u64 *gpr = v->priv->regs.gpr;
	u64 value = (u32)gpr[GPR_RAX] | gpr[GPR_RDX] << 32;
	struct hv_mode m;

	hv_ops->read_mode(v, &m);
	if (!(m.cr4 & CR4_OSXSAVE))
		return vcpu_fault(v, EXC_UD);

	if (m.cpl || (u32)gpr[GPR_RCX] || !fpu_xcr0_valid(value))
		return vcpu_fault(v, EXC_GP);

	fpu_set_xcr0(v, value);
	return vcpu_skip(v, length);
}
