/*
 * System instructions that leave the guest and are too rare for the kernel: MOV to and from debug
 * registers, LMSW, XGETBV, XSETBV. Intel SDM 2, on each; SDM 3, "Debug Registers".
 */
#include "vmm/emul_priv.h"

/* The register that a debug-register number names, DR4 and DR5 as the others without CR4.DE. */
static u64 *debug_register(struct vcpu_state *s, u8 n)
{
	if (n > 7 || ((n == 4 || n == 5) && s->cr4 & CR4_DE))
		return NULL;
	n |= n > 3 ? 2 : 0;
	return n == 6 ? &s->dr6 : n == 7 ? &s->dr7 : &s->dr[n];
}

enum emul_result emul_mov_dr(struct emul *e)
{
	struct vcpu_state *s = e->s;
	u64 *reg = debug_register(s, e->insn.reg), *gpr = &s->gpr[e->insn.rm & 15];
	bool wide = e->mode == INSN_MODE_64;

	if (!reg)
		return emul_fault(e, EXC_UD, 0);
	if (e->cpl)
		return emul_fault(e, EXC_GP, 0);
	if (s->dr7 & DR7_GD) {
		s->dr7 &= ~DR7_GD;
		s->dr6 |= DR6_BD;
		e->dirty |= STATE_DR;
		return emul_fault(e, EXC_DB, 0);
	}
	if (e->insn.opcode == 0x21) { /* MOV from DR */
		*gpr = wide ? *reg : (u32)*reg;
		return EMUL_OK;
	}
	if (wide && (reg == &s->dr6 || reg == &s->dr7) && *gpr >> 32)
		return emul_fault(e, EXC_GP, 0);
	*reg = wide ? *gpr : (u32)*gpr;
	e->dirty |= STATE_DR;
	return EMUL_OK;
}

static enum emul_result do_xsetbv(struct emul *e)
{
	struct vcpu_state *s = e->s;
	u64 value = (u32)s->gpr[GPR_RAX] | s->gpr[GPR_RDX] << 32;

	if (!(s->cr4 & CR4_OSXSAVE))
		return emul_fault(e, EXC_UD, 0);
	if (e->cpl || (u32)s->gpr[GPR_RCX] || !(value & XCR0_X87) || value & ~e->xcr0 ||
	    (value & XCR0_AVX && !(value & XCR0_SSE)))
		return emul_fault(e, EXC_GP, 0);
	s->xcr0 = value;
	e->dirty |= STATE_CR;
	return EMUL_OK;
}

static enum emul_result do_xgetbv(struct emul *e)
{
	struct vcpu_state *s = e->s;

	if (!(s->cr4 & CR4_OSXSAVE))
		return emul_fault(e, EXC_UD, 0);
	if ((u32)s->gpr[GPR_RCX])
		return emul_fault(e, EXC_GP, 0);
	s->gpr[GPR_RAX] = (u32)s->xcr0;
	s->gpr[GPR_RDX] = s->xcr0 >> 32;
	return EMUL_OK;
}

/* PE can be set by it, never cleared. */
static enum emul_result do_lmsw(struct emul *e)
{
	const u64 bits = CR0_PE | CR0_MP | CR0_EM | CR0_TS;
	struct emul_operand o;
	enum emul_result r;

	if (e->cpl)
		return emul_fault(e, EXC_GP, 0);
	r = emul_operand_rm(e, 2, 0, &o);
	if (r)
		return r;
	e->s->cr0 = (e->s->cr0 & ~(bits & ~(u64)CR0_PE)) | (emul_operand_read(e, &o) & bits);
	e->dirty |= STATE_CR;
	return EMUL_OK;
}

enum emul_result emul_group_7(struct emul *e)
{
	if (e->insn.modrm == 0xd0)
		return do_xgetbv(e);
	if (e->insn.modrm == 0xd1)
		return do_xsetbv(e);
	if ((e->insn.modrm >> 3 & 7) == 6)
		return do_lmsw(e);
	return emul_unsupported(e, "no emulation of this opcode");
}
