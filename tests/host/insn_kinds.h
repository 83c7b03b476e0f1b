/* What the decoder of lib/ is told about opcodes: those that tell the kind of an instruction. */
#pragma once

#include "lib/insn_decode.h"

/* See insn_form_fn; tells the kind too. */
bool insn_kinds(struct insn *in, enum insn_mode mode, u8 next, u8 *form);
