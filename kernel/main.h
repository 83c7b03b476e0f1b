/* Facts of the start that others need. */
#pragma once

#include "hv/bootinfo.h"
#include "kernel/options.h"

extern struct boot_options boot_options; /* [I] */
extern const char *no_vms_why;		 /* [I] why no VM can run; NULL = hv_ops is there */

/*
 * Starts the root task. Panics with what is missing or wrong: without init there is nothing to run.
 */
void init_load(const struct bootinfo *b);
