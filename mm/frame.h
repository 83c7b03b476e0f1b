/*
 * Physical frames: one buddy allocator over all RAM, orders 0 (4 KiB) to 18 (1 GiB). Frames are not
 * mapped anywhere by being allocated.
 */
#pragma once

#include "hv/bootinfo.h"
#include "mm/numa.h"
#include "uapi/layout.h"

#define ORDER_4K 0
#define ORDER_2M 9
#define ORDER_MAX 18

/*
 * After mm_init, once the firmware's tables tell the nodes. Takes over the RAM that the boot
 * information leaves free: every region but image, trampoline and modules. Builds the frame table,
 * 8 bytes a frame. Panics only if RAM is too small.
 */
void frame_init(const struct bootinfo *b, const struct numa *n);

/*
 * An aligned block of 2^order frames of one of the `nodes` nodes nearest to this CPU, the nearest
 * that has one; false when there is none. Not zeroed. Any CPU.
 */
bool frame_alloc_near(u32 nodes, u32 order, enum frame_owner owner, hpa_t *out) __must_check;
static inline __must_check bool frame_alloc(u32 order, enum frame_owner owner, hpa_t *out)
{
	return frame_alloc_near(NUMA_NODES, order, owner, out);
}
void frame_free(hpa_t start, u32 order);

/* FRAME_RESERVED for addresses outside RAM. */
enum frame_owner frame_owner_of(hpa_t a);

u64 frame_total(void); /* bytes of RAM that the allocator manages */
u64 frame_free_bytes(void);
u64 frame_owner_bytes(enum frame_owner o); /* held by this kind of owner, not FREE */
/* Of a node's RAM: all that the machine has there, and what is free. */
void frame_node_bytes(u32 node, u64 *total, u64 *free_bytes);
/* All nodes, *count of them, the nearest to this CPU first. */
const u8 *frame_nodes(u32 *count);
