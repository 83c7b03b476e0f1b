/* Physical frames: the machine's buddy allocator and its table at FRAMES_BASE. */
#include "mm/frame.h"

#include "hv/cpu.h"
#include "hv/lock.h"
#include "lib/string.h"
#include "mm/early.h"
#include "mm/internal.h"

/* one page of table describes 2 MiB */
#define TABLE_PER_2M (PAGE_2M / PAGE_SIZE * sizeof(struct frame))
static_assert(TABLE_PER_2M == PAGE_SIZE, "one table page describes 2 MiB");

static spinlock_t lock;
static struct buddy frames = {.max_order = ORDER_MAX, .free_owner = FRAME_FREE}; /* under lock */
static u64 owner_bytes[FRAME_GUEST + 1];					 /* under lock */
static u64 total_bytes;
static u32 nodes = 1;			/* [I] */
static u8 near[NUMA_NODES][NUMA_NODES]; /* [I] for each node, all of them by distance */
static u64 node_bytes[NUMA_NODES];	/* [I] */

/*
 * Each 1 GiB area with any RAM gets 2 MiB of table; all zeros, that is, reserved frames where no
 * RAM is.
 */
static void build_table(void)
{
	for (u64 a = 0; a < early_ram.r[early_ram.count - 1].end; a += PAGE_1G) {
		u64 va = FRAMES_BASE + a / PAGE_2M * PAGE_SIZE, block;

		if (!ranges_bytes(&early_ram, a, a + PAGE_1G))
			continue;
		if (!early_carve(PAGE_2M, PAGE_2M, ~0ull, &block) ||
		    pt_map(kernel_pt(), va, hpa(block), PAGE_2M, PT_R | PT_W | PT_GLOBAL))
			panic("mm: too little RAM for the frame table");
		memset((void *)va, 0, PAGE_2M);
	}
}

/* A zone for each stretch of one node's RAM. */
static void make_zones(const struct numa *n)
{
	u64 top = early_ram.r[early_ram.count - 1].end, end;

	nodes = n->nodes;
	for (u32 i = 0; i < nodes; i++)
		numa_order(n, i, near[i]);
	for (u64 a = 0; a < top; a = end) {
		u32 node = numa_node_at(n, a, &end);
		u64 bytes;

		end = MIN(MIN(end, top), a + (u64)ZONE_FRAMES * PAGE_SIZE);
		bytes = ranges_bytes(&early_ram, a, end);
		if (bytes)
			buddy_zone_add(&frames, a / PAGE_SIZE, end / PAGE_SIZE, node);
		node_bytes[node] += bytes;
	}
}

void frame_init(const struct bootinfo *b, const struct numa *n)
{
	frames.table = (struct frame *)FRAMES_BASE;
	build_table();
	make_zones(n);
	for (u32 i = 0; i < b->modules; i++) {
		u64 pages = ALIGN_UP(b->module[i].bytes, PAGE_SIZE) / PAGE_SIZE;

		for (u64 p = 0; p < pages; p++)
			buddy_mark(frames.table, b->module[i].start.v / PAGE_SIZE + p, 0,
				   FRAME_GUEST);
		owner_bytes[FRAME_GUEST] += pages * PAGE_SIZE;
	}
	owner_bytes[FRAME_KERNEL] = kmem_adopt(&frames);
	for (u32 i = 0; i < early_free.count; i++) {
		struct range r = early_free.r[i];

		buddy_add(&frames, r.start / PAGE_SIZE, (r.end - r.start) / PAGE_SIZE);
	}
	total_bytes = frames.free_frames * PAGE_SIZE + owner_bytes[FRAME_GUEST] +
		      owner_bytes[FRAME_KERNEL];
}

const u8 *frame_nodes(u32 *count)
{
	*count = nodes;
	return near[this_cpu()->node];
}

bool frame_alloc_near(u32 reach, u32 order, enum frame_owner owner, hpa_t *out)
{
	bool ok;
	u64 pfn;

	spin_lock(&lock);
	ok = buddy_alloc(&frames, order, owner, near[this_cpu()->node], MIN(reach, nodes), &pfn);
	if (ok)
		owner_bytes[owner] += PAGE_SIZE << order;
	spin_unlock(&lock);
	if (ok)
		*out = hpa(pfn * PAGE_SIZE);
	return ok;
}

void frame_free(hpa_t start, u32 order)
{
	enum frame_owner owner;

	ASSERT(start.v && IS_ALIGNED(start.v, PAGE_SIZE << order));
	spin_lock(&lock);
	owner = buddy_free(&frames, start.v / PAGE_SIZE, order);
	owner_bytes[owner] -= PAGE_SIZE << order;
	spin_unlock(&lock);
}

enum frame_owner frame_owner_of(hpa_t a)
{
	const struct frame *f;

	u64 area = ALIGN_DOWN(a.v, PAGE_1G);

	if (!ranges_bytes(&early_ram, area, area + PAGE_1G))
		return FRAME_RESERVED;
	f = buddy_block_of(frames.table, a.v / PAGE_SIZE);
	return f ? (enum frame_owner)f->owner : FRAME_RESERVED;
}

u64 frame_total(void) { return total_bytes; }
u64 frame_free_bytes(void)
{
	return __atomic_load_n(&frames.free_frames, __ATOMIC_RELAXED) * PAGE_SIZE;
}

u64 frame_owner_bytes(enum frame_owner o)
{
	return __atomic_load_n(&owner_bytes[o], __ATOMIC_RELAXED);
}

void frame_node_bytes(u32 node, u64 *total, u64 *free_bytes)
{
	*total = node_bytes[node];
	*free_bytes = 0;
	for (u32 i = 0; i < frames.zones; i++)
		if (frames.zone[i].node == node)
			*free_bytes +=
				__atomic_load_n(&frames.zone[i].free_frames, __ATOMIC_RELAXED) *
				PAGE_SIZE;
}
