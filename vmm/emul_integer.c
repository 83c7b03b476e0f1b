/*
 * Integer instructions that no exit is about, for code that emul_run runs. Intel SDM 2, on each;
 * flags that are undefined stay.
 */
#include "vmm/emul_priv.h"

#define FLAGS_LOW (u64)(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF)

static s64 sign_extend(u64 v, u32 bytes)
{
	return (s64)(v << (64 - bytes * 8)) >> (64 - bytes * 8);
}

static void put_flag(struct emul *e, u64 flag, bool on)
{
	e->s->rflags = on ? e->s->rflags | flag : e->s->rflags & ~flag;
}

/* ---- One register or the accumulator ---- */

static enum emul_result do_alu_accumulator(struct emul *e)
{
	enum emul_alu_op op = e->insn.opcode >> 3 & 7;
	u32 bytes = emul_operand_bytes(e);
	u64 result = emul_alu(op, emul_full_read(e, GPR_RAX, bytes), (u64)e->insn.imm, bytes,
			      &e->s->rflags);

	if (op != ALU_CMP)
		emul_full_write(e, GPR_RAX, bytes, result);
	return EMUL_OK;
}

static enum emul_result do_test_accumulator(struct emul *e)
{
	u32 bytes = emul_operand_bytes(e);

	emul_alu(ALU_AND, emul_full_read(e, GPR_RAX, bytes), (u64)e->insn.imm, bytes,
		 &e->s->rflags);
	return EMUL_OK;
}

static enum emul_result do_inc_dec(struct emul *e)
{
	u8 reg = e->insn.opcode & 7;
	u32 bytes = e->insn.op_size;

	emul_full_write(e, reg, bytes,
			emul_inc_dec(e->insn.opcode & 8, emul_full_read(e, reg, bytes), bytes,
				     &e->s->rflags));
	return EMUL_OK;
}

static enum emul_result do_xchg_accumulator(struct emul *e) /* NOP and PAUSE among them */
{
	u8 reg = e->insn.opcode & 7;
	u32 bytes = e->insn.op_size;
	u64 value = emul_full_read(e, reg, bytes);

	if (!reg)
		return EMUL_OK;
	emul_full_write(e, reg, bytes, emul_full_read(e, GPR_RAX, bytes));
	emul_full_write(e, GPR_RAX, bytes, value);
	return EMUL_OK;
}

static enum emul_result do_mov_register(struct emul *e)
{
	if (e->insn.opcode & 8)
		emul_full_write(e, e->insn.opcode & 7, e->insn.op_size, (u64)e->insn.imm);
	else
		emul_reg_write(e, e->insn.opcode & 7, 1, (u64)e->insn.imm);
	return EMUL_OK;
}

static enum emul_result do_bswap(struct emul *e)
{
	u8 reg = e->insn.opcode & 7;

	emul_full_write(e, reg, 4, __builtin_bswap32((u32)e->s->gpr[reg]));
	return EMUL_OK;
}

static enum emul_result do_convert(struct emul *e) /* CBW, CWDE; CWD, CDQ */
{
	u32 bytes = e->insn.op_size;

	if (e->insn.opcode == 0x98)
		emul_full_write(e, GPR_RAX, bytes, (u64)sign_extend(e->s->gpr[GPR_RAX], bytes / 2));
	else
		emul_full_write(e, GPR_RDX, bytes,
				sign_extend(e->s->gpr[GPR_RAX], bytes) < 0 ? ~0ull : 0);
	return EMUL_OK;
}

static enum emul_result do_flags_ah(struct emul *e) /* SAHF, LAHF */
{
	u64 *rax = &e->s->gpr[GPR_RAX];

	if (e->insn.opcode == 0x9e)
		e->s->rflags = (e->s->rflags & ~FLAGS_LOW) | (*rax >> 8 & FLAGS_LOW);
	else
		*rax = (*rax & ~0xff00ull) | (e->s->rflags & FLAGS_LOW) << 8 | RFLAGS_FIXED << 8;
	return EMUL_OK;
}

static enum emul_result do_lea(struct emul *e)
{
	if (!e->insn.has_mem)
		return emul_fault(e, EXC_UD, 0);
	emul_full_write(e, e->insn.reg, e->insn.op_size, emul_effective(e));
	return EMUL_OK;
}

static enum emul_result do_xlat(struct emul *e)
{
	u64 at = (e->s->gpr[GPR_RBX] + (u8)e->s->gpr[GPR_RAX]) & emul_mask(e->insn.addr_size);
	struct emul_span sp;
	enum emul_result r = emul_map(e, e->insn.seg, at, 1, 0, &sp);

	if (!r)
		emul_full_write(e, GPR_RAX, 1, emul_span_read(e, &sp));
	return r;
}

/* ---- Decimal ---- */

