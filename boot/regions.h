/* Arithmetic on the list of usable RAM in the boot information; pure, host-tested. */
#pragma once

#include "hv/bootinfo.h"

/* Appends a range; empty ones are ignored, one that wraps or finds no room is counted in regions_dropped. */
void regions_add(struct bootinfo *b, u64 start, u64 bytes);
/* Sorts by address and joins what overlaps or touches. Needed before the functions below. */
void regions_merge(struct bootinfo *b);
/* Takes [start, start + bytes) away; a range that wraps reaches to the end of the address space. */
void regions_subtract(struct bootinfo *b, u64 start, u64 bytes);
/* Aligns to pages inwards and drops what becomes empty. */
void regions_align(struct bootinfo *b);
/* Does one region contain all of [start, start + bytes)? */
bool regions_contain(const struct bootinfo *b, u64 start, u64 bytes);
