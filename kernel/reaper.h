/* Frees dead objects and dead domains in bounded steps, in a kernel thread of its own. */
#pragma once

#include "kernel/object.h"

void reaper_start(void);
/*
 * Drops what may be the last reference. At 0 the object is freed after every CPU has left the
 * kernel once, unless someone who had looked it up before takes a reference meanwhile.
 */
void reaper_put(struct object *o);
/* Every thread of the domain has ended: its handles are closed, its address space is taken down. */
void reaper_add_domain(struct domain *d);
