/* The walk cache of one vCPU: where its code page was found through the guest's page tables. */
#pragma once

#include "hv/exit_insn.h"

#define WALK_LEVELS 4
#define INSNS_SEEN 32

/*
 * An instruction of 64-bit code that was decoded. It is the same as long as the walk cache shows
 * the page that it is in and its bytes are the same. In the row of its rip; another rip: none is
 * here.
 */
struct insn_seen {
	u64 rip;
	u64 bytes[2], mask[2]; /* mask: those that belong to it */
	struct exit_insn insn;
};

/*
 * The page that was found last, and the windows that show it and its tables while the vCPU is
 * loaded: one a level, one for the page. It is used only after every table entry that led to it was
 * read again and found unchanged, so a guest that edits its tables without a flush that we see does
 * it no harm.
 */
struct walk_cache {
	/*
	 * Linear address of the page's last byte; 0 = none was found, or the entry saw that nested
	 * mappings were removed since.
	 */
	u64 page;
	u64 code_cr3; /* with which it was found in long mode; else no value of CR3 */
	u64 epoch;    /* vm->space.epoch before the walk */
	u32 levels;
	const u64 *at[WALK_LEVELS]; /* in the windows; without such a level, the entry here */
	u64 entry[WALK_LEVELS];
	u64 frame[WALK_LEVELS + 1]; /* frame that the window shows; ~0 none */
	u8 *va[WALK_LEVELS + 1];
	struct insn_seen seen[INSNS_SEEN];
};
