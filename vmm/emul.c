#include "vmm/emul.h"

#include "vmm/emul_priv.h"
#include "vmm/insn_forms.h"

enum emul_result emul_fault(struct emul *e, u8 vector, u32 error)
{
	e->vector = vector;
	e->error = error;
	e->has_error =
		e->s->cr0 & CR0_PE && (vector == EXC_PF || (vector >= EXC_TS && vector <= EXC_GP));
	return EMUL_FAULT;
}

enum emul_result emul_unsupported(struct emul *e, const char *why)
{
	e->why = why;
	return EMUL_UNSUPPORTED;
}

u32 emul_operand_bytes(const struct emul *e) { return e->insn.opcode & 1 ? e->insn.op_size : 1; }
static u32 operand_bytes(const struct emul *e) { return emul_operand_bytes(e); }

static u8 sub_opcode(const struct emul *e) { return e->insn.modrm >> 3 & 7; }

static bool has_lock(const struct emul *e) { return e->insn.prefixes & INSN_P_LOCK; }

/* Operand = operand op value. */
static enum emul_result alu_rm(struct emul *e, enum emul_alu_op op, u64 value)
{
	struct emul_operand o;
	u64 flags = e->s->rflags;
	enum emul_result r =
		emul_operand_rm(e, operand_bytes(e), op == ALU_CMP ? 0 : EMUL_WRITE, &o);

	if (r)
		return r;
	u64 old = emul_operand_read(e, &o), result = emul_alu(op, old, value, o.bytes, &flags);

	if (op != ALU_CMP)
		r = emul_operand_write(e, &o, old, result, has_lock(e));
	if (!r)
		e->s->rflags = flags;
	return r;
}

static enum emul_result do_alu(struct emul *e)
{
	enum emul_alu_op op = e->insn.opcode >> 3 & 7;
	u32 bytes = operand_bytes(e);
	struct emul_operand o;
	enum emul_result r;

	if (!(e->insn.opcode & 2))
		return alu_rm(e, op, emul_reg_read(e, e->insn.reg, bytes));
	r = emul_operand_rm(e, bytes, 0, &o);
	if (r)
		return r;
	u64 result = emul_alu(op, emul_reg_read(e, e->insn.reg, bytes), emul_operand_read(e, &o),
			      bytes, &e->s->rflags);

	if (op != ALU_CMP)
		emul_reg_write(e, e->insn.reg, bytes, result);
	return EMUL_OK;
}

static enum emul_result do_group_1(struct emul *e)
{
	return alu_rm(e, sub_opcode(e), (u64)e->insn.imm);
}

/* TEST r/m with a register or an immediate. */
static enum emul_result do_test(struct emul *e)
{
	struct emul_operand o;
	u32 bytes = operand_bytes(e);
	enum emul_result r = emul_operand_rm(e, bytes, 0, &o);

	if (r)
		return r;
	u64 value = e->insn.opcode < 0x90 ? emul_reg_read(e, e->insn.reg, bytes) : (u64)e->insn.imm;

	emul_alu(ALU_AND, emul_operand_read(e, &o), value, bytes, &e->s->rflags);
	return EMUL_OK;
}

/* XCHG locks with or without the prefix. */
static enum emul_result do_xchg(struct emul *e)
{
	struct emul_operand o;
	u32 bytes = operand_bytes(e);
	enum emul_result r = emul_operand_rm(e, bytes, EMUL_WRITE, &o);

	if (r)
		return r;
	u64 old = emul_operand_read(e, &o);

	r = emul_operand_write(e, &o, old, emul_reg_read(e, e->insn.reg, bytes), true);
	if (!r)
		emul_reg_write(e, e->insn.reg, bytes, old);
	return r;
}

static enum emul_result do_mov_store(struct emul *e)
{
	struct emul_operand o;
	u32 bytes = e->insn.map == INSN_MAP_0F ? e->insn.op_size : operand_bytes(e); /* MOVNTI */
	enum emul_result r = emul_operand_rm(e, bytes, EMUL_WRITE, &o);

	if (r)
		return r;
	return emul_operand_write(e, &o, 0, emul_reg_read(e, e->insn.reg, bytes), false);
}

