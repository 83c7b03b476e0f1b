/*
 * System instructions that leave the guest and are too rare for the kernel: MOV to and from control
 * and debug registers, CLTS, LMSW, XGETBV, XSETBV, RDMSR, WRMSR. Intel SDM 2, on each; SDM 3,
 * "Control Registers", "Debug Registers".
 */
#include "arch/msr.h"
#include "lib/string.h"
#include "vmm/emul_priv.h"

/* ---- Control registers and EFER ---- */

/* SDM 3, "PDPTE Registers" */
static bool reads_pdptes(const struct vcpu_state *s, const u64 *reg, u64 changed)
{
	return reg == &s->cr3 || (reg == &s->cr0 && changed & (CR0_CD | CR0_NW | CR0_PG)) ||
	       (reg == &s->cr4 && changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP));
}

/*
 * LMA follows from LME and PG; then the kernel says whether any CPU takes it. It has all of the
 * group then: nothing of it is left to be set with the rest.
 */
static enum emul_result control_write(struct emul *e, u64 *reg, u64 value)
{
	struct vcpu_state *s = e->s;
	u64 old = *reg, efer = s->efer, pdpte[ARRAY_SIZE(s->pdpte)];

	memcpy(pdpte, s->pdpte, sizeof(pdpte));
	*reg = value;
	s->efer &= ~(u64)EFER_LMA;
	if (s->efer & EFER_LME && s->cr0 & CR0_PG)
		s->efer |= EFER_LMA;
	if ((!reads_pdptes(s, reg, old ^ value) || emul_load_pdptes(e)) && e->ops->set_control(e))
		return EMUL_OK;
	memcpy(s->pdpte, pdpte, sizeof(pdpte));
	s->efer = efer;
	*reg = old;
	return emul_fault(e, EXC_GP, 0);
}

/* Long mode begins and ends outside of 64-bit code. */
static enum emul_result cr0_write(struct emul *e, u64 value)
{
	struct vcpu_state *s = e->s;
	bool long_code = s->efer & EFER_LME && s->seg[SEG_CS].attr & SEG_ATTR_L;

	if (value >> 32 || (long_code && (value ^ s->cr0) & CR0_PG))
		return emul_fault(e, EXC_GP, 0);
	return control_write(e, &s->cr0, (value & CR0_DEFINED) | CR0_ET);
}

static enum emul_result cr4_write(struct emul *e, u64 value)
{
	struct vcpu_state *s = e->s;

	if (value & ~s->cr4 & CR4_PCIDE && s->cr3 & 0xfff)
		return emul_fault(e, EXC_GP, 0);
	return control_write(e, &s->cr4, value);
}

static enum emul_result efer_write(struct emul *e, u64 value)
{
	struct vcpu_state *s = e->s;

	if (s->cr0 & CR0_PG && (value ^ s->efer) & EFER_LME)
		return emul_fault(e, EXC_GP, 0);
	return control_write(e, &s->efer, value);
}

static u64 *control_register(struct vcpu_state *s, u8 n)
{
	switch (n) {
	case 0: return &s->cr0;
	case 2: return &s->cr2;
	case 3: return &s->cr3;
	case 4: return &s->cr4;
	case 8: return &s->cr8;
	default: return NULL;
	}
}

enum emul_result emul_mov_cr(struct emul *e)
{
	struct vcpu_state *s = e->s;
	u64 *reg = control_register(s, e->insn.reg), *gpr = &s->gpr[e->insn.rm & 15];
	bool wide = e->mode == INSN_MODE_64;
	u64 value = wide ? *gpr : (u32)*gpr;

	if (!reg)
		return emul_fault(e, EXC_UD, 0);
	if (e->cpl)
		return emul_fault(e, EXC_GP, 0);
	if (e->insn.opcode == 0x20) { /* MOV from CR */
		*gpr = wide ? *reg : (u32)*reg;
		return EMUL_OK;
	}
	switch (e->insn.reg) {
	case 0: return cr0_write(e, value);
	case 3: /* bit 63 asks to keep translations */
		return control_write(e, reg, s->cr4 & CR4_PCIDE ? value & ~BIT(63) : value);
	case 4: return cr4_write(e, value);
	default: return control_write(e, reg, value);
	}
}

enum emul_result emul_clts(struct emul *e)
{
	if (e->cpl)
		return emul_fault(e, EXC_GP, 0);
	return control_write(e, &e->s->cr0, e->s->cr0 & ~(u64)CR0_TS);
}

/* ---- MSRs ---- */

enum emul_result emul_msr(struct emul *e)
{
	struct vcpu_state *s = e->s;
	bool write = e->insn.opcode == 0x30;
	u32 msr = (u32)s->gpr[GPR_RCX];
	u64 value = write ? (u32)s->gpr[GPR_RAX] | s->gpr[GPR_RDX] << 32 : s->efer;
	enum emul_result r = EMUL_OK;

	if (e->cpl)
		return emul_fault(e, EXC_GP, 0);
	if (msr == MSR_EFER && write)
		return efer_write(e, value);
	if (msr != MSR_EFER)
		r = e->ops->msr(e, msr, write, &value);
	if (r == EMUL_FAULT)
		return emul_fault(e, EXC_GP, 0);
	if (r == EMUL_KERNEL)
		e->carry_out = write ? RUN_DO_MSR_WRITE : RUN_DO_MSR_READ;
	if (r != EMUL_OK || write)
		return r;
	s->gpr[GPR_RAX] = (u32)value;
	s->gpr[GPR_RDX] = value >> 32;
	return EMUL_OK;
}

/* ---- Debug registers ---- */

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

/* ---- 0F 01 ---- */

static enum emul_result do_xsetbv(struct emul *e)
{
	struct vcpu_state *s = e->s;
	u64 value = (u32)s->gpr[GPR_RAX] | s->gpr[GPR_RDX] << 32;

	if (!(s->cr4 & CR4_OSXSAVE))
		return emul_fault(e, EXC_UD, 0);
	if (e->cpl || (u32)s->gpr[GPR_RCX] || !(value & XCR0_X87) || value & ~e->xcr0 ||
	    (value & XCR0_AVX && !(value & XCR0_SSE)))
		return emul_fault(e, EXC_GP, 0);
	return control_write(e, &s->xcr0, value);
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
	u64 kept = e->s->cr0 & ~(bits & ~(u64)CR0_PE);
	struct emul_operand o;
	enum emul_result r;

	if (e->cpl)
		return emul_fault(e, EXC_GP, 0);
	r = emul_operand_rm(e, 2, 0, &o);
	if (r)
		return r;
	return control_write(e, &e->s->cr0, kept | (emul_operand_read(e, &o) & bits));
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
