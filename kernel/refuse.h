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

struct hv_ops;
/* The back-end for this CPU. NULL: no VM can run, *why is the reason, at most 95 characters. */
const struct hv_ops *vendor_choose(const struct cpu_facts *f, const char **why);