static enum emul_result do_mov_load(struct emul *e)
{
	struct emul_operand o;
	u32 bytes = operand_bytes(e);
	enum emul_result r = emul_operand_rm(e, bytes, 0, &o);

	if (!r)
		emul_reg_write(e, e->insn.reg, bytes, emul_operand_read(e, &o));
	return r;
}

static enum emul_result do_mov_imm(struct emul *e)
{
	struct emul_operand o;
	enum emul_result r;

	if (sub_opcode(e))
		return emul_unsupported(e, "XABORT or XBEGIN");
	r = emul_operand_rm(e, operand_bytes(e), EMUL_WRITE, &o);
	return r ? r : emul_operand_write(e, &o, 0, (u64)e->insn.imm, false);
}

/* MOVZX, MOVSX (0F B6, B7, BE, BF) and MOVSXD (63). */
static enum emul_result do_mov_extend(struct emul *e)
{
	bool movsxd = e->insn.map == INSN_MAP_1, sign = movsxd || e->insn.opcode & 8;
	u32 bytes = movsxd ? 4 : e->insn.opcode & 1 ? 2 : 1;
	struct emul_operand o;
	enum emul_result r;

	if (movsxd && e->mode != INSN_MODE_64)
		return emul_unsupported(e, "ARPL");
	r = emul_operand_rm(e, bytes, 0, &o);
	if (r)
		return r;
	u64 value = emul_operand_read(e, &o);

	if (sign)
		value = (u64)((s64)(value << (64 - bytes * 8)) >> (64 - bytes * 8));
	emul_full_write(e, e->insn.reg, e->insn.op_size, value);
	return EMUL_OK;
}

static enum emul_result do_mov_from_seg(struct emul *e)
{
	struct emul_operand o;
	enum emul_result r;

	if (sub_opcode(e) > SEG_GS)
		return emul_fault(e, EXC_UD, 0);
	r = emul_operand_rm(e, e->insn.has_mem ? 2 : e->insn.op_size, EMUL_WRITE, &o);
	return r ? r : emul_operand_write(e, &o, 0, e->s->seg[sub_opcode(e)].selector, false);
}

static enum emul_result do_mov_to_seg(struct emul *e)
{
	u8 seg = sub_opcode(e);
	struct emul_operand o;
	struct seg_state g;
	enum emul_result r;

	if (seg > SEG_GS || seg == SEG_CS)
		return emul_fault(e, EXC_UD, 0);
	if (e->mode == INSN_MODE_64)
		return emul_unsupported(e, "segment load in 64-bit mode");
	r = emul_operand_rm(e, 2, 0, &o);
	if (!r)
		r = emul_data_segment(e, seg, (u16)emul_operand_read(e, &o), EXC_GP, &g);
	if (r)
		return r;
	emul_set_segment(e, seg, &g);
	emul_shadow_ss(e, seg);
	return EMUL_OK;
}

void emul_shadow_ss(struct emul *e, u8 seg)
{
	if (seg != SEG_SS)
		return;
	e->shadow = true;
	e->trap = false;
}

static enum emul_result do_shift(struct emul *e)
{
	u8 op = e->insn.opcode;
	u32 count = op < 0xd0 ? (u8)e->insn.imm : op < 0xd2 ? 1 : (u8)e->s->gpr[GPR_RCX];
	struct emul_operand o;
	u64 flags = e->s->rflags;
	enum emul_result r = emul_operand_rm(e, operand_bytes(e), EMUL_WRITE, &o);

	if (r)
		return r;
	u64 old = emul_operand_read(e, &o);

	r = emul_operand_write(e, &o, old, emul_shift(sub_opcode(e), old, count, o.bytes, &flags),
			       false);
	if (!r)
		e->s->rflags = flags;
	return r;
}

/* INC, DEC (FE, FF), NOT, NEG (F6, F7). */
static enum emul_result unary(struct emul *e, bool inc_dec)
{
	struct emul_operand o;
	u64 flags = e->s->rflags, result;
	enum emul_result r = emul_operand_rm(e, operand_bytes(e), EMUL_WRITE, &o);

	if (r)
		return r;
	u64 old = emul_operand_read(e, &o);

