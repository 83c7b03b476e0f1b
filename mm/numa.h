/* NUMA nodes as SRAT and SLIT describe them. Pure functions. */
#pragma once

#include "lib/types.h"

#define NUMA_NODES 16
#define NUMA_RANGES 64
#define NUMA_LOCAL 10  /* a node's distance to itself; ACPI 6.5, 5.2.17 */
#define NUMA_REMOTE 20 /* where the firmware does not say */

struct numa_range {
	u64 base, bytes;
	u8 node;
};

struct numa {
	u32 nodes;
	u32 domain[NUMA_NODES]; /* the firmware's number of each node */
	u8 distance[NUMA_NODES][NUMA_NODES];
	u32 ranges;
	struct numa_range range[NUMA_RANGES];
};

/* Fills in what is left out or can't be right: one node at least, distances from NUMA_LOCAL on. */
void numa_complete(struct numa *n);
/*
 * The node of the page at a: of the first range that holds its first byte, 0 when none does. *end,
 * a page boundary above a or ~0: up to there it is the same.
 */
u32 numa_node_at(const struct numa *n, u64 a, u64 *end);
/* All n->nodes, the nearest to `node` first; of the same distance, the lower number first. */
void numa_order(const struct numa *n, u32 node, u8 *order);
