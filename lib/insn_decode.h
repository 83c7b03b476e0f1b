/*
 * A pure, bounded decoder of x86 instructions: length, prefixes, operands of the forms that a
 * hypervisor meets. Intel SDM 2, "Instruction Format"; AMD APM 3, "Instruction Encoding".
 */
#pragma once

#include "lib/types.h"

#define INSN_MAX 15

/* default size of the code segment */
enum insn_mode { INSN_MODE_16 = 16, INSN_MODE_32 = 32, INSN_MODE_64 = 64 };

enum insn_kind {
	INSN_OTHER,    /* only the length and the raw fields mean something */
	INSN_CR_WRITE, /* MOV CRn, r: n in reg, the general register in rm */
	INSN_CR_READ,  /* MOV r, CRn */
	INSN_CLTS,
	INSN_LOAD,	/* reg = memory: op_size bytes, 1 if the opcode is even; so the next two */
	INSN_STORE,	/* memory = reg */
	INSN_STORE_IMM, /* memory = imm */
};

/* clang-format off */
enum insn_prefix {
	INSN_P_LOCK = 1, INSN_P_REPNE = 2, INSN_P_REP = 4, INSN_P_OPSIZE = 8, INSN_P_ADDRSIZE = 16,
};
/* clang-format on */

enum insn_map { INSN_MAP_1, INSN_MAP_0F, INSN_MAP_0F38, INSN_MAP_0F3A };

#define INSN_NO_REG 0xff

struct insn {
	u8 length;
	u8 kind;	/* enum insn_kind, where the form_of tells it */
	u8 map, opcode; /* enum insn_map */
	u8 prefixes;	/* enum insn_prefix */
	u8 rex;		/* the REX byte in force, or 0 */
	u8 op_size;	/* effective operand size 2, 4, 8 of forms that are not byte-sized */
	u8 addr_size;	/* effective address size 2, 4, 8 */
	bool has_modrm, has_mem;
	u8 modrm;
	u8 reg; /* modrm.reg with REX.R; the accumulator for A0-A3 */
	u8 rm;	/* modrm.rm with REX.B, when it is a register */
	/* sign-extended; the second immediate of ENTER, EXTRQ and far pointers is dropped */
	s64 imm;
	/* The memory operand: (base + index * scale + disp) cut to addr_size, in segment seg. */
	/* enum seg (uapi/run.h) order: ES CS SS DS FS GS; the default applied, or the override */
	u8 seg;
	bool seg_override;
	u8 base, index;	   /* enum gpr order, or INSN_NO_REG */
	u8 scale;	   /* 1, 2, 4, 8 */
	bool rip_relative; /* add the address of the next instruction */
	s64 disp;
};

/* What follows an opcode. */
/* clang-format off */
enum insn_form {
	INSN_MODRM = 1,
	INSN_I8 = 2,   /* immediate of 1 byte */
	INSN_I16 = 4,  /* of 2 bytes */
	INSN_IZ = 8,   /* of 2 bytes, or 4 with operand size 4 and 8 */
	INSN_IV = 16,  /* of the operand size */
	INSN_OF = 32,  /* of the address size */
	INSN_FAR = INSN_IZ | INSN_OF, /* IZ and a selector */
};
/* clang-format on */

/*
 * The form of in->map and in->opcode; prefixes, mode and sizes are known, and the next byte, 0 at
 * the end. False: not known. May set in->kind.
 */
typedef bool (*insn_form_fn)(struct insn *in, enum insn_mode mode, u8 next, u8 *form);

/*
 * Decodes the instruction at bytes[0..n) (at most 15 are looked at). False: form_of does not know
 * it (no VEX, EVEX or XOP form is known: no CPU asks for their length), or it needs more than n
 * bytes; *out is then undefined.
 */
bool insn_decode(const u8 *bytes, u32 n, enum insn_mode mode, insn_form_fn form_of,
		 struct insn *out);