	if (inc_dec)
		result = emul_inc_dec(sub_opcode(e), old, o.bytes, &flags);
	else if (sub_opcode(e) == 2)
		result = ~old;
	else
		result = emul_alu(ALU_SUB, 0, old, o.bytes, &flags);
	r = emul_operand_write(e, &o, old, result, has_lock(e));
	if (!r)
		e->s->rflags = flags;
	return r;
}

static enum emul_result do_group_3(struct emul *e)
{
	if (sub_opcode(e) < 2)
		return do_test(e);
	if (sub_opcode(e) < 4)
		return unary(e, false);
	return emul_unsupported(e, "MUL, IMUL, DIV or IDIV with a memory operand");
}

/*
 * PUSH and POP: operand and stack widths. In 64-bit mode both are 8 unless 66 makes the operand 2.
 */
static u32 push_bytes(const struct emul *e)
{
	return e->mode == INSN_MODE_64 && e->insn.op_size != 2 ? 8 : e->insn.op_size;
}

u32 emul_stack_width(const struct emul *e)
{
	return e->mode == INSN_MODE_64 ? 8 : e->s->seg[SEG_SS].attr & SEG_ATTR_DB ? 4 : 2;
}

static enum emul_result do_push(struct emul *e)
{
	u32 bytes = push_bytes(e), width = emul_stack_width(e);
	u64 sp = (e->s->gpr[GPR_RSP] - bytes) & emul_mask(width);
	struct emul_operand o;
	struct emul_span stack;
	enum emul_result r = emul_operand_rm(e, bytes, 0, &o);

	if (!r)
		r = emul_map(e, SEG_SS, sp, bytes, EMUL_WRITE, &stack);
	if (r)
		return r;
	emul_span_write(e, &stack, emul_operand_read(e, &o));
	emul_full_write(e, GPR_RSP, width, sp);
	return EMUL_OK;
}

/* The operand's address is computed with the stack pointer already raised. */
static enum emul_result do_pop(struct emul *e)
{
	u32 bytes = push_bytes(e), width = emul_stack_width(e);
	u64 before = e->s->gpr[GPR_RSP];
	struct emul_operand o;
	struct emul_span stack;
	enum emul_result r = emul_map(e, SEG_SS, before & emul_mask(width), bytes, 0, &stack);

	if (r)
		return r;
	emul_full_write(e, GPR_RSP, width, before + bytes);
	r = emul_operand_rm(e, bytes, EMUL_WRITE, &o);
	if (r) {
		e->s->gpr[GPR_RSP] = before;
		return r;
	}
	return emul_operand_write(e, &o, 0, emul_span_read(e, &stack), false);
}

static enum emul_result do_group_5(struct emul *e)
{
	if (sub_opcode(e) < 2)
		return unary(e, true);
	if (sub_opcode(e) == 6 && e->insn.opcode == 0xff)
		return do_push(e);
	return emul_unsupported(e, "indirect CALL or JMP");
}

static enum emul_result do_cmpxchg(struct emul *e)
{
	struct emul_operand o;
	u32 bytes = operand_bytes(e);
	u64 flags = e->s->rflags;
	enum emul_result r = emul_operand_rm(e, bytes, EMUL_WRITE, &o);

	if (r)
		return r;
	u64 old = emul_operand_read(e, &o), want = emul_full_read(e, GPR_RAX, bytes);

	emul_alu(ALU_CMP, want, old, bytes, &flags);
	if (old == want) /* a difference writes the old value back, which nobody can see */
		r = emul_operand_write(e, &o, old, emul_reg_read(e, e->insn.reg, bytes),
				       has_lock(e));
	else
		emul_full_write(e, GPR_RAX, bytes, old);
	if (!r)
		e->s->rflags = flags;
	return r;
}

static enum emul_result do_xadd(struct emul *e)
{
	struct emul_operand o;
	u32 bytes = operand_bytes(e);
	u64 flags = e->s->rflags;
	enum emul_result r = emul_operand_rm(e, bytes, EMUL_WRITE, &o);

	if (r)
		return r;
	u64 old = emul_operand_read(e, &o), add = emul_reg_read(e, e->insn.reg, bytes);
	u64 sum = emul_alu(ALU_ADD, old, add, bytes, &flags);

