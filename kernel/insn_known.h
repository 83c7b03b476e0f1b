/* What the decoder of lib/ is told about opcodes: for the kernel, those that it meets. */
#pragma once

#include "lib/insn_decode.h"

/* See insn_form_fn; tells the kind too. Everything else is the monitor's. */
bool insn_known(struct insn *in, enum insn_mode mode, u8 next, u8 *form);
