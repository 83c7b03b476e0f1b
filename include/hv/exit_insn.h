/*
 * The instructions of 64-bit code whose exits the kernel handles alone: their length, and what a
 * MOV of 32 bits does with memory. All others, and other code, are the monitor's. Intel SDM 2,
 * "Instruction Format".
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
 * What the n bytes, at most 15, begin with. Pure. False: nothing that is known, or not all of it;
 * *out is then undefined. kernel/exit_insn.c
 */
bool exit_insn_decode(const u8 *bytes, u32 n, struct exit_insn *out);
