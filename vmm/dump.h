/* The registers of a vCPU that can't go on, as lines of the log. */
#pragma once

#include "uapi/run.h"

#define DUMP_GROUPS (STATE_GPR | STATE_SEG | STATE_CR | STATE_DR | STATE_MSR)

void dump_state(const struct vcpu_state *s); /* which holds DUMP_GROUPS */
