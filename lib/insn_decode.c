#include "lib/insn_decode.h"

/* clang-format off */
/* registers by their number in the encoding: order of enum gpr and enum seg of uapi/run.h */
enum {
	RBX = 3, RSP = 4, RBP = 5, RSI = 6, RDI = 7,
	ES = 0, CS = 1, SS = 2, DS = 3, FS = 4, GS = 5,
};
/* clang-format on */

/* What follows an opcode; combinations below. */
/* clang-format off */
enum form {
	__ = 0,
	M = 1,	   /* ModRM */
	I8 = 2,	   /* immediate of 1 byte */
	I16 = 4,   /* of 2 bytes */
	IZ = 8,	   /* of 2 bytes, or 4 with operand size 4 and 8 */
	IV = 16,   /* of the operand size */
	OF = 32,   /* of the address size */
	N = 64,	   /* no such instruction in 64-bit mode */
	X = 128,   /* no instruction, or a prefix */
	JZ = IZ | I16, /* branch: as IZ; with 66 in 64-bit mode the vendors differ: refused */
	FAR = IZ | OF, /* IZ and a selector */
	I24 = I16 | I8,
	MB = M | I8, MZ = M | IZ, MN = M | N, BN = I8 | N, MBN = M | I8 | N, FN = FAR | N,
};
/* clang-format on */

/* clang-format off */
static const u8 map_1[256] = {
	/* 00 */ M,   M,   M,   M,   I8,  IZ,  N,   N,   M,   M,   M,   M,   I8,  IZ,  N,   X,
	/* 10 */ M,   M,   M,   M,   I8,  IZ,  N,   N,   M,   M,   M,   M,   I8,  IZ,  N,   N,
	/* 20 */ M,   M,   M,   M,   I8,  IZ,  X,   N,   M,   M,   M,   M,   I8,  IZ,  X,   N,
	/* 30 */ M,   M,   M,   M,   I8,  IZ,  X,   N,   M,   M,   M,   M,   I8,  IZ,  X,   N,
	/* 40 */ __,  __,  __,  __,  __,  __,  __,  __,  __,  __,  __,  __,  __,  __,  __,  __,
	/* 50 */ __,  __,  __,  __,  __,  __,  __,  __,  __,  __,  __,  __,  __,  __,  __,  __,
	/* 60 */ N,   N,   MN,  M,   X,   X,   X,   X,   IZ,  MZ,  I8,  MB,  __,  __,  __,  __,
	/* 70 */ I8,  I8,  I8,  I8,  I8,  I8,  I8,  I8,  I8,  I8,  I8,  I8,  I8,  I8,  I8,  I8,
	/* 80 */ MB,  MZ,  MBN, MB,  M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,
	/* 90 */ __,  __,  __,  __,  __,  __,  __,  __,  __,  __,  FN,  __,  __,  __,  __,  __,
	/* a0 */ OF,  OF,  OF,  OF,  __,  __,  __,  __,  I8,  IZ,  __,  __,  __,  __,  __,  __,
	/* b0 */ I8,  I8,  I8,  I8,  I8,  I8,  I8,  I8,  IV,  IV,  IV,  IV,  IV,  IV,  IV,  IV,
	/* c0 */ MB,  MB,  I16, __,  MN,  MN,  MB,  MZ,  I24, __,  I16, __,  __,  I8,  N,   __,
	/* d0 */ M,   M,   M,   M,   BN,  BN,  N,   __,  M,   M,   M,   M,   M,   M,   M,   M,
	/* e0 */ I8,  I8,  I8,  I8,  I8,  I8,  I8,  I8,  JZ,  JZ,  FN,  I8,  __,  __,  __,  __,
	/* f0 */ X,   __,  X,   X,   __,  __,  M,   M,   __,  __,  __,  __,  __,  __,  M,   M,
};
/* clang-format on */

/* clang-format off */
static const u8 map_0f[256] = {
	/* 00 */ M,   M,   M,   M,   X,   __,  __,  __,  __,  __,  X,   __,  X,   M,   __,  MB,
	/* 10 */ M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,
	/* 20 */ M,   M,   M,   M,   X,   X,   X,   X,   M,   M,   M,   M,   M,   M,   M,   M,
	/* 30 */ __,  __,  __,  __,  __,  __,  X,   __,  X,   X,   X,   X,   X,   X,   X,   X,
	/* 40 */ M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,
	/* 50 */ M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,
	/* 60 */ M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,
	/* 70 */ MB,  MB,  MB,  MB,  M,   M,   M,   __,  M,   M,   X,   X,   M,   M,   M,   M,
	/* 80 */ JZ,  JZ,  JZ,  JZ,  JZ,  JZ,  JZ,  JZ,  JZ,  JZ,  JZ,  JZ,  JZ,  JZ,  JZ,  JZ,
	/* 90 */ M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,
	/* a0 */ __,  __,  __,  M,   MB,  M,   M,   M,   __,  __,  __,  M,   MB,  M,   M,   M,
	/* b0 */ M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   MB,  M,   M,   M,   M,   M,
	/* c0 */ M,   M,   MB,  M,   MB,  MB,  MB,  M,   __,  __,  __,  __,  __,  __,  __,  __,
	/* d0 */ M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,
	/* e0 */ M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,
	/* f0 */ M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,   M,
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

	if ((form & FAR) == FAR) {
		out->imm = take(c, z);
		take(c, 2);
	} else if (form & IZ) {
		out->imm = take(c, z);
	} else if (form & IV) {
		out->imm = take(c, out->op_size);
	} else if (form & I16) {
		out->imm = take(c, 2);
		take(c, form & I8 ? 1 : 0);
	} else if (form & I8) {
		out->imm = take(c, 1);
	} else if (form & OF) {
		set_mem(out, INSN_NO_REG, INSN_NO_REG, DS);
		out->has_mem = true;
		out->disp = take(c, out->addr_size);
	}
}

