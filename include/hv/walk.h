/* The walk cache of one vCPU: where the code pages were found through the guest's page tables. */
#pragma once

#include "lib/types.h"

#define WALK_LEVELS 4
#define WALK_ENTRIES 8

/*
 * One translated page of code. It is used only after every table entry that led to it was read again and
 * found unchanged, so a guest that edits its tables without a flush that we see does it no harm.
 */
struct walk_entry {
	u64 page;  /* linear address of the page's last byte; 0 = not valid */
	u64 cr3;
	u64 mode;  /* paging mode bits, see guest_walk.c */
	u64 epoch; /* vm->npt_epoch at the walk */
	u32 levels;
	bool wide; /* entries of 8 bytes */
	u64 pte_hpa[WALK_LEVELS];
	u64 pte[WALK_LEVELS];
	const u64 *at[WALK_LEVELS]; /* the table entries in the windows, while this entry is `shown` */
	u64 hpa; /* of the page */
};

/* Windows that stay mapped while the vCPU is loaded: one a level, one for the code page. */
struct walk_cache {
	struct walk_entry entry[WALK_ENTRIES];
	const struct walk_entry *shown; /* whose tables and page the windows show; NULL = nobody's */
	u64 frame[WALK_LEVELS + 1]; /* frame that the window shows; ~0 none */
	u8 *va[WALK_LEVELS + 1];
};
