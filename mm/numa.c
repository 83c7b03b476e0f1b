#include "mm/numa.h"

u32 numa_node_at(const struct numa *n, u64 a, u64 *end)
{
	u32 node = 0;

	*end = ~0ull;
	for (u32 i = n->ranges; i--;) {
		u64 first = ALIGN_UP(n->range[i].base, PAGE_SIZE);
		u64 last = ALIGN_UP(n->range[i].base + n->range[i].bytes, PAGE_SIZE);

		if (first > a)
			*end = MIN(*end, first);
		else if (last > a)
			*end = MIN(*end, last);
		if (first <= a && last > a)
			node = n->range[i].node;
	}
	return node;
}

void numa_complete(struct numa *n)
{
	n->nodes = MAX(n->nodes, 1u);
	for (u32 i = 0; i < n->nodes; i++)
		for (u32 k = 0; k < n->nodes; k++)
			if (i == k)
				n->distance[i][k] = NUMA_LOCAL;
			else if (n->distance[i][k] <= NUMA_LOCAL)
				n->distance[i][k] = NUMA_REMOTE;
}

void numa_order(const struct numa *n, u32 node, u8 *order)
{
	for (u32 i = 0; i < n->nodes; i++) {
		u32 at = i;

		for (; at && n->distance[node][order[at - 1]] > n->distance[node][i]; at--)
			order[at] = order[at - 1];
		order[at] = (u8)i;
	}
}
