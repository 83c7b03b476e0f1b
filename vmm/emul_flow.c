/*
 * The stack, transfers of control, flags and events of code that emul_run runs: real mode, and the
 * steps from and to it. Intel SDM 2, on each; SDM 3, "Interrupt and Exception Handling" of "8086
 * Emulation".
 */
#include "vmm/emul_priv.h"

#define FLAGS_WORD 0x7fd5ull	 /* what POPF and IRET take of 16 bits */
#define FLAGS_LONG 0x247fd5ull	 /* of 32 bits: with AC and ID */
#define FLAGS_PUSHED 0xfcffffull /* not RF and VM */

/* ---- Stack ---- */

enum emul_result emul_push(struct emul *e, const u64 *values, u32 n, u32 bytes)
{
	u32 width = emul_stack_width(e);
	u64 sp = e->s->gpr[GPR_RSP];
	struct emul_span at[8];

	for (u32 i = 0; i < n; i++) {
		sp -= bytes;
		enum emul_result r =
			emul_map(e, SEG_SS, sp & emul_mask(width), bytes, EMUL_WRITE, &at[i]);

		if (r)
			return r;
	}
	for (u32 i = 0; i < n; i++)
		emul_span_write(e, &at[i], values[i] & emul_mask(bytes));
	emul_full_write(e, GPR_RSP, width, sp);
	return EMUL_OK;
}

enum emul_result emul_pop(struct emul *e, u64 *values, u32 n, u32 bytes)
{
	u32 width = emul_stack_width(e);
	u64 sp = e->s->gpr[GPR_RSP];

	for (u32 i = 0; i < n; i++, sp += bytes) {
		struct emul_span at;
		enum emul_result r = emul_map(e, SEG_SS, sp & emul_mask(width), bytes, 0, &at);

		if (r)
			return r;
		values[i] = emul_span_read(e, &at);
	}
	emul_full_write(e, GPR_RSP, width, sp);
	return EMUL_OK;
}

static enum emul_result push_one(struct emul *e, u64 value)
{
	return emul_push(e, &value, 1, e->insn.op_size);
}

static enum emul_result do_push_register(struct emul *e)
{
	return push_one(e, e->s->gpr[e->insn.opcode & 7]);
}

static enum emul_result do_pop_register(struct emul *e)
{
	u64 value;
	enum emul_result r = emul_pop(e, &value, 1, e->insn.op_size);

	if (!r)
		emul_full_write(e, e->insn.opcode & 7, e->insn.op_size, value);
	return r;
}

static enum emul_result do_push_immediate(struct emul *e) { return push_one(e, (u64)e->insn.imm); }

static enum emul_result do_pusha(struct emul *e)
{
	const u64 *g = e->s->gpr;
	const u64 values[] = {g[GPR_RAX], g[GPR_RCX], g[GPR_RDX], g[GPR_RBX],
			      g[GPR_RSP], g[GPR_RBP], g[GPR_RSI], g[GPR_RDI]};

	return emul_push(e, values, 8, e->insn.op_size);
}

static enum emul_result do_popa(struct emul *e)
{
	u64 values[8];
	enum emul_result r = emul_pop(e, values, 8, e->insn.op_size);

	for (u8 i = 0; !r && i < 8; i++)
		if (i != 3) /* where RSP was */
			emul_full_write(e, GPR_RDI - i, e->insn.op_size, values[i]);
	return r;
}

static u8 segment_of(const struct emul *e) { return e->insn.opcode >> 3 & 7; }

static enum emul_result do_push_segment(struct emul *e)
{
	return push_one(e, e->s->seg[segment_of(e)].selector);
}

static enum emul_result do_pop_segment(struct emul *e)
{
	u64 before = e->s->gpr[GPR_RSP], value;
	struct seg_state g;
	enum emul_result r = emul_pop(e, &value, 1, e->insn.op_size);

	if (!r)
		r = emul_data_segment(e, segment_of(e), (u16)value, EXC_GP, &g);
	if (r) {
		e->s->gpr[GPR_RSP] = before;
		return r;
	}
	emul_set_segment(e, segment_of(e), &g);
	emul_shadow_ss(e, segment_of(e));
	return EMUL_OK;
}

static enum emul_result do_enter(struct emul *e)
{
	u32 width = emul_stack_width(e);
	enum emul_result r;

	if (e->bytes[e->byte_count - 1] & 31)
		return emul_unsupported(e, "ENTER with levels");
	r = push_one(e, e->s->gpr[GPR_RBP]);
	if (r)
		return r;
	emul_full_write(e, GPR_RBP, e->insn.op_size, e->s->gpr[GPR_RSP]);
	emul_full_write(e, GPR_RSP, width, e->s->gpr[GPR_RSP] - (u16)e->insn.imm);
	return EMUL_OK;
}

