#include "mm/buddy.h"

#include "lib/assert.h"

static struct zone *zone_of(struct buddy *b, u64 pfn)
{
	struct zone *z = b->zone;

	while (z < b->zone + b->zones && pfn >= z->end)
		z++;
	ASSERT(z < b->zone + b->zones && pfn >= z->start);
	return z;
}

void buddy_zone_add(struct buddy *b, u64 start, u64 end, u32 node)
{
	ASSERT(b->zones < ZONES && start < end && end - start <= ZONE_FRAMES);
	ASSERT(!b->zones || b->zone[b->zones - 1].end <= start);
	b->zone[b->zones++] = (struct zone){.start = start, .end = end, .node = node};
}

static struct frame *linked(struct buddy *b, const struct zone *z, u64 link)
{
	return &b->table[z->start + link - 1];
}

static void list_add(struct buddy *b, struct zone *z, u64 pfn, u32 order)
{
	u32 link = (u32)(pfn - z->start) + 1;

	b->table[pfn] = (struct frame){.head = 1,
				       .free = 1,
				       .order = order,
				       .owner = b->free_owner,
				       .next = z->first[order]};
	if (z->first[order])
		linked(b, z, z->first[order])->prev = link;
	z->first[order] = link;
	z->orders |= 1u << order;
}

/* Takes a free block off its list; its entry becomes zero. */
static void list_remove(struct buddy *b, struct zone *z, u64 pfn, u32 order)
{
	struct frame f = b->table[pfn];

	if (f.prev)
		linked(b, z, f.prev)->next = f.next;
	else
		z->first[order] = f.next;
	if (f.next)
		linked(b, z, f.next)->prev = f.prev;
	if (!z->first[order])
		z->orders &= ~(1u << order);
	b->table[pfn] = (struct frame){0};
}

/* A buddy never lies outside the 1 GiB area of its block, so its table entry exists. */
static void insert_merged(struct buddy *b, struct zone *z, u64 pfn, u32 order)
{
	b->free_frames += BIT(order);
	z->free_frames += BIT(order);
	for (; order < b->max_order; order++) {
		u64 other = pfn ^ BIT(order), low = MIN(pfn, other);
		struct frame f;

		if (low < z->start || low + BIT(order + 1) > z->end)
			break;
		f = b->table[other];
		if (!f.head || !f.free || f.order != order || f.owner != b->free_owner)
			break;
		list_remove(b, z, other, order);
		pfn = low;
	}
	list_add(b, z, pfn, order);
}

void buddy_add(struct buddy *b, u64 pfn, u64 frames)
{
	while (frames) {
		struct zone *z = zone_of(b, pfn);
		u64 room = MIN(frames, z->end - pfn);
		u32 order = b->max_order;

		while (BIT(order) > room || !IS_ALIGNED(pfn, BIT(order)))
			order--;
		insert_merged(b, z, pfn, order);
		pfn += BIT(order);
		frames -= BIT(order);
	}
}

/* From a zone that has a block of the order, or a larger one. */
static u64 take(struct buddy *b, struct zone *z, u32 order, enum frame_owner owner)
{
	u32 have = (u32)__builtin_ctz(z->orders >> order << order);
	u64 pfn = z->start + z->first[have] - 1;

	list_remove(b, z, pfn, have);
	while (have-- > order)
		list_add(b, z, pfn + BIT(have), have);
	buddy_mark(b->table, pfn, order, owner);
	b->free_frames -= BIT(order);
	z->free_frames -= BIT(order);
	return pfn;
}

bool buddy_alloc(struct buddy *b, u32 order, enum frame_owner owner, const u8 *node, u32 nodes,
		 u64 *pfn)
{
	for (u32 i = 0; i < nodes && order <= b->max_order; i++)
		for (struct zone *z = b->zone; z < b->zone + b->zones; z++)
			if (z->node == node[i] && z->orders >> order) {
				*pfn = take(b, z, order, owner);
				return true;
			}
	return false;
}

enum frame_owner buddy_free(struct buddy *b, u64 pfn, u32 order)
{
	struct frame f = b->table[pfn];

	ASSERT(f.head && !f.free);
	ASSERT(f.order == order);
	b->table[pfn] = (struct frame){0};
	insert_merged(b, zone_of(b, pfn), pfn, order);
	return (enum frame_owner)f.owner;
}

void buddy_mark(struct frame *table, u64 pfn, u32 order, enum frame_owner owner)
{
	table[pfn] = (struct frame){.head = 1, .order = order, .owner = owner};
}

const struct frame *buddy_block_of(const struct frame *table, u64 pfn)
{
	for (u32 order = 0; order <= ORDER_MAX; order++) {
		const struct frame *f = &table[ALIGN_DOWN(pfn, BIT(order))];

		if (f->head)
			return f->order >= order ? f : NULL;
	}
	return NULL;
}
