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
	INSN_DR_WRITE, /* MOV DRn, r */
	INSN_DR_READ,
	INSN_CLTS,
	INSN_LMSW,	/* operand: 16 bits of register rm, or of memory when has_mem */
	INSN_LOAD,	/* reg = memory; extended from mem_size to op_size as `extend` says */
	INSN_STORE,	/* memory = reg */
	INSN_STORE_IMM, /* memory = imm */
};

enum insn_extend { INSN_EXTEND_NONE, INSN_EXTEND_ZERO, INSN_EXTEND_SIGN };

/* clang-format off */
enum insn_prefix {
	INSN_P_LOCK = 1, INSN_P_REPNE = 2, INSN_P_REP = 4, INSN_P_OPSIZE = 8, INSN_P_ADDRSIZE = 16,
};
/* clang-format on */

enum insn_map { INSN_MAP_1, INSN_MAP_0F, INSN_MAP_0F38, INSN_MAP_0F3A };

#define INSN_NO_REG 0xff

struct insn {
	u8 length;
	u8 kind;	/* enum insn_kind */
	u8 map, opcode; /* enum insn_map */
	u8 prefixes;	/* enum insn_prefix */
	u8 rex;		/* the REX byte in force, or 0 */
	u8 op_size;	/* effective operand size 2, 4, 8 of forms that are not byte-sized */
	u8 addr_size;	/* effective address size 2, 4, 8 */
	bool has_modrm, has_mem;
	u8 modrm;
	u8 reg;	     /* modrm.reg with REX.R; the accumulator for A0-A3 */
	u8 rm;	     /* modrm.rm with REX.B, when it is a register */
	u8 mem_size; /* LOAD, STORE, STORE_IMM: bytes accessed */
	u8 extend;   /* enum insn_extend */
	/* LOAD, STORE: reg 4..7 means AH, CH, DH, BH (bits 8-15 of register reg - 4) */
	bool high_byte;
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

/*
 * Decodes the instruction at bytes[0..n) (at most 15 are looked at). False: not an instruction that
 * this decoder knows (VEX, EVEX and XOP forms are none: no CPU asks for their length), or it needs
 * more than n bytes; *out is then undefined.
 */
bool insn_decode(const u8 *bytes, u32 n, enum insn_mode mode, struct insn *out);
