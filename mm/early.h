/*
 * RAM before the frame allocator runs: the boot information's ranges, cut to mem=, without what is
 * in use. Boot CPU only, from mm_init to frame_init.
 */
#pragma once

#include "hv/bootinfo.h"

extern struct ranges early_ram;	 /* what gets frame-table entries: boot modules included */
extern struct ranges early_free; /* of it, what is not in use */

void early_init(const struct bootinfo *b, u64 limit);
/*
 * Takes aligned bytes that end at or below `below`, from the highest place. False: none. Not
 * zeroed.
 */
bool early_carve(u64 bytes, u64 align, u64 below, u64 *out) __must_check;
