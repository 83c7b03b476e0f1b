#include "lib/insn_decode.h"

/* clang-format off */
/* registers by their number in the encoding: order of enum gpr and enum seg of uapi/run.h */
enum {
	RBX = 3, RSP = 4, RBP = 5, RSI = 6, RDI = 7,
	ES = 0, CS = 1, SS = 2, DS = 3, FS = 4, GS = 5,
};
/* clang-format on */

struct cursor {
	const u8 *p;
	u32 n, pos;
	bool over; /* more bytes were wanted than there are */
};

/* Little-endian, sign-extended; bytes 0..8. */
static s64 take(struct cursor *c, u32 bytes)
{
	u64 v = 0;

	if (bytes > c->n - c->pos)
		c->over = true;
	if (!bytes || c->over)
		return 0;
	for (u32 i = 0; i < bytes; i++)
		v |= (u64)c->p[c->pos++] << i * 8;
	return (s64)(v << (64 - bytes * 8)) >> (64 - bytes * 8);
}

static u8 peek(const struct cursor *c) { return c->pos < c->n ? c->p[c->pos] : 0; }

/* Legacy prefixes, then REX. A REX that a legacy prefix follows has no effect. */
static u8 decode_prefixes(struct cursor *c, enum insn_mode mode, struct insn *out)
{
	for (;;) {
		u8 b = (u8)take(c, 1);
		u8 seg = INSN_NO_REG, rep = 0;

		switch (c->over ? 0 : b) {
		case 0x26: seg = ES; break;
		case 0x2e: seg = CS; break;
		case 0x36: seg = SS; break;
		case 0x3e: seg = DS; break;
		case 0x64: seg = FS; break;
		case 0x65: seg = GS; break;
		case 0x66: out->prefixes |= INSN_P_OPSIZE; break;
		case 0x67: out->prefixes |= INSN_P_ADDRSIZE; break;
		case 0xf0: out->prefixes |= INSN_P_LOCK; break;
		case 0xf2: rep = INSN_P_REPNE; break;
		case 0xf3: rep = INSN_P_REP; break;
		default:
			if (mode == INSN_MODE_64 && (b & 0xf0) == 0x40) {
				out->rex = b;
				continue;
			}
			return b;
		}
		out->rex = 0;
		if (rep) /* the last one counts */
			out->prefixes = (u8)((out->prefixes & ~(INSN_P_REP | INSN_P_REPNE)) | rep);
		/* in 64-bit mode ES, CS, SS and DS overrides are ignored, even after FS or GS */
		if (seg != INSN_NO_REG && (mode != INSN_MODE_64 || seg >= FS)) {
			out->seg = seg;
			out->seg_override = true;
		}
	}
}

static void set_mem(struct insn *out, u8 base, u8 index, u8 default_seg)
{
	out->base = base;
	out->index = index;
	if (!out->seg_override)
		out->seg = default_seg;
}

static void decode_mem_16(struct cursor *c, struct insn *out)
{
	static const u8 base[8] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
	static const u8 index[4] = {RSI, RDI, RSI, RDI};
	u8 mod = out->modrm >> 6, rm = out->modrm & 7;

	if (mod == 0 && rm == 6)
		set_mem(out, INSN_NO_REG, INSN_NO_REG, DS);
	else
		set_mem(out, base[rm], rm < 4 ? index[rm] : INSN_NO_REG, base[rm] == RBP ? SS : DS);
	out->disp = take(c, mod == 1 ? 1 : mod == 2 || (mod == 0 && rm == 6) ? 2 : 0);
}