	if (o.is_mem) {
		r = emul_operand_write(e, &o, old, sum, has_lock(e));
		if (r)
			return r;
		emul_reg_write(e, e->insn.reg, bytes, old);
	} else { /* the sum wins when both are the same register */
		emul_reg_write(e, e->insn.reg, bytes, old);
		emul_reg_write(e, o.reg, bytes, sum);
	}
	e->s->rflags = flags;
	return EMUL_OK;
}

/*
 * BT, BTS, BTR, BTC: a bit number in a register reaches beyond the operand, an immediate does not.
 */
static enum emul_result do_bit(struct emul *e)
{
	bool immediate = e->insn.opcode == 0xba;
	u32 kind = immediate ? sub_opcode(e) & 3u : e->insn.opcode >> 3 & 3u;
	u32 bytes = e->insn.op_size, bits = bytes * 8;
	u32 access = kind ? EMUL_WRITE : 0;
	u64 number = immediate ? (u64)e->insn.imm : emul_full_read(e, e->insn.reg, bytes);
	struct emul_operand o = {.is_mem = e->insn.has_mem, .reg = e->insn.rm, .bytes = bytes};
	enum emul_result r;

	if (immediate && sub_opcode(e) < 4)
		return emul_fault(e, EXC_UD, 0);
	if (o.is_mem) {
		s64 index = (s64)(number << (64 - bits)) >> (64 - bits);
		u64 words = immediate ? 0 : (u64)(index >> __builtin_ctz(bits)); /* rounds down */
		u64 at = (emul_effective(e) + words * bytes) & emul_mask(e->insn.addr_size);

		r = emul_map(e, e->insn.seg, at, bytes, access, &o.span);
		if (r)
			return r;
	}
	u64 bit = BIT(number & (bits - 1)), old = emul_operand_read(e, &o);
	u64 value = kind == 1 ? old | bit : kind == 2 ? old & ~bit : old ^ bit;

	if (kind) {
		r = emul_operand_write(e, &o, old, value, has_lock(e));
		if (r)
			return r;
	}
	e->s->rflags = (e->s->rflags & ~(u64)RFLAGS_CF) | (old & bit ? RFLAGS_CF : 0u);
	return EMUL_OK;
}

static enum emul_result do_setcc(struct emul *e)
{
	struct emul_operand o;
	enum emul_result r = emul_operand_rm(e, 1, EMUL_WRITE, &o);

	bool set = emul_condition(e->insn.opcode, e->s->rflags);

	return r ? r : emul_operand_write(e, &o, 0, set, false);
}

/* Whatever the condition: the memory is read, and a 4-byte form clears the upper half. */
static enum emul_result do_cmov(struct emul *e)
{
	u32 bytes = e->insn.op_size;
	struct emul_operand o;
	enum emul_result r = emul_operand_rm(e, bytes, 0, &o);

	if (r)
		return r;
	u64 value = emul_operand_read(e, &o);

	if (!emul_condition(e->insn.opcode, e->s->rflags))
		value = emul_full_read(e, e->insn.reg, bytes);
	emul_full_write(e, e->insn.reg, bytes, value);
	return EMUL_OK;
}

/* CLFLUSH, CLFLUSHOPT, CLWB: no device has a cache; what is left is the check of the address. */
static enum emul_result do_cache_line(struct emul *e)
{
	u8 prefixes = e->insn.prefixes, form = sub_opcode(e);
	struct emul_operand o;

	if (!e->insn.has_mem || prefixes & (INSN_P_LOCK | INSN_P_REP | INSN_P_REPNE) ||
	    !(form == 7 || (form == 6 && prefixes & INSN_P_OPSIZE)))
		return emul_unsupported(e, "no emulation of this opcode");
	return emul_operand_rm(e, 1, 0, &o);
}

