/*
 * What a guest's registers and events must keep, stated once: for the monitor, whose guest gets #GP
 * for what breaks it, and for the audit. With any other a CPU refuses the entry, or runs the guest
 * as it takes it; neither harms the host. Pure.
 */
#pragma once

#include "uapi/run.h"

struct rule {
	bool broken;
	const char *text; /* "field: rule" */
};

/* The text of the first broken one, or NULL. */
const char *first_broken(const struct rule *r, u32 count);
#define FIRST_BROKEN(rules) first_broken(rules, ARRAY_SIZE(rules))

/* What CR0, CR4 and EFER keep together where guests may set these bits: as first_broken. */
const char *cr_broken(const struct guest_bits *may, u64 cr0, u64 cr4, u64 efer);
bool pat_valid(u64 pat);
/* May it be injected (enum hv_event, vector)? soft: INT n too. */
bool event_valid(u32 event, bool soft);