static void decode_mem_32(struct cursor *c, enum insn_mode mode, struct insn *out)
{
	u8 mod = out->modrm >> 6, rm = out->modrm & 7;
	u8 base = rm, index = INSN_NO_REG;

	if (rm == 4) {
		u8 sib = (u8)take(c, 1);

		base = sib & 7;
		index = (u8)((sib >> 3 & 7) | (out->rex & 2) << 2);
		if (index == RSP)
			index = INSN_NO_REG;
		out->scale = (u8)(1u << (sib >> 6));
	}
	if (mod == 0 && base == 5) { /* no base; in 64-bit mode without SIB: from rip */
		out->rip_relative = mode == INSN_MODE_64 && rm != 4;
		set_mem(out, INSN_NO_REG, index, DS);
		out->disp = take(c, 4);
		return;
	}
	base |= (u8)((out->rex & 1) << 3);
	set_mem(out, base, index, base == RSP || base == RBP ? SS : DS);
	out->disp = take(c, mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

static void decode_modrm(struct cursor *c, enum insn_mode mode, struct insn *out)
{
	/* MOV to and from CR and DR take every mod for a register */
	bool only_regs = out->map == INSN_MAP_0F && (out->opcode & 0xfc) == 0x20;

	out->has_modrm = true;
	out->modrm = (u8)take(c, 1);
	out->reg = (u8)((out->modrm >> 3 & 7) | (out->rex & 4) << 1);
	out->rm = (u8)((out->modrm & 7) | (out->rex & 1) << 3);
	out->has_mem = out->modrm >> 6 != 3 && !only_regs;
	if (!out->has_mem)
		return;
	if (out->addr_size == 2)
		decode_mem_16(c, out);
	else
		decode_mem_32(c, mode, out);
}

static void decode_imm(struct cursor *c, u8 form, struct insn *out)
{
	u32 z = out->op_size == 2 ? 2 : 4;

	if ((form & INSN_FAR) == INSN_FAR) {
		out->imm = take(c, z);
		take(c, 2);
	} else if (form & INSN_IZ) {
		out->imm = take(c, z);
	} else if (form & INSN_IV) {
		out->imm = take(c, out->op_size);
	} else if (form & INSN_I16) {
		out->imm = take(c, 2);
		take(c, form & INSN_I8 ? 1 : 0);
	} else if (form & INSN_I8) {
		out->imm = take(c, 1);
	} else if (form & INSN_OF) {
		set_mem(out, INSN_NO_REG, INSN_NO_REG, DS);
		out->has_mem = true;
		out->disp = take(c, out->addr_size);
	}
}

/* The opcode behind its escape bytes. */
static void decode_opcode(struct cursor *c, u8 b, struct insn *out)
{
	if (b == 0x0f) {
		out->map = INSN_MAP_0F;
		b = (u8)take(c, 1);
		if (b == 0x38 || b == 0x3a) {
			out->map = b == 0x38 ? INSN_MAP_0F38 : INSN_MAP_0F3A;
			b = (u8)take(c, 1);
		}
	}
	out->opcode = b;
}

bool insn_decode(const u8 *bytes, u32 n, enum insn_mode mode, insn_form_fn form_of,
		 struct insn *out)
{
	struct cursor c = {bytes, n < INSN_MAX ? n : INSN_MAX, 0, false};
	u8 form;

	*out = (struct insn){.base = INSN_NO_REG, .index = INSN_NO_REG, .scale = 1, .seg = DS};
	u8 b = decode_prefixes(&c, mode, out);
	bool wide = !(out->prefixes & INSN_P_ADDRSIZE);

	out->addr_size = mode == INSN_MODE_64 ? 8 >> !wide : (mode == INSN_MODE_32) == wide ? 4 : 2;
	out->op_size = (mode == INSN_MODE_16) == !(out->prefixes & INSN_P_OPSIZE) ? 2 : 4;
	if (out->rex & 8)
		out->op_size = 8;

	decode_opcode(&c, b, out);
	if (!form_of(out, mode, peek(&c), &form))
		return false;
	if (form & INSN_MODRM)
		decode_modrm(&c, mode, out);
	decode_imm(&c, form, out);
	out->length = (u8)c.pos;
	return !c.over;
}
