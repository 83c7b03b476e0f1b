/*
 * String instructions, IN and OUT. Intel SDM 2, "REP"; the bitmap: SDM 1, "I/O Permission Bit Map".
 */
#include "vmm/emul_priv.h"

struct string_op {
	bool valid;
	bool src;	/* reads seg:rSI */
	bool dst_read;	/* reads ES:rDI */
	bool dst_write; /* writes ES:rDI */
	bool in, out;	/* the other side is port DX */
	bool compare;	/* sets flags; REPE and REPNE end on ZF */
};

static const struct string_op string_ops[256] = {
	[0x6c ... 0x6d] = {.valid = true, .dst_write = true, .in = true},  /* INS */
	[0x6e ... 0x6f] = {.valid = true, .src = true, .out = true},	   /* OUTS */
	[0xa4 ... 0xa5] = {.valid = true, .src = true, .dst_write = true}, /* MOVS */
	/* CMPS */
	[0xa6 ... 0xa7] = {.valid = true, .src = true, .dst_read = true, .compare = true},
	[0xaa ... 0xab] = {.valid = true, .dst_write = true},		      /* STOS */
	[0xac ... 0xad] = {.valid = true, .src = true},			      /* LODS */
	[0xae ... 0xaf] = {.valid = true, .dst_read = true, .compare = true}, /* SCAS */
};

/* A field of the task-state segment or its bitmap, read as the CPU does. */
static enum emul_result read_tss(struct emul *e, u64 offset, u16 *out)
{
	struct emul_span sp;
	enum emul_result r;

	if (offset + 1 > e->s->seg[SEG_TR].limit)
		return emul_fault(e, EXC_GP, 0);
	r = emul_linear_map(e, e->s->seg[SEG_TR].base + offset, 2, EMUL_SYSTEM, &sp);
	if (!r)
		*out = (u16)emul_span_read(e, &sp);
	return r;
}

static enum emul_result check_port(struct emul *e, u16 port, u32 bytes)
{
	enum { TSS_IOMAP = 0x66 };
	u64 iopl = e->s->rflags >> 12 & 3;
	u16 base = 0, bits = 0;
	enum emul_result r;

	if (!(e->s->cr0 & CR0_PE) || (emul_protected(e) && e->cpl <= iopl))
		return EMUL_OK;
	if ((e->s->seg[SEG_TR].attr & 0xd) != 9) /* a 16-bit task has no bitmap */
		return emul_fault(e, EXC_GP, 0);
	r = read_tss(e, TSS_IOMAP, &base);
	if (!r)
		r = read_tss(e, base + port / 8u, &bits);
	if (!r && bits >> port % 8 & ((1u << bytes) - 1))
		return emul_fault(e, EXC_GP, 0);
	return r;
}

enum emul_result emul_in_out(struct emul *e)
{
	const struct insn *in = &e->insn;
	u32 bytes = in->opcode & 1 ? MIN(in->op_size, 4) : 1;
	u16 port = in->opcode & 8 ? (u16)e->s->gpr[GPR_RDX] : (u8)in->imm;
	enum emul_result r = check_port(e, port, bytes);

	if (r)
		return r;
	if (in->opcode & 2)
		e->ops->io_out(e, port, bytes, (u32)emul_full_read(e, GPR_RAX, bytes));
	else
		emul_full_write(e, GPR_RAX, bytes, e->ops->io_in(e, port, bytes));
	return EMUL_OK;
}

/* One element: everything is translated before anything is accessed, so a fault has no effect. */
static enum emul_result one_element(struct emul *e, const struct string_op *op, u32 bytes)
{
	u32 width = e->insn.addr_size;
	struct emul_span src, dst;
	enum emul_result r = EMUL_OK;
	u64 value;

	if (op->src)
		r = emul_map(e, e->insn.seg, emul_full_read(e, GPR_RSI, width), bytes, 0, &src);
	if (!r && (op->dst_read || op->dst_write))
		r = emul_map(e, SEG_ES, emul_full_read(e, GPR_RDI, width), bytes,
			     op->dst_write ? EMUL_WRITE : 0, &dst);
	if (r)
		return r;

	if (op->src)
		value = emul_span_read(e, &src);
	else if (op->in)
		value = e->ops->io_in(e, (u16)e->s->gpr[GPR_RDX], bytes);
	else
		value = emul_full_read(e, GPR_RAX, bytes);

	if (op->dst_write)
		emul_span_write(e, &dst, value);
	else if (op->compare)
		emul_alu(ALU_CMP, value, emul_span_read(e, &dst), bytes, &e->s->rflags);
	else if (op->out)
		e->ops->io_out(e, (u16)e->s->gpr[GPR_RDX], bytes, (u32)value);
	else
		emul_full_write(e, GPR_RAX, bytes, value);

	u64 step = e->s->rflags & RFLAGS_DF ? 0 - (u64)bytes : bytes;

	if (op->src)
		emul_full_write(e, GPR_RSI, width, e->s->gpr[GPR_RSI] + step);
	if (op->dst_read || op->dst_write)
		emul_full_write(e, GPR_RDI, width, e->s->gpr[GPR_RDI] + step);
	return EMUL_OK;
}

enum emul_result emul_string(struct emul *e)
{
	const struct insn *in = &e->insn;
	const struct string_op *op = &string_ops[in->opcode];
	u32 bytes = in->opcode & 1 ? in->op_size : 1, width = in->addr_size;
	bool repeat = in->prefixes & (INSN_P_REP | INSN_P_REPNE);
	enum emul_result r = EMUL_OK;

	if (!op->valid)
		return emul_unsupported(e, "not a string instruction");
	if (op->in || op->out) {
		bytes = MIN(bytes, 4u);
		r = check_port(e, (u16)e->s->gpr[GPR_RDX], bytes);
		if (r)
			return r;
	}
	if (!repeat)
		return one_element(e, op, bytes);

	for (u32 moved = 0; emul_full_read(e, GPR_RCX, width); moved += bytes) {
		if (moved >= EMUL_STRING_MAX || e->interrupted) {
			e->next_rip = e->s->rip; /* the rest in another step */
			return EMUL_OK;
		}
		r = one_element(e, op, bytes);
		if (r) /* what was done stays done: the registers say where to go on */
			return r;
		emul_full_write(e, GPR_RCX, width, e->s->gpr[GPR_RCX] - 1);
		if (op->compare && !(e->s->rflags & RFLAGS_ZF) == !!(in->prefixes & INSN_P_REP))
			break;
	}
	return EMUL_OK;
}