static enum emul_result do_leave(struct emul *e)
{
	u64 before = e->s->gpr[GPR_RSP], value;
	enum emul_result r;

	emul_full_write(e, GPR_RSP, emul_stack_width(e), e->s->gpr[GPR_RBP]);
	r = emul_pop(e, &value, 1, e->insn.op_size);
	if (r)
		e->s->gpr[GPR_RSP] = before;
	else
		emul_full_write(e, GPR_RBP, e->insn.op_size, value);
	return r;
}

/* ---- Near transfers ---- */

static enum emul_result jump(struct emul *e, u64 target)
{
	target &= emul_mask(e->insn.op_size);
	if (target > e->s->seg[SEG_CS].limit)
		return emul_fault(e, EXC_GP, 0);
	e->next_rip = target;
	return EMUL_OK;
}

static enum emul_result jump_if(struct emul *e, bool taken)
{
	return taken ? jump(e, e->next_rip + (u64)e->insn.imm) : EMUL_OK;
}

static enum emul_result do_jmp(struct emul *e) { return jump_if(e, true); }

static enum emul_result do_jcc(struct emul *e)
{
	return jump_if(e, emul_condition(e->insn.opcode, e->s->rflags));
}

static enum emul_result do_loop(struct emul *e)
{
	u32 width = e->insn.addr_size;
	u64 count = e->s->gpr[GPR_RCX] - 1, before = e->s->gpr[GPR_RCX];
	bool zero = e->s->rflags & RFLAGS_ZF;
	enum emul_result r;

	if (e->insn.opcode == 0xe3) /* JCXZ */
		return jump_if(e, !emul_full_read(e, GPR_RCX, width));
	emul_full_write(e, GPR_RCX, width, count);
	r = jump_if(e, (count & emul_mask(width)) &&
			       (e->insn.opcode == 0xe2 || zero == (e->insn.opcode & 1)));
	if (r)
		e->s->gpr[GPR_RCX] = before;
	return r;
}

static enum emul_result call(struct emul *e, u64 target)
{
	u64 back = e->next_rip;
	enum emul_result r = jump(e, target);

	return r ? r : push_one(e, back);
}

static enum emul_result do_call(struct emul *e) { return call(e, e->next_rip + (u64)e->insn.imm); }

static void drop_arguments(struct emul *e)
{
	if (!(e->insn.opcode & 1)) /* RET imm16 */
		emul_full_write(e, GPR_RSP, emul_stack_width(e),
				e->s->gpr[GPR_RSP] + (u16)e->insn.imm);
}

static enum emul_result do_ret(struct emul *e)
{
	u64 before = e->s->gpr[GPR_RSP], target;
	enum emul_result r = emul_pop(e, &target, 1, e->insn.op_size);

	if (!r)
		r = jump(e, target);
	if (r)
		e->s->gpr[GPR_RSP] = before;
	else
		drop_arguments(e);
	return r;
}

/* ---- Far transfers ---- */

static enum emul_result far_jump(struct emul *e, u16 selector, u64 target)
{
	struct seg_state g;
	enum emul_result r = emul_code_segment(e, selector, EXC_GP, &g);

	if (r)
		return r;
	target &= emul_mask(e->insn.op_size);
	if (target > g.limit)
		return emul_fault(e, EXC_GP, 0);
	emul_set_segment(e, SEG_CS, &g);
	e->next_rip = target;
	return EMUL_OK;
}

static enum emul_result far_call(struct emul *e, u16 selector, u64 target)
{
	struct seg_state before = e->s->seg[SEG_CS];
	u64 frame[] = {before.selector, e->next_rip};
	enum emul_result r = far_jump(e, selector, target);

	if (!r)
		r = emul_push(e, frame, 2, e->insn.op_size);
	if (r)
		e->s->seg[SEG_CS] = before;
	return r;
}

/* The selector of a pointer in the instruction is its last two bytes. */
static u16 immediate_selector(const struct emul *e)
{
	return (u16)(e->bytes[e->byte_count - 2] | e->bytes[e->byte_count - 1] << 8);
}

static enum emul_result do_far(struct emul *e)
{
	u16 selector = immediate_selector(e);

	return e->insn.opcode == 0x9a ? far_call(e, selector, (u64)e->insn.imm)
				      : far_jump(e, selector, (u64)e->insn.imm);
}

/* The pointer in memory: offset, then selector. */
static enum emul_result read_far(struct emul *e, u64 *offset, u16 *selector)
{
	struct emul_span sp;
	u32 bytes = e->insn.op_size;
	enum emul_result r;

	if (!e->insn.has_mem)
		return emul_fault(e, EXC_UD, 0);
	r = emul_map(e, e->insn.seg, emul_effective(e), bytes + 2, 0, &sp);
	if (r)
		return r;
	u64 both = emul_span_read(e, &sp);

