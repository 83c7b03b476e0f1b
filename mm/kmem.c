/*
 * The kernel heap: 2 MiB blocks, pages in them by a buddy allocator, objects of up to 1 KiB in
 * pages of one size class each. Blocks in which nothing is left go back to the frames.
 */
#include "mm/kmem.h"

#include "hv/lock.h"
#include "lib/list.h"
#include "mm/early.h"
#include "mm/internal.h"
#include "uapi/layout.h"

#define SLAB_MAX 1024u
#define SLAB_MIN_SHIFT 4
#define SLAB_CLASSES 7 /* 16, 32, ... 1024 */
#define SLAB_MAGIC 0x62616c73u
#define PAGES_2M (PAGE_2M / PAGE_SIZE)
#define SPREAD (32 * PAGES_2M)
#define KEEP (4 * PAGES_2M) /* free pages that stay: the next table or object needs them */

/* At the start of a page of objects. All under lock. */
struct slab {
	struct list link; /* in partial[class], or empty when no object is free */
	void *free;	  /* chain through the objects' first words */
	u32 magic, class, used, reserved;
	u8 pad[24];
};
static_assert(sizeof(struct slab) == 64, "objects of 64 bytes and more are aligned to 64");

static spinlock_t lock;
static struct buddy heap = {.max_order = ORDER_2M, .free_owner = FRAME_KERNEL}; /* under lock */
static struct list partial[SLAB_CLASSES];					/* under lock */

/*
 * Until the frame table exists pages come from one range, the next one at `next`: about 1 MiB, and
 * two for each GiB, which is what the tables of the heap and of the frame table need.
 */
static struct {
	u64 start, next, end;
} early;

hpa_t kva_to_hpa(const void *p) { return hpa((u64)p - DIRECT_BASE); }
void *hpa_to_kva(hpa_t a) { return (void *)(a.v + DIRECT_BASE); }

/* The tables that lead to it were made at start: this needs no memory. */
static void map_block(u64 a)
{
	int e = pt_map(kernel_pt(), DIRECT_BASE + a, hpa(a), PAGE_2M, PT_R | PT_W | PT_GLOBAL);

	ASSERT(!e);
}

bool kmem_unmap_block(hpa_t *block)
{
	u32 nodes;
	const u8 *node = frame_nodes(&nodes);
	u64 pfn, va;
	bool found;

	spin_lock(&lock);
	found = heap.free_frames >= KEEP + PAGES_2M &&
		buddy_alloc(&heap, ORDER_2M, FRAME_KERNEL, node, nodes, &pfn);
	if (found) {
		*block = hpa(pfn * PAGE_SIZE);
		va = DIRECT_BASE + block->v;
		ASSERT(pt_unmap(kernel_pt(), va, va + PAGE_2M) == va + PAGE_2M);
	}
	spin_unlock(&lock);
	return found;
}

static void *early_page(void)
{
	u64 top = early_ram.r[early_ram.count - 1].end;
	u64 bytes = ALIGN_UP(MiB(1) + top / PAGE_1G * 2 * PAGE_SIZE, PAGE_2M);

	if (!early.end) {
		if (!early_carve(bytes, PAGE_2M, GiB(4), &early.start))
			panic("mm: too little RAM below 4 GiB for the kernel's tables");
		early.next = early.start;
		early.end = early.start + bytes;
	}
	if (early.next == early.end)
		return NULL;
	early.next += PAGE_SIZE;
	return hpa_to_kva(hpa(early.next - PAGE_SIZE));
}

void kmem_map_early(void)
{
	for (u64 a = early.start; a < early.end; a += PAGE_2M)
		map_block(a);
}

u64 kmem_adopt(const struct buddy *frames)
{
	struct frame *table = frames->table;

	for (u32 i = 0; i < SLAB_CLASSES; i++)
		list_init(&partial[i]);
	spin_lock(&lock);
	for (u64 a = early.start; a < early.next; a += PAGE_SIZE)
		buddy_mark(table, a / PAGE_SIZE, 0, FRAME_KERNEL);
	heap.table = table;
	for (const struct zone *z = frames->zone; z < frames->zone + frames->zones; z++)
		buddy_zone_add(&heap, z->start, z->end, z->node);
	buddy_add(&heap, early.next / PAGE_SIZE, (early.end - early.next) / PAGE_SIZE);
	spin_unlock(&lock);
	return early.end - early.start;
}

