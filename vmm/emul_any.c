/*
 * Code in a mode that the CPU can't run, instruction by instruction: real mode on VT-x without
 * "unrestricted guest", and what it takes to get into protected mode. What the kernel does for
 * other modes too (CPUID, the local APIC's MSRs) it is asked for.
 */
#include "vmm/emul_priv.h"

static enum emul_result do_cpuid(struct emul *e)
{
	e->carry_out = RUN_DO_CPUID;
	return EMUL_KERNEL;
}

static enum emul_result do_nothing(struct emul *e) { return EMUL_OK; }
static enum emul_result do_undefined(struct emul *e) { return emul_fault(e, EXC_UD, 0); }

static enum emul_result do_rdtsc(struct emul *e)
{
	u64 now = __builtin_ia32_rdtsc() + e->tsc_offset;

	e->s->gpr[GPR_RAX] = (u32)now;
	e->s->gpr[GPR_RDX] = now >> 32;
	return EMUL_OK;
}

/* LLDT and LTR; the others of 0F 00 are no instructions in real mode. */
static enum emul_result do_group_6(struct emul *e)
{
	u8 kind = e->insn.modrm >> 3 & 7;
	struct emul_operand o;
	struct seg_state g;
	enum emul_result r;
	u16 selector;
	u64 raw;

	if (!emul_protected(e))
		return emul_fault(e, EXC_UD, 0);
	if (kind != 2 && kind != 3)
		return emul_unsupported(e, "no emulation of this opcode");
	r = emul_operand_rm(e, 2, 0, &o);
	if (r)
		return r;
	selector = (u16)emul_operand_read(e, &o);
	if (kind == 2) {
		r = emul_ldt(e, selector, EXC_GP, &g);
	} else {
		r = selector & 4 || !(selector & ~3u) ? emul_fault(e, EXC_GP, selector & ~3u)
						      : emul_descriptor(e, selector, EXC_GP, &raw);
		if (r)
			return r;
		emul_unpack(selector, raw | TSS_BUSY, &g);
		if ((raw >> 40 & 0x1f) != 9)
			return emul_fault(e, EXC_GP, selector & ~3u);
		r = g.attr & SEG_ATTR_P ? emul_descriptor_write(e, selector, raw | TSS_BUSY)
					: emul_fault(e, EXC_NP, selector & ~3u);
	}
	if (!r)
		emul_set_segment(e, kind == 2 ? SEG_LDTR : SEG_TR, &g);
	return r;
}

/* SGDT, SIDT, LGDT, LIDT. With 16-bit operands bits 31:24 of the base are not loaded. */
static enum emul_result do_table_register(struct emul *e, u8 kind)
{
	struct table_state *t = kind & 1 ? &e->s->idtr : &e->s->gdtr;
	bool load = kind & 2;
	struct emul_span sp;
	enum emul_result r;

	if (!e->insn.has_mem)
		return emul_fault(e, EXC_UD, 0);
	r = emul_map(e, e->insn.seg, emul_effective(e), 6, load ? 0 : EMUL_WRITE, &sp);
	if (r)
		return r;
	if (!load) {
		emul_span_write(e, &sp, t->limit | t->base << 16);
		return EMUL_OK;
	}
	u64 both = emul_span_read(e, &sp);

	t->limit = both & 0xffff;
	t->base = both >> 16 & (e->insn.op_size == 2 ? 0xffffff : 0xffffffff);
	e->dirty |= STATE_SEG;
	return EMUL_OK;
}

static enum emul_result do_smsw(struct emul *e)
{
	struct emul_operand o;
	enum emul_result r =
		emul_operand_rm(e, e->insn.has_mem ? 2 : e->insn.op_size, EMUL_WRITE, &o);

	return r ? r : emul_operand_write(e, &o, 0, e->s->cr0, false);
}

static enum emul_result do_group_7(struct emul *e)
{
	u8 kind = e->insn.modrm >> 3 & 7;

	if (e->cpl)
		return emul_unsupported(e, "a system instruction outside of ring 0");
	if (e->insn.modrm == 0xd0 || e->insn.modrm == 0xd1) /* XGETBV, XSETBV */
		return emul_group_7(e);
	if (kind < 4 && e->insn.has_mem)
		return do_table_register(e, kind);
	switch (kind) {
	case 4: return do_smsw(e);
	case 6: return emul_group_7(e);				    /* LMSW */
	case 7: return e->insn.has_mem ? EMUL_OK : do_undefined(e); /* INVLPG: no translations */
	default: return do_undefined(e);
	}
}

static const emul_fn system_0f[256] = {
	[0x00] = do_group_6,   [0x01] = do_group_7, [0x08 ... 0x09] = do_nothing, /* INVD, WBINVD */
	[0x0b] = do_undefined, [0x31] = do_rdtsc,   [0xa2] = do_cpuid,
};

emul_fn emul_any(const struct emul *e)
{
	emul_fn fn = e->insn.map == INSN_MAP_0F ? system_0f[e->insn.opcode] : NULL;

	fn = fn ? fn : emul_flow(e);
	return fn ? fn : emul_integer(e);
}

/* Might the kernel have an interrupt for it? */
static bool open(const struct vcpu_state *s)
{
	return s->rflags & RFLAGS_IF && !s->event.sti_blocked;
}

/* A WRMSR may have changed the copies that an emulator has: TSC offset, CR8. */
static bool is_wrmsr(const struct insn *i) { return i->map == INSN_MAP_0F && i->opcode == 0x30; }

/* True: it is for the kernel to look what comes next. */
static bool for_the_kernel(const struct emul *e, bool was_open, bool nmi_was_blocked)
{
	const struct vcpu_state *s = e->s;

	return is_wrmsr(&e->insn) || s->event.activity != VCPU_RUNNABLE || s->cr0 & CR0_PE ||
	       (open(s) && !was_open) || (nmi_was_blocked && !s->event.nmi_blocked);
}

static enum emul_result one(struct emul *e)
{
	if (e->s->event.injecting >> 31)
		return emul_deliver(e);
	if (e->s->efer & EFER_LMA || e->s->rflags & RFLAGS_VM)
		return emul_unsupported(e, "a mode that the CPU should run");
	return emul_step(e);
}

enum emul_result emul_run(struct emul *e, u32 steps)
{
	enum emul_result r = EMUL_OK;
	u32 dirty = 0;

	e->any = true;
	while (steps-- && (r == EMUL_OK || r == EMUL_FAULT)) {
		bool was_open = open(e->s), nmi_was_blocked = e->s->event.nmi_blocked;
		u64 rip = e->s->rip;

		r = one(e);
		dirty |= e->dirty;
		/* a string instruction that goes on has done as much as all the others */
		if (r == EMUL_OK &&
		    (for_the_kernel(e, was_open, nmi_was_blocked) ||
		     (e->s->rip == rip && e->insn.prefixes & (INSN_P_REP | INSN_P_REPNE))))
			break;
	}
	e->any = false;
	e->dirty = dirty;
	return r == EMUL_FAULT || r == EMUL_RETRY ? EMUL_OK : r;
}