static const emul_fn map_1[256] = {
/* clang-format off */
#define ALU_ROW(n) [(n) ... (n) + 3] = do_alu
	ALU_ROW(0x00), ALU_ROW(0x08), ALU_ROW(0x10), ALU_ROW(0x18),
	ALU_ROW(0x20), ALU_ROW(0x28), ALU_ROW(0x30), ALU_ROW(0x38),
/* clang-format on */
#undef ALU_ROW
	[0x63] = do_mov_extend,
	[0x6c ... 0x6f] = emul_string,
	[0x80 ... 0x83] = do_group_1,
	[0x84 ... 0x85] = do_test,
	[0x86 ... 0x87] = do_xchg,
	[0x88 ... 0x89] = do_mov_store,
	[0x8a ... 0x8b] = do_mov_load,
	[0x8c] = do_mov_from_seg,
	[0x8e] = do_mov_to_seg,
	[0x8f] = do_pop,
	[0xa0 ... 0xa1] = do_mov_load,
	[0xa2 ... 0xa3] = do_mov_store,
	[0xa4 ... 0xa7] = emul_string,
	[0xaa ... 0xaf] = emul_string,
	[0xc0 ... 0xc1] = do_shift,
	[0xc6 ... 0xc7] = do_mov_imm,
	[0xd0 ... 0xd3] = do_shift,
	[0xe4 ... 0xe7] = emul_in_out,
	[0xec ... 0xef] = emul_in_out,
	[0xf6 ... 0xf7] = do_group_3,
	[0xfe ... 0xff] = do_group_5,
};

static const emul_fn map_0f[256] = {
	[0x01] = emul_group_7,
	[0x06] = emul_clts,
	[0x20] = emul_mov_cr,
	[0x21] = emul_mov_dr,
	[0x22] = emul_mov_cr,
	[0x23] = emul_mov_dr,
	[0x30] = emul_msr,
	[0x32] = emul_msr,
	[0x40 ... 0x4f] = do_cmov,
	[0x90 ... 0x9f] = do_setcc,
	[0xa3] = do_bit,
	[0xab] = do_bit,
	[0xae] = do_cache_line,
	[0xb0 ... 0xb1] = do_cmpxchg,
	[0xb3] = do_bit,
	[0xb6 ... 0xb7] = do_mov_extend,
	[0xba] = do_bit,
	[0xbb] = do_bit,
	[0xbe ... 0xbf] = do_mov_extend,
	[0xc0 ... 0xc1] = do_xadd,
	[0xc3] = do_mov_store,
};

/* For who reads the log: what an opcode without emulation belongs to. */
static const char *unknown(const struct insn *in)
{
	u8 op = in->opcode;

	if (in->map == INSN_MAP_1)
		return op == 0x9b || (op >= 0xd8 && op <= 0xdf) ? "no emulation of x87"
								: "no emulation of this opcode";
	if (in->map == INSN_MAP_0F && !(op >= 0x10 && op <= 0x17) && !(op >= 0x28 && op <= 0x2f) &&
	    !(op >= 0x50 && op <= 0x7f) && op != 0xc2 && !(op >= 0xc4 && op <= 0xc6) && op < 0xd0)
		return "no emulation of this opcode";
	return "no emulation of MMX and SSE";
}

static enum emul_result execute(struct emul *e)
{
	const struct insn *in = &e->insn;
	emul_fn fn = e->any ? emul_any(e) : NULL;

	if (fn)
		return fn(e);
	if (in->map == INSN_MAP_1)
		fn = map_1[in->opcode];
	else if (in->map == INSN_MAP_0F)
		fn = map_0f[in->opcode];
	if (!fn)
		return emul_unsupported(e, unknown(in));
	if (!in->has_mem || !(has_lock(e) || fn == do_xchg))
		return fn(e);
	e->ops->bus_lock(e, true);
	enum emul_result r = fn(e);
	e->ops->bus_lock(e, false);
	return r;
}

/*
 * Appends the code bytes from rip + e->byte_count up to the page's end or the segment's, at most to
 * 15 in all.
 */
static enum emul_result fetch_page(struct emul *e)
{
	const struct seg_state *cs = &e->s->seg[SEG_CS];
	bool flat = e->mode == INSN_MODE_64;
	u64 at = e->s->rip + e->byte_count, linear = at + (flat ? 0 : cs->base);
	u32 n = (u32)MIN((u64)INSN_MAX - e->byte_count, PAGE_SIZE - linear % PAGE_SIZE);

	if (!flat && at > cs->limit)
		return emul_fault(e, EXC_GP, 0);
	if (!flat)
		n = (u32)MIN((u64)n, cs->limit - at + 1);

