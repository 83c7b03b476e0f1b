/*
 * The forms of all instructions of the legacy maps, for the decoder of lib/: Intel SDM 2, Appendix
 * A "Opcode Map"; AMD APM 3, Appendix A.
 */
#include "vmm/insn_forms.h"

/* Forms and combinations that only these tables need. */
/* clang-format off */
enum {
	__ = 0,
	M = INSN_MODRM, I8 = INSN_I8, I16 = INSN_I16, IZ = INSN_IZ, IV = INSN_IV, OF = INSN_OF,
	N = 64,	   /* no such instruction in 64-bit mode */
	X = 128,   /* no instruction, or a prefix */
	JZ = IZ | I16, /* branch: as IZ; with 66 in 64-bit mode the vendors differ: refused */
	I24 = I16 | I8,
	MB = M | I8, MZ = M | IZ, MN = M | N, BN = I8 | N, MBN = M | I8 | N, FN = INSN_FAR | N,
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

/*
 * VEX (C4, C5), EVEX (62), XOP (8F) and what else is not POP. Outside 64-bit mode the first three
 * are LES, LDS, BOUND if they name memory.
 */
static bool is_vector(u8 op, u8 next, enum insn_mode mode)
{
	if (op == 0xc4 || op == 0xc5 || op == 0x62)
		return mode == INSN_MODE_64 || next >> 6 == 3;
	return op == 0x8f && next & 0x38;
}

static bool form_1(const struct insn *in, enum insn_mode mode, u8 next, u8 *form)
{
	u8 op = in->opcode;

	*form = map_1[op];
	if ((op == 0xf6 || op == 0xf7) && !(next & 0x30)) /* TEST */
		*form |= op == 0xf6 ? I8 : IZ;
	return !is_vector(op, next, mode);
}

static bool form_0f(const struct insn *in, u8 *form)
{
	u8 op = in->opcode;

	*form = map_0f[op];
	if (op == 0x78 && in->prefixes & (INSN_P_OPSIZE | INSN_P_REPNE))
		*form = M | I16; /* EXTRQ, INSERTQ */
	if (op == 0xb8 && !(in->prefixes & INSN_P_REP))
		return false;
	/* AMD's other name for CR8 */
	return (op & 0xfc) != 0x20 || !(in->prefixes & INSN_P_LOCK);
}

bool insn_any(struct insn *in, enum insn_mode mode, u8 next, u8 *form)
{
	bool wide = mode == INSN_MODE_64;

	*form = in->map == INSN_MAP_0F3A ? MB : M;
	if ((in->map == INSN_MAP_1 && !form_1(in, mode, next, form)) ||
	    (in->map == INSN_MAP_0F && !form_0f(in, form)))
		return false;
	if (*form & X || (*form & N && wide))
		return false;
	if ((*form & JZ) == JZ && wide && in->prefixes & INSN_P_OPSIZE)
		return false;
	*form &= (u8)~N;
	return true;
}
