#include "mm/buddy.h"

#include "lib/assert.h"

static struct zone *zone_of(struct buddy *b, u64 pfn)
{
	ASSERT(pfn / ZONE_FRAMES < ZONES);
	return &b->zone[pfn / ZONE_FRAMES];
}

static struct frame *linked(struct buddy *b, u64 pfn, u64 link)
{
	return &b->table[ALIGN_DOWN(pfn, (u64)ZONE_FRAMES) + link - 1];
}

static void list_add(struct buddy *b, u64 pfn, u32 order)
{
	struct zone *z = zone_of(b, pfn);
	u32 link = (u32)(pfn % ZONE_FRAMES) + 1;

	b->table[pfn] = (struct frame){
		.head = 1, .free = 1, .order = order, .owner = b->free_owner, .next = z->first[order]};
	if (z->first[order])
		linked(b, pfn, z->first[order])->prev = link;
	z->first[order] = link;
	z->orders |= 1u << order;
}

/* Takes a free block off its list; its entry becomes zero. */
static void list_remove(struct buddy *b, u64 pfn, u32 order)
{
	struct zone *z = zone_of(b, pfn);
	struct frame f = b->table[pfn];

	if (f.prev)
		linked(b, pfn, f.prev)->next = f.next;
	else
		z->first[order] = f.next;
	if (f.next)
		linked(b, pfn, f.next)->prev = f.prev;
	if (!z->first[order])
		z->orders &= ~(1u << order);
	b->table[pfn] = (struct frame){0};
}

/* A buddy never lies outside the 1 GiB area of its block, so its table entry exists. */
static void insert_merged(struct buddy *b, u64 pfn, u32 order)
{
	b->free_frames += BIT(order);
	while (order < b->max_order) {
		u64 other = pfn ^ BIT(order);
		struct frame f = b->table[other];

		if (!f.head || !f.free || f.order != order || f.owner != b->free_owner)
			break;
		list_remove(b, other, order);
		pfn = MIN(pfn, other);
		order++;
	}
	list_add(b, pfn, order);
}

void buddy_add(struct buddy *b, u64 pfn, u32 order)
{
	ASSERT(order <= b->max_order && IS_ALIGNED(pfn, BIT(order)));
	b->zones = MAX(b->zones, (u32)(pfn / ZONE_FRAMES) + 1);
	insert_merged(b, pfn, order);
}

void buddy_add_run(struct buddy *b, u64 pfn, u64 frames)
{
	while (frames) {
		u32 order = b->max_order;

		while (BIT(order) > frames || !IS_ALIGNED(pfn, BIT(order)))
			order--;
		buddy_add(b, pfn, order);
		pfn += BIT(order);
		frames -= BIT(order);
	}
}

bool buddy_alloc(struct buddy *b, u32 order, enum frame_owner owner, u64 *pfn)
{
	for (u32 z = 0; z < b->zones && order <= b->max_order; z++) {
		u32 usable = b->zone[z].orders >> order << order;
		u32 have;
		u64 p;

		if (!usable)
			continue;
		have = (u32)__builtin_ctz(usable);
		p = (u64)z * ZONE_FRAMES + b->zone[z].first[have] - 1;
		list_remove(b, p, have);
		while (have-- > order)
			list_add(b, p + BIT(have), have);
		buddy_mark(b->table, p, order, owner);
		b->free_frames -= BIT(order);
		*pfn = p;
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
	insert_merged(b, pfn, order);
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
