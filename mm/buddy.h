/*
 * A buddy allocator on a table with 8 bytes a frame. Two use the same table: the frame allocator,
 * and the kernel heap for the pages inside its blocks. Not locked: the owner's lock protects it.
 */
#pragma once

#include "mm/frame.h"

/*
 * Free lists are kept per zone: at most 64 GiB, so that links of 25 bits reach far enough (index in
 * the zone plus 1, 0 = none), and of one NUMA node. An entry is meaningful only where a block
 * starts (head); all others are zero.
 */
#define ZONE_FRAMES (1u << 24)
#define RAM_END (1ull << 44) /* 16 TiB, as much as DIRECT can reach */
/* All that there can be: 64 GiB each, cut where a range of a node begins or ends. */
#define ZONES (256 + 2 * NUMA_RANGES)

struct frame {
	u64 head : 1; /* a block starts here */
	u64 free : 1; /* it is on a free list */
	u64 order : 5;
	u64 owner : 3; /* enum frame_owner */
	u64 next : 25;
	u64 prev : 25;
};
static_assert(sizeof(struct frame) == 8, "struct frame");

struct zone {
	u64 start, end; /* frame numbers, end exclusive; no block crosses them */
	u64 free_frames;
	u32 node;		  /* NUMA */
	u32 orders;		  /* bit n: first[n] is not empty */
	u32 first[ORDER_MAX + 1]; /* per order: index in the zone plus 1 */
};

struct buddy {
	/* indexed by frame number, entries of whole 1 GiB areas exist or none */
	struct frame *table;
	u32 max_order;	/* blocks merge up to this order, at most 1 GiB */
	u32 free_owner; /* enum frame_owner of its free blocks */
	u32 zones;	/* in use, ascending */
	u64 free_frames;
	struct zone zone[ZONES];
};

/* Above the zones that it has, at most ZONE_FRAMES; before any frame of it is given. */
void buddy_zone_add(struct buddy *b, u64 start, u64 end, u32 node);
/* Gives it a run of frames that it did not know before. */
void buddy_add(struct buddy *b, u64 pfn, u64 frames);
/* From the first of these nodes that has such a block. */
bool buddy_alloc(struct buddy *b, u32 order, enum frame_owner owner, const u8 *node, u32 nodes,
		 u64 *pfn) __must_check;
/* Asserts that the block was allocated with this order. Returns its owner. */
enum frame_owner buddy_free(struct buddy *b, u64 pfn, u32 order);

/* Marks a block as allocated that never was in the allocator (a boot module's frames). */
void buddy_mark(struct frame *table, u64 pfn, u32 order, enum frame_owner owner);
/*
 * The entry of the block that holds pfn, NULL when no block does. The entries around pfn must
 * exist.
 */
const struct frame *buddy_block_of(const struct frame *table, u64 pfn);
