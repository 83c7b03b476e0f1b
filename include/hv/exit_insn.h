/*
 * The instructions whose exits the kernel handles alone: their length, and what a MOV of 32 bits
 * does with memory. All others are the monitor's. Intel SDM 2, "Instruction Format".
 */
#pragma once

#include "lib/types.h"

#define EXIT_INSN_MAX 15

enum exit_insn_access { ACCESS_NONE, ACCESS_LOAD, ACCESS_STORE, ACCESS_STORE_IMM };

struct exit_insn {
	u8 length;
	u8 access; /* enum exit_insn_access */
	u8 reg;	   /* that is loaded or stored */
	u32 imm;
};

/*
 * What the n bytes, at most 15, begin with, in code of 16, 32 or 64 bits. Pure. False: nothing that
 * is known, or not all of it; *out is then undefined. kernel/exit_insn.c
 */
bool exit_insn_decode(const u8 *bytes, u32 n, u32 bits, struct exit_insn *out);