static bool grow(u32 reach)
{
	hpa_t block;

	if (!frame_alloc_near(reach, ORDER_2M, FRAME_KERNEL, &block))
		return false;
	map_block(block.v);
	buddy_add(&heap, block.v / PAGE_SIZE, PAGES_2M);
	return true;
}

/*
 * A new block of this CPU's node comes before pages of other nodes, unless so many are free that
 * who moves from node to node would make heap of them all.
 */
static void *pages_get(u32 order)
{
	u32 nodes;
	const u8 *node;
	u64 pfn;

	if (!heap.table) {
		ASSERT(order == 0);
		return early_page();
	}
	node = frame_nodes(&nodes);
	for (u32 reach = 1; order <= ORDER_2M; reach = nodes) {
		if (buddy_alloc(&heap, order, FRAME_KERNEL, node, reach, &pfn) ||
		    ((reach == nodes || heap.free_frames < SPREAD) && grow(reach) &&
		     buddy_alloc(&heap, order, FRAME_KERNEL, node, reach, &pfn)))
			return hpa_to_kva(hpa(pfn * PAGE_SIZE));
		if (reach == nodes)
			break;
	}
	return NULL;
}

static void pages_put(void *p, u32 order)
{
	(void)buddy_free(&heap, kva_to_hpa(p).v / PAGE_SIZE, order);
}

u64 kmem_free_bytes(void) { return heap.free_frames * PAGE_SIZE; }

static struct slab *slab_new(u32 class)
{
	u32 size = 1u << (class + SLAB_MIN_SHIFT);
	struct slab *s = pages_get(0);

	if (!s)
		return NULL;
	*s = (struct slab){.magic = SLAB_MAGIC, .class = class};
	for (u64 at = PAGE_SIZE - size; at >= sizeof(*s); at -= size) {
		void **object = (void **)((char *)s + at);

		*object = s->free;
		s->free = object;
	}
	list_push_front(&partial[class], &s->link);
	return s;
}

static void *slab_get(u32 class)
{
	struct slab *s = list_empty(&partial[class])
				 ? slab_new(class)
				 : list_entry(partial[class].next, struct slab, link);
	void **object;

	if (!s)
		return NULL;
	object = s->free;
	s->free = *object;
	s->used++;
	if (!s->free)
		list_del(&s->link);
	return object;
}

static void slab_put(void *p, u32 class)
{
	struct slab *s = (struct slab *)ALIGN_DOWN((u64)p, PAGE_SIZE);

	ASSERT(s->magic == SLAB_MAGIC && s->class == class && s->used);
	if (!s->free)
		list_push_front(&partial[class], &s->link);
	*(void **)p = s->free;
	s->free = p;
	if (--s->used)
		return;
	list_del(&s->link);
	s->magic = 0;
	pages_put(s, 0);
}

/* What is charged and given for a size: a power of two, from the smallest object to a block. */
static u64 bytes_of(u64 size)
{
	ASSERT(size && size <= PAGE_2M);
	return MAX(BIT(order_of(size)), size > SLAB_MAX ? PAGE_SIZE : BIT(SLAB_MIN_SHIFT));
}

void *kmem_alloc(struct quota *q, size_t size)
{
	u64 bytes = bytes_of(size);
	u32 order = order_of(bytes);
	void *p;

	if (!quota_charge(q, bytes))
		return NULL;
	spin_lock(&lock);
	p = bytes > SLAB_MAX ? pages_get(order - PAGE_SHIFT) : slab_get(order - SLAB_MIN_SHIFT);
	spin_unlock(&lock);
	if (p)
		zero_words(p, bytes);
	else
		quota_uncharge(q, bytes);
	return p;
}

void kmem_free(struct quota *q, void *p, size_t size)
{
	u64 bytes = bytes_of(size);
	u32 order = order_of(bytes);

	spin_lock(&lock);
	if (bytes > SLAB_MAX)
		pages_put(p, order - PAGE_SHIFT);
	else
		slab_put(p, order - SLAB_MIN_SHIFT);
	spin_unlock(&lock);
	quota_uncharge(q, bytes);
}