	*offset = both & emul_mask(bytes);
	*selector = (u16)(both >> bytes * 8);
	return EMUL_OK;
}

/* CALL and JMP of FF. */
static enum emul_result do_indirect(struct emul *e)
{
	u8 kind = e->insn.modrm >> 3 & 7;
	struct emul_operand o;
	u16 selector;
	u64 offset;
	enum emul_result r;

	if (kind == 3 || kind == 5) {
		r = read_far(e, &offset, &selector);
		if (r)
			return r;
		return kind == 3 ? far_call(e, selector, offset) : far_jump(e, selector, offset);
	}
	r = emul_operand_rm(e, e->insn.op_size, 0, &o);
	if (r)
		return r;
	offset = emul_operand_read(e, &o);
	return kind == 2 ? call(e, offset) : jump(e, offset);
}

/* LES, LDS, LSS, LFS, LGS. */
static enum emul_result do_load_far(struct emul *e)
{
	u8 op = e->insn.opcode;
	u8 seg = op == 0xc4 ? SEG_ES : op == 0xc5 ? SEG_DS : op & 7;
	struct seg_state g;
	u16 selector;
	u64 offset;
	enum emul_result r = read_far(e, &offset, &selector);

	if (!r)
		r = emul_data_segment(e, seg, selector, EXC_GP, &g);
	if (r)
		return r;
	emul_set_segment(e, seg, &g);
	emul_full_write(e, e->insn.reg, e->insn.op_size, offset);
	return EMUL_OK;
}

static enum emul_result do_far_ret(struct emul *e)
{
	u64 before = e->s->gpr[GPR_RSP], frame[2];
	enum emul_result r = emul_pop(e, frame, 2, e->insn.op_size);

	if (!r && emul_protected(e) && (frame[1] & 3) != e->cpl)
		r = emul_unsupported(e, "far return to another ring");
	if (!r)
		r = far_jump(e, (u16)frame[1], frame[0]);
	if (r)
		e->s->gpr[GPR_RSP] = before;
	else
		drop_arguments(e);
	return r;
}

/* ---- Flags ---- */

static void set_flags(struct emul *e, u64 value)
{
	u64 mask = e->insn.op_size == 2 ? FLAGS_WORD : FLAGS_LONG | RFLAGS_RF;

	e->s->rflags = (e->s->rflags & ~mask) | (value & mask & ~(u64)RFLAGS_RF) | RFLAGS_FIXED;
}

static enum emul_result do_pushf(struct emul *e)
{
	return push_one(e, e->s->rflags & FLAGS_PUSHED);
}

static enum emul_result do_popf(struct emul *e)
{
	u64 value;
	enum emul_result r = emul_pop(e, &value, 1, e->insn.op_size);

	if (!r)
		set_flags(e, value);
	return r;
}

/* CMC, and CLC to STD in pairs; STI's shadow only where it opens. */
static enum emul_result do_flag(struct emul *e)
{
	static const u32 flags[] = {RFLAGS_CF, RFLAGS_IF, RFLAGS_DF};
	u8 op = e->insn.opcode;
	u64 flag = op == 0xf5 ? RFLAGS_CF : flags[(op - 0xf8) / 2];
	bool set = op == 0xf5 ? !(e->s->rflags & flag) : op & 1;

	e->shadow = op == 0xfb && !(e->s->rflags & RFLAGS_IF);
	e->s->rflags = set ? e->s->rflags | flag : e->s->rflags & ~flag;
	return EMUL_OK;
}

/* ---- Interrupts and exceptions of real mode ---- */

static enum emul_result real_event(struct emul *e, u8 vector, u64 back)
{
	u64 frame[] = {e->s->rflags, e->s->seg[SEG_CS].selector, back};
	u32 at = vector * 4u, target;
	struct seg_state g;
	struct emul_span sp;
	enum emul_result r;

	if (emul_protected(e))
		return emul_unsupported(e, "an interrupt or exception in protected mode");
	if (at + 3 > e->s->idtr.limit)
		return emul_fault(e, EXC_GP, 0);
	r = emul_linear_map(e, e->s->idtr.base + at, 4, EMUL_SYSTEM, &sp);
	if (r)
		return r;
	target = (u32)emul_span_read(e, &sp);
	r = emul_push(e, frame, ARRAY_SIZE(frame), 2);
	if (!r)
		r = emul_code_segment(e, (u16)(target >> 16), EXC_GP, &g);
	if (r)
		return r;
	emul_set_segment(e, SEG_CS, &g);
	e->next_rip = target & 0xffff;
	e->s->rflags &= ~(u64)(RFLAGS_IF | RFLAGS_TF | RFLAGS_AC | RFLAGS_RF);
	e->trap = false;
	return EMUL_OK;
}

