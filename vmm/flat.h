/*
 * The table that the CPU uses for a guest without paging where it can't do without
 * (VM_FLAT_TABLE). It is made when a CPU asks for it: most never do.
 */
#pragma once

#include "vmm/machine.h"

/* Is this exit a CPU's way to ask? cr0: the guest's. */
bool flat_table_wanted(const struct vcpu_run *r, u64 cr0);
/* Any vCPU's thread. 0 or a negative error; when another makes it, it may not be there yet. */
int flat_table_provide(struct machine *m);
