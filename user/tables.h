/* The audit of the kernel's live page tables. */
#pragma once

#include "uapi/abi.h"

/*
 * Goes through the kernel half of the caller's tables. Returns how many pages break a rule: none is
 * writable and executable, none is open to ring 3, and every frame is one that ring 0 may have
 * there, none of a program or a guest. The first ones go to the kernel's log. Negative: an error
 * of sys_ctl, for which the handle needs R_STAT, and for the log R_LOG.
 */
s64 tables_check(handle_t system);