static enum emul_result do_int(struct emul *e)
{
	u8 op = e->insn.opcode;

	if (op == 0xce && !(e->s->rflags & RFLAGS_OF)) /* INTO */
		return EMUL_OK;
	return real_event(e,
			  op == 0xcc   ? EXC_BP
			  : op == 0xce ? EXC_OF
				       : (u8)e->insn.imm,
			  e->next_rip);
}

static enum emul_result do_iret(struct emul *e)
{
	u64 before = e->s->gpr[GPR_RSP], frame[3];
	enum emul_result r;

	if (emul_protected(e))
		return emul_unsupported(e, "IRET in protected mode");
	r = emul_pop(e, frame, 3, e->insn.op_size);
	if (!r)
		r = far_jump(e, (u16)frame[1], frame[0]);
	if (r) {
		e->s->gpr[GPR_RSP] = before;
		return r;
	}
	set_flags(e, frame[2]);
	if (e->s->event.nmi_blocked)
		e->dirty |= STATE_EVENT;
	e->s->event.nmi_blocked = 0;
	return EMUL_OK;
}

/* An exception while one that is not benign is delivered is a double fault. */
static u8 next_vector(const struct emul *e, u32 event)
{
	u8 first = (u8)event;
	bool second = event >> 8 & 7 && (first == EXC_DE || first >= EXC_TS);

	return second ? EXC_DF : e->vector;
}

enum emul_result emul_deliver(struct emul *e)
{
	struct vcpu_state *s = e->s;
	u32 event = s->event.injecting;
	enum emul_result r;

	emul_begin(e);
	r = real_event(e, (u8)event, s->rip);
	if (r == EMUL_FAULT) {
		if ((event >> 8 & 7) && (u8)event == EXC_DF)
			return EMUL_SHUTDOWN;
		emul_queue(e, next_vector(e, event), false, 0);
		return EMUL_OK;
	}
	if (r)
		return r;
	s->rip = e->next_rip;
	s->event.injecting = 0;
	s->event.sti_blocked = 0;
	s->event.nmi_blocked |= (event >> 8 & 7) == 2;
	e->dirty |= STATE_GPR | STATE_EVENT;
	return EMUL_OK;
}

static enum emul_result do_hlt(struct emul *e)
{
	/* the trap of a single step ends it at once */
	e->s->event.activity = e->trap ? VCPU_RUNNABLE : VCPU_HALTED;
	e->dirty |= STATE_EVENT;
	return EMUL_OK;
}

/* ---- Tables ---- */

static const emul_fn flow_1[256] = {
	[0x06] = do_push_segment,
	[0x07] = do_pop_segment,
	[0x0e] = do_push_segment,
	[0x16] = do_push_segment,
	[0x17] = do_pop_segment,
	[0x1e] = do_push_segment,
	[0x1f] = do_pop_segment,
	[0x50 ... 0x57] = do_push_register,
	[0x58 ... 0x5f] = do_pop_register,
	[0x60] = do_pusha,
	[0x61] = do_popa,
	[0x68] = do_push_immediate,
	[0x6a] = do_push_immediate,
	[0x70 ... 0x7f] = do_jcc,
	[0x9a] = do_far,
	[0x9c] = do_pushf,
	[0x9d] = do_popf,
	[0xc2 ... 0xc3] = do_ret,
	[0xc4 ... 0xc5] = do_load_far,
	[0xc8] = do_enter,
	[0xc9] = do_leave,
	[0xca ... 0xcb] = do_far_ret,
	[0xcc ... 0xce] = do_int,
	[0xcf] = do_iret,
	[0xe0 ... 0xe3] = do_loop,
	[0xe8] = do_call,
	[0xe9] = do_jmp,
	[0xea] = do_far,
	[0xeb] = do_jmp,
	[0xf4] = do_hlt,
	[0xf5] = do_flag,
	[0xf8 ... 0xfd] = do_flag,
};

static const emul_fn flow_0f[256] = {
	[0x80 ... 0x8f] = do_jcc,      [0xa0] = do_push_segment, [0xa1] = do_pop_segment,
	[0xa8] = do_push_segment,      [0xa9] = do_pop_segment,	 [0xb2] = do_load_far,
	[0xb4 ... 0xb5] = do_load_far,
};

emul_fn emul_flow(const struct emul *e)
{
	u8 op = e->insn.opcode, kind = e->insn.modrm >> 3 & 7;

	if (e->insn.map == INSN_MAP_0F)
		return flow_0f[op];
	if (e->insn.map != INSN_MAP_1)
		return NULL;
	return op == 0xff && kind >= 2 && kind <= 5 ? do_indirect : flow_1[op];
}
