/*
 * Counters of known frequency: HPET, ACPI PM timer. For calibration, and as clocks where the TSC is
 * none.
 */
#pragma once

#include "lib/types.h"

struct clock_ref {
	const char *name;
	u64 hz;
	u64 mask; /* the counter wraps after this value */
	u64 (*read)(void);
};

/* The best one that this machine has and that is seen counting; false: none. */
bool clock_ref_find(struct clock_ref *out);
