/*
 * Results and flags of integer arithmetic. Intel SDM 1, "EFLAGS Register"; what is undefined is
 * cleared.
 */
#include "vmm/emul_priv.h"

#define FLAGS_ARITH (u64)(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

static u64 result_flags(u64 r, u32 bytes)
{
	u64 f = 0;

	if (!(r & emul_mask(bytes)))
		f |= RFLAGS_ZF;
	if (r >> (bytes * 8 - 1) & 1)
		f |= RFLAGS_SF;
	if (!__builtin_parity((u32)r & 0xff))
		f |= RFLAGS_PF;
	return f;
}

/* carries: bit n = carry (or borrow) out of bit n */
static u64 carry_flags(u64 carries, u32 bytes)
{
	u32 top = bytes * 8 - 1;
	u64 f = 0;

	if (carries >> top & 1)
		f |= RFLAGS_CF;
	if ((carries >> top ^ carries >> (top - 1)) & 1)
		f |= RFLAGS_OF;
	if (carries & 8)
		f |= RFLAGS_AF;
	return f;
}

u64 emul_alu(enum emul_alu_op op, u64 a, u64 b, u32 bytes, u64 *flags)
{
	u64 carry = *flags & RFLAGS_CF, r, carries = 0;

	switch (op) {
	case ALU_ADD:
	case ALU_ADC:
		r = a + b + (op == ALU_ADC ? carry : 0);
		carries = (a & b) | ((a | b) & ~r);
		break;
	case ALU_SUB:
	case ALU_SBB:
	case ALU_CMP:
		r = a - b - (op == ALU_SBB ? carry : 0);
		carries = (~a & b) | ((~a | b) & r);
		break;
	case ALU_OR: r = a | b; break;
	case ALU_AND: r = a & b; break;
	default: r = a ^ b; break;
	}
	*flags = (*flags & ~FLAGS_ARITH) | result_flags(r, bytes) | carry_flags(carries, bytes);
	return r & emul_mask(bytes);
}

u64 emul_inc_dec(bool dec, u64 a, u32 bytes, u64 *flags)
{
	u64 carry = *flags & RFLAGS_CF;
	u64 r = emul_alu(dec ? ALU_SUB : ALU_ADD, a, 1, bytes, flags);

	*flags = (*flags & ~(u64)RFLAGS_CF) | carry;
	return r;
}

/* One bit position at a time: at most 63 rounds, and no special cases of size and count. */
u64 emul_shift(enum emul_shift_op op, u64 a, u32 count, u32 bytes, u64 *flags)
{
	u32 top = bytes * 8 - 1;
	u64 cf = *flags & RFLAGS_CF, of = 0;

	count &= bytes == 8 ? 63 : 31;
	if (!count)
		return a;
	while (count--) {
		u64 high = a >> top & 1, low = a & 1, in;

		switch (op) {
		case SHIFT_ROL: in = high; break;
		case SHIFT_RCL:
		case SHIFT_RCR: in = cf; break;
		case SHIFT_ROR: in = low; break;
		case SHIFT_SAR: in = high; break;
		default: in = 0; break;
		}
		if (op == SHIFT_ROL || op == SHIFT_RCL || op == SHIFT_SHL || op == SHIFT_SAL) {
			a = (a << 1 | in) & emul_mask(bytes);
			cf = high;
			of = (a >> top & 1) ^ cf;
		} else {
			a = a >> 1 | in << top;
			cf = low;
			of = (a >> top ^ a >> (top - 1)) &
			     1; /* rotates and shifts right alike: the top bit changed */
		}
	}
	u64 keep = op >= SHIFT_SHL ? ~FLAGS_ARITH : ~(u64)(RFLAGS_CF | RFLAGS_OF);

	*flags = (*flags & keep) | cf | (of ? RFLAGS_OF : 0u);
	if (op >= SHIFT_SHL)
		*flags |= result_flags(a, bytes);
	return a;
}

bool emul_condition(u8 code, u64 f)
{
	bool sf_of = !!(f & RFLAGS_SF) != !!(f & RFLAGS_OF), v;

	switch (code >> 1 & 7) {
	case 0: v = f & RFLAGS_OF; break;
	case 1: v = f & RFLAGS_CF; break;
	case 2: v = f & RFLAGS_ZF; break;
	case 3: v = f & (RFLAGS_CF | RFLAGS_ZF); break;
	case 4: v = f & RFLAGS_SF; break;
	case 5: v = f & RFLAGS_PF; break;
	case 6: v = sf_of; break;
	default: v = sf_of || f & RFLAGS_ZF; break;
	}
	return v != (code & 1);
}
