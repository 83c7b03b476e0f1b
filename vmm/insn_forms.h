/* What the decoder of lib/ is told about opcodes: for the monitor, all of the legacy maps. */
#pragma once

#include "lib/insn_decode.h"

/* See insn_form_fn. */
bool insn_any(struct insn *in, enum insn_mode mode, u8 next, u8 *form);
