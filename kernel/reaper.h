/* Frees dead objects and dead domains in bounded steps, in a kernel thread of its own. */
#pragma once

#include "kernel/object.h"

void reaper_start(void);
/* refs reached 0: freed after every CPU has left the kernel once. Any context with interrupts off. */
void reaper_add(struct object *o);
/* Every thread of the domain has ended: its handles are closed, its address space is taken down. */
void reaper_add_domain(struct domain *d);