static void set_move(struct insn *out, enum insn_kind kind, u8 size, enum insn_extend extend)
{
	out->kind = (u8)kind;
	out->mem_size = size;
	out->extend = (u8)extend;
	out->high_byte =
		size == 1 && !extend && kind != INSN_STORE_IMM && !out->rex && out->reg >= 4;
}

static bool classify_0f(struct insn *out)
{
	u8 op = out->opcode, sub = out->modrm >> 3 & 7;

	if (op >= 0x20 && op <= 0x23) {
		static const u8 kind[4] = {INSN_CR_READ, INSN_DR_READ, INSN_CR_WRITE,
					   INSN_DR_WRITE};

		out->kind = kind[op - 0x20];
		return !(out->prefixes & INSN_P_LOCK); /* AMD's other name for CR8 */
	}
	if (op == 0x06 || (op == 0x01 && sub == 6))
		out->kind = op == 0x06 ? INSN_CLTS : INSN_LMSW;
	else if ((op == 0xb6 || op == 0xb7) && out->has_mem)
		set_move(out, INSN_LOAD, op & 1 ? 2 : 1, INSN_EXTEND_ZERO);
	else if ((op == 0xbe || op == 0xbf) && out->has_mem)
		set_move(out, INSN_LOAD, op & 1 ? 2 : 1, INSN_EXTEND_SIGN);
	return true;
}

static bool classify(struct insn *out)
{
	u8 op = out->opcode, sub = out->modrm >> 3 & 7, size = op & 1 ? out->op_size : 1;

	if (out->map == INSN_MAP_0F)
		return classify_0f(out);
	if (out->map != INSN_MAP_1)
		return true;
	if (op >= 0xa0 && op <= 0xa3)
		set_move(out, op & 2 ? INSN_STORE : INSN_LOAD, size, INSN_EXTEND_NONE);
	else if (op >= 0x88 && op <= 0x8b && out->has_mem)
		set_move(out, op & 2 ? INSN_LOAD : INSN_STORE, size, INSN_EXTEND_NONE);
	else if ((op & 0xfe) == 0xc6 && out->has_mem && sub == 0)
		set_move(out, INSN_STORE_IMM, size, INSN_EXTEND_NONE);
	return op != 0x8f || sub == 0;
}

/* The opcode after its escape bytes and what may follow it. False: refused. */
static bool decode_opcode(struct cursor *c, enum insn_mode mode, u8 b, struct insn *out, u8 *form)
{
	out->opcode = b;
	*form = map_1[b];
	if (b == 0x0f) {
		out->map = INSN_MAP_0F;
		out->opcode = b = (u8)take(c, 1);
		*form = map_0f[b];
		if (b == 0x38 || b == 0x3a) {
			out->map = b == 0x38 ? INSN_MAP_0F38 : INSN_MAP_0F3A;
			*form = b == 0x38 ? M : MB;
			out->opcode = (u8)take(c, 1);
		} else if (b == 0x78 && out->prefixes & (INSN_P_OPSIZE | INSN_P_REPNE)) {
			*form = M | I16; /* EXTRQ, INSERTQ */
		} else if (b == 0xb8 && !(out->prefixes & INSN_P_REP)) {
			return false;
		}
	}
	if (*form & X || (*form & N && mode == INSN_MODE_64))
		return false;
	return (*form & JZ) != JZ || mode != INSN_MODE_64 || !(out->prefixes & INSN_P_OPSIZE);
}

/*
 * VEX (C4, C5), EVEX (62) and XOP (8F). Outside 64-bit mode the first three are LES, LDS, BOUND if
 * they name memory.
 */
static bool is_vector(u8 b, u8 next, enum insn_mode mode)
{
	if (b == 0xc4 || b == 0xc5 || b == 0x62)
		return mode == INSN_MODE_64 || next >> 6 == 3;
	return b == 0x8f && next & 0x18;
}

bool insn_decode(const u8 *bytes, u32 n, enum insn_mode mode, struct insn *out)
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

	if (is_vector(b, peek(&c), mode) || !decode_opcode(&c, mode, b, out, &form))
		return false;
	if (form & M)
		decode_modrm(&c, mode, out);
	if ((b == 0xf6 || b == 0xf7) && !(out->modrm & 0x30)) /* TEST */
		form |= b == 0xf6 ? I8 : IZ;
	decode_imm(&c, form, out);
	out->length = (u8)c.pos;
	return classify(out) && !c.over;
}
