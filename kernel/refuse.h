/* What a machine must have. Pure functions of what was read at start. */
#pragma once

#include "hv/bootinfo.h"
#include "hv/facts.h"

/*
 * Why Caisson can't start here, in one line for a person: what was found, and what to do. False,
 * and an empty line, when it can. mem_limit: of the boot option mem=, in bytes; 0 = none.
 */
bool boot_refused(const struct bootinfo *b, const struct cpu_facts *f, u64 mem_limit, char *why,
		  size_t size);

/* Why this machine can run no VM; at most 95 characters. NULL: its AMD-V is usable. */
const char *vms_refused(const struct cpu_facts *f);
