/*
 * RAM before the frame allocator runs: the boot information's regions, cut to mem=, without what is in use.
 * Boot CPU only, during mm_init.
 */
#pragma once

#include "hv/bootinfo.h"

enum early_cover { COVER_NONE, COVER_SOME, COVER_ALL };

struct early_run {
	u64 start, end;
};

void early_init(const struct bootinfo *b, u64 limit);
/* Takes aligned bytes that end at or below `below`, from the highest place. False: none. Not zeroed. */
bool early_carve(u64 bytes, u64 align, u64 below, u64 *out) __must_check;
/* How much of [start, end) is RAM that gets a frame-table entry (boot modules included). */
enum early_cover early_covers(u64 start, u64 end);
/* End of the highest covered byte. */
u64 early_ram_end(void);
/* What is still free; the runs are sorted by nothing. */
const struct early_run *early_free_runs(u32 *count);