static void decimal_flags(struct emul *e, bool cf, bool af)
{
	u64 flags = 0;

	emul_alu(ALU_OR, e->s->gpr[GPR_RAX] & 0xff, 0, 1, &flags);
	e->s->rflags = (e->s->rflags & ~FLAGS_LOW) | (flags & FLAGS_LOW);
	put_flag(e, RFLAGS_CF, cf);
	put_flag(e, RFLAGS_AF, af);
}

static enum emul_result do_daa_das(struct emul *e)
{
	bool das = e->insn.opcode & 8, cf = e->s->rflags & RFLAGS_CF;
	u8 before = (u8)e->s->gpr[GPR_RAX], al = before;
	bool low = (al & 15) > 9 || e->s->rflags & RFLAGS_AF, high = before > 0x99 || cf;

	if (low)
		al = (u8)(das ? al - 6 : al + 6);
	if (high)
		al = (u8)(das ? al - 0x60 : al + 0x60);
	emul_full_write(e, GPR_RAX, 1, al);
	decimal_flags(e, high || (low && das && before < 6), low);
	return EMUL_OK;
}

static enum emul_result do_aaa_aas(struct emul *e)
{
	u16 ax = (u16)e->s->gpr[GPR_RAX];
	bool adjust = (ax & 15) > 9 || e->s->rflags & RFLAGS_AF;

	if (adjust)
		ax = (u16)(e->insn.opcode & 8 ? ax - 0x106 : ax + 0x106);
	emul_full_write(e, GPR_RAX, 2, ax & 0xff0f);
	put_flag(e, RFLAGS_CF, adjust);
	put_flag(e, RFLAGS_AF, adjust);
	return EMUL_OK;
}

static enum emul_result do_aam_aad(struct emul *e)
{
	u8 base = (u8)e->insn.imm, al = (u8)e->s->gpr[GPR_RAX], ah = (u8)(e->s->gpr[GPR_RAX] >> 8);

	if (e->insn.opcode == 0xd5)
		emul_full_write(e, GPR_RAX, 2, (u8)(al + ah * base));
	else if (!base)
		return emul_fault(e, EXC_DE, 0);
	else
		emul_full_write(e, GPR_RAX, 2, (u64)(al / base) << 8 | al % base);
	decimal_flags(e, false, false);
	return EMUL_OK;
}

/* ---- Multiplication and division, of at most 4 bytes ---- */

static enum emul_result divide(struct emul *e, u64 by, u32 bytes, bool sign)
{
	u64 low = emul_full_read(e, GPR_RAX, bytes == 1 ? 2 : bytes);
	u64 a = bytes == 1 ? low : low | emul_full_read(e, GPR_RDX, bytes) << bytes * 8;
	u64 quotient, rest;

	if (sign) {
		s64 n = sign_extend(a, bytes * 2), d = sign_extend(by, bytes);

		if (!d || (d == -1 && n == INT64_MIN) || n / d != sign_extend((u64)(n / d), bytes))
			return emul_fault(e, EXC_DE, 0);
		quotient = (u64)(n / d);
		rest = (u64)(n % d);
	} else {
		if (!by || a / by > emul_mask(bytes))
			return emul_fault(e, EXC_DE, 0);
		quotient = a / by;
		rest = a % by;
	}
	if (bytes == 1) {
		emul_full_write(e, GPR_RAX, 2, (quotient & 0xff) | (rest & 0xff) << 8);
	} else {
		emul_full_write(e, GPR_RAX, bytes, quotient);
		emul_full_write(e, GPR_RDX, bytes, rest);
	}
	return EMUL_OK;
}

static void multiply(struct emul *e, u64 by, u32 bytes, bool sign)
{
	u64 a = emul_full_read(e, GPR_RAX, bytes);
	u64 product = sign ? (u64)(sign_extend(a, bytes) * sign_extend(by, bytes)) : a * by;
	bool over =
		sign ? (s64)product != sign_extend(product, bytes) : product & ~emul_mask(bytes);

	if (bytes == 1) {
		emul_full_write(e, GPR_RAX, 2, product);
	} else {
		emul_full_write(e, GPR_RAX, bytes, product);
		emul_full_write(e, GPR_RDX, bytes, product >> bytes * 8);
	}
	put_flag(e, RFLAGS_CF, over);
	put_flag(e, RFLAGS_OF, over);
}

/* MUL, IMUL, DIV, IDIV of F6 and F7. */
static enum emul_result do_mul_div(struct emul *e)
{
	u8 kind = e->insn.modrm >> 3 & 7;
	u32 bytes = emul_operand_bytes(e);
	struct emul_operand o;
	enum emul_result r = emul_operand_rm(e, bytes, 0, &o);

	if (r)
		return r;
	u64 by = emul_operand_read(e, &o);

	if (kind >= 6)
		return divide(e, by, bytes, kind == 7);
	multiply(e, by, bytes, kind == 5);
	return EMUL_OK;
}

/* IMUL of two or three operands. */
static enum emul_result do_imul(struct emul *e)
{
	bool immediate = e->insn.map == INSN_MAP_1;
	u32 bytes = e->insn.op_size;
	struct emul_operand o;
	enum emul_result r = emul_operand_rm(e, bytes, 0, &o);

