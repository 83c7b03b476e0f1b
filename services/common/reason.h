/* Texts for enum vm_reason. */
#pragma once

#include "services/proto.h"

/* "power-off", "triple fault", ...; "unknown" for a number that is none. */
const char *vm_reason_text(u32 reason);
