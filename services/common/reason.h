/* Texts for enum vm_reason. */
#pragma once

#include "services/proto.h"

/* Which of a definition's rules it falls under: VM_ENDS = none, it is gone for good. */
enum vm_end vm_end_of(u32 reason);
/* "power-off", "triple fault", ...; "unknown" for a number that is none. */
const char *vm_reason_text(u32 reason);