	if (r)
		return r;
	s64 a = sign_extend(emul_operand_read(e, &o), bytes);
	s64 b = immediate ? e->insn.imm : sign_extend(e->s->gpr[e->insn.reg], bytes);
	bool over = a * b != sign_extend((u64)(a * b), bytes);

	emul_full_write(e, e->insn.reg, bytes, (u64)(a * b));
	put_flag(e, RFLAGS_CF, over);
	put_flag(e, RFLAGS_OF, over);
	return EMUL_OK;
}

/* ---- Bits ---- */

static enum emul_result do_bit_scan(struct emul *e)
{
	u32 bytes = e->insn.op_size;
	struct emul_operand o;
	enum emul_result r;

	if (e->insn.prefixes & INSN_P_REP)
		return emul_unsupported(e, "TZCNT or LZCNT");
	r = emul_operand_rm(e, bytes, 0, &o);
	if (r)
		return r;
	u64 value = emul_operand_read(e, &o);

	put_flag(e, RFLAGS_ZF, !value);
	if (value)
		emul_full_write(e, e->insn.reg, bytes,
				e->insn.opcode & 1 ? 63 - (u32)__builtin_clzll(value)
						   : (u32)__builtin_ctzll(value));
	return EMUL_OK;
}

/* SHLD, SHRD: bits come in from the other register. */
static enum emul_result do_shift_double(struct emul *e)
{
	bool right = e->insn.opcode & 8;
	u32 bytes = e->insn.op_size, bits = bytes * 8;
	u32 count = (e->insn.opcode & 1 ? (u32)e->s->gpr[GPR_RCX] : (u32)e->insn.imm) & 31;
	struct emul_operand o;
	enum emul_result r = emul_operand_rm(e, bytes, EMUL_WRITE, &o);

	if (r)
		return r;
	u64 old = emul_operand_read(e, &o), in = emul_full_read(e, e->insn.reg, bytes);
	u64 both = right ? in << bits | old : old << bits | in, flags = e->s->rflags;

	if (!count || count > bits)
		return EMUL_OK;
	u64 result = (right ? both >> count : both << count >> bits) & emul_mask(bytes);
	bool carry = (right ? old >> (count - 1) : old >> (bits - count)) & 1;
	bool over = (old ^ result) >> (bits - 1) & 1;

	emul_alu(ALU_OR, result, 0, bytes, &flags);
	r = emul_operand_write(e, &o, old, result, false);
	if (r)
		return r;
	e->s->rflags = flags;
	put_flag(e, RFLAGS_CF, carry);
	put_flag(e, RFLAGS_OF, over);
	return EMUL_OK;
}

static enum emul_result do_nothing(struct emul *e) { return EMUL_OK; }

/* ---- Tables ---- */

static const emul_fn integer_1[256] = {
/* clang-format off */
#define ACCUMULATOR(n) [(n) + 4 ... (n) + 5] = do_alu_accumulator
	ACCUMULATOR(0x00), ACCUMULATOR(0x08), ACCUMULATOR(0x10), ACCUMULATOR(0x18),
	ACCUMULATOR(0x20), ACCUMULATOR(0x28), ACCUMULATOR(0x30), ACCUMULATOR(0x38),
/* clang-format on */
#undef ACCUMULATOR
	[0x27] = do_daa_das,
	[0x2f] = do_daa_das,
	[0x37] = do_aaa_aas,
	[0x3f] = do_aaa_aas,
	[0x40 ... 0x4f] = do_inc_dec,
	[0x69] = do_imul,
	[0x6b] = do_imul,
	[0x8d] = do_lea,
	[0x90 ... 0x97] = do_xchg_accumulator,
	[0x98 ... 0x99] = do_convert,
	[0x9e ... 0x9f] = do_flags_ah,
	[0xa8 ... 0xa9] = do_test_accumulator,
	[0xb0 ... 0xbf] = do_mov_register,
	[0xd4 ... 0xd5] = do_aam_aad,
	[0xd7] = do_xlat,
};

static const emul_fn integer_0f[256] = {
	[0x0d] = do_nothing,	      /* PREFETCHW */
	[0x18 ... 0x1f] = do_nothing, /* hints */
	[0xa4 ... 0xa5] = do_shift_double,
	[0xac ... 0xad] = do_shift_double,
	[0xaf] = do_imul,
	[0xbc ... 0xbd] = do_bit_scan,
	[0xc8 ... 0xcf] = do_bswap,
};

emul_fn emul_integer(const struct emul *e)
{
	u8 op = e->insn.opcode;

	if (e->insn.map == INSN_MAP_0F)
		return integer_0f[op];
	if (e->insn.map != INSN_MAP_1)
		return NULL;
	return (op == 0xf6 || op == 0xf7) && e->insn.modrm & 0x20 ? do_mul_div : integer_1[op];
}