	while (n) {
		u32 part = MIN(n, 8u);
		struct emul_span sp;
		enum emul_result r =
			emul_linear_map(e, flat ? linear : (u32)linear, part, EMUL_FETCH, &sp);

		if (r)
			return r;
		u64 v = emul_span_read(e, &sp);

		for (u32 i = 0; i < part; i++)
			e->bytes[e->byte_count++] = (u8)(v >> i * 8);
		linear += part;
		n -= part;
	}
	return EMUL_OK;
}

/* The second page is touched only when the instruction reaches into it. */
static enum emul_result fetch_and_decode(struct emul *e)
{
	for (;;) {
		enum emul_result r = fetch_page(e);

		if (r)
			return r;
		if (insn_decode(e->bytes, e->byte_count, e->mode, insn_any, &e->insn))
			break;
		if (e->byte_count == INSN_MAX)
			return emul_unsupported(e, "unknown instruction");
	}
	e->byte_count = e->insn.length;
	e->next_rip = e->s->rip + e->insn.length;
	if (e->mode != INSN_MODE_64)
		e->next_rip &= emul_mask(e->mode / 8u);
	return EMUL_OK;
}

void emul_queue(struct emul *e, u8 vector, bool has_error, u32 error)
{
	e->s->event.injecting = 1u << 31 | (has_error ? 1u << 11 : 0) | 3u << 8 | vector;
	e->s->event.injecting_error = error;
	e->dirty |= STATE_EVENT;
}

/* The end of an instruction: rip, the shadow of STI and MOV SS, single step. */
static void retire(struct emul *e)
{
	struct vcpu_state *s = e->s;

	s->rip = e->next_rip;
	s->rflags &= ~(u64)RFLAGS_RF;
	e->dirty |= STATE_GPR;
	if (s->event.sti_blocked != e->shadow) {
		s->event.sti_blocked = e->shadow;
		e->dirty |= STATE_EVENT;
	}
	if (e->trap) {
		s->dr6 |= DR6_BS;
		e->dirty |= STATE_DR;
		emul_queue(e, EXC_DB, false, 0);
	}
}

static void set_mode(struct emul *e)
{
	const struct vcpu_state *s = e->s;
	u16 attr = s->seg[SEG_CS].attr;

	if (s->efer & EFER_LMA && attr & SEG_ATTR_L)
		e->mode = INSN_MODE_64;
	else
		e->mode = attr & SEG_ATTR_DB ? INSN_MODE_32 : INSN_MODE_16;
	if (!(s->cr0 & CR0_PE))
		e->cpl = 0;
	else
		e->cpl = s->rflags & RFLAGS_VM ? 3 : s->seg[SEG_SS].attr >> 5 & 3;
}

void emul_begin(struct emul *e)
{
	e->dirty = 0;
	e->byte_count = 0;
	e->why = NULL;
	e->tlb[0].page = e->tlb[1].page = 0;
	e->trap = e->s->rflags & RFLAGS_TF;
	e->shadow = e->interrupted = false;
	set_mode(e);
}

static void queue_fault(struct emul *e)
{
	emul_queue(e, e->vector, e->has_error, e->error);
	if (e->vector == EXC_PF) {
		e->s->cr2 = e->cr2;
		e->dirty |= STATE_CR;
	}
}

enum emul_result emul_step(struct emul *e)
{
	emul_begin(e);
	if (e->s->event.injecting >> 31)
		return emul_unsupported(e, "MMIO during the delivery of an event");

	enum emul_result r = fetch_and_decode(e);

	if (!r)
		r = execute(e);
	if (r == EMUL_RETRY) { /* rip stays; a REP may have come some way */
		e->dirty |= STATE_GPR;
		return EMUL_OK;
	}
	if (r == EMUL_OK) {
		retire(e);
	} else if (r == EMUL_FAULT) {
		e->dirty |= STATE_GPR;
		queue_fault(e);
	}
	return r;
}

enum emul_result emul_measure(struct emul *e)
{
	enum emul_result r;

	emul_begin(e);
	r = fetch_and_decode(e);
	if (r == EMUL_FAULT)
		queue_fault(e);
	return r;
}
