/* Physical frames: the machine's buddy allocator and its table at FRAMES_BASE. */
#include "mm/frame.h"

#include "hv/layout.h"
#include "hv/lock.h"
#include "hv/up.h"
#include "lib/bitmap.h"
#include "lib/string.h"
#include "mm/early.h"
#include "mm/internal.h"

#define GIB_AREAS ((u64)ZONES * ZONE_FRAMES * PAGE_SIZE / PAGE_1G)
#define TABLE_PER_2M (PAGE_2M / PAGE_SIZE * sizeof(struct frame)) /* one page of table describes 2 MiB */
static_assert(TABLE_PER_2M == PAGE_SIZE, "one table page describes 2 MiB");

static spinlock_t lock;
static struct buddy frames = {.max_order = ORDER_MAX, .free_owner = FRAME_FREE}; /* under lock */
static u64 owner_bytes[FRAME_GUEST + 1];					  /* under lock */
static u64 total_bytes;
static u64 table_areas[BITMAP_WORDS(GIB_AREAS)]; /* [I] 1 GiB areas that have table entries */

struct frame *frame_table(void) { return frames.table; }

static void map_table(u64 va, u64 a, u64 bytes, u32 prot)
{
	if (pt_map(kernel_pt(), va, hpa(a), bytes, prot | PT_GLOBAL))
		panic("mm: no memory for the frame table");
}

/* A page of table for each 2 MiB with RAM; holes share one page of zeros, that is, of reserved frames. */
static void build_partial_area(u64 area, u64 zeros)
{
	for (u64 a = area; a < area + PAGE_1G; a += PAGE_2M) {
		u64 va = FRAMES_BASE + a / PAGE_2M * PAGE_SIZE, page;

		if (early_covers(a, a + PAGE_2M) == COVER_NONE) {
			map_table(va, zeros, PAGE_SIZE, PT_R);
			continue;
		}
		if (!early_carve(PAGE_SIZE, PAGE_SIZE, ~0ull, &page))
			panic("mm: too little RAM for the frame table");
		map_table(va, page, PAGE_SIZE, PT_R | PT_W);
		memset((void *)va, 0, PAGE_SIZE);
	}
}

static void build_table(void)
{
	u64 end = early_ram_end();
	void *zeros = kmem_pages_alloc(NULL, 0);

	for (u64 a = 0; a < end; a += PAGE_1G) {
		enum early_cover cover = early_covers(a, a + PAGE_1G);
		u64 va = FRAMES_BASE + a / PAGE_2M * PAGE_SIZE, block;

		if (cover == COVER_NONE)
			continue;
		bitmap_set(table_areas, (u32)(a / PAGE_1G));
		kmem_prepare_area(a);
		if (cover == COVER_ALL && early_carve(PAGE_2M, PAGE_2M, ~0ull, &block)) {
			map_table(va, block, PAGE_2M, PT_R | PT_W);
			memset((void *)va, 0, PAGE_2M);
		} else {
			build_partial_area(a, kva_to_hpa(zeros).v);
		}
	}
}

void frame_init(const struct bootinfo *b)
{
	const struct early_run *run;
	u32 runs;

	frames.table = (struct frame *)FRAMES_BASE;
	build_table();
	for (u32 i = 0; i < b->modules; i++) {
		u64 pages = ALIGN_UP(b->module[i].bytes, PAGE_SIZE) / PAGE_SIZE;

		for (u64 p = 0; p < pages; p++)
			buddy_mark(frames.table, b->module[i].start.v / PAGE_SIZE + p, 0, FRAME_GUEST);
		owner_bytes[FRAME_GUEST] += pages * PAGE_SIZE;
	}
	owner_bytes[FRAME_KERNEL] = kmem_adopt(frames.table);
	run = early_free_runs(&runs);
	for (u32 i = 0; i < runs; i++)
		buddy_add_run(&frames, run[i].start / PAGE_SIZE, (run[i].end - run[i].start) / PAGE_SIZE);
	total_bytes = frames.free_frames * PAGE_SIZE + owner_bytes[FRAME_GUEST] + owner_bytes[FRAME_KERNEL];
}

bool frame_alloc(u32 order, enum frame_owner owner, hpa_t *out)
{
	bool ok;
	u64 pfn;

	spin_lock(&lock);
	ok = buddy_alloc(&frames, order, owner, &pfn);
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

	if (a.v / PAGE_1G >= GIB_AREAS || !bitmap_test(table_areas, (u32)(a.v / PAGE_1G)))
		return FRAME_RESERVED;
	f = buddy_block_of(frames.table, a.v / PAGE_SIZE);
	return f ? (enum frame_owner)f->owner : FRAME_RESERVED;
}

u64 frame_total(void) { return total_bytes; }
u64 frame_free_bytes(void) { return __atomic_load_n(&frames.free_frames, __ATOMIC_RELAXED) * PAGE_SIZE; }

u64 frame_owner_bytes(enum frame_owner o)
{
	return o == FRAME_FREE ? frame_free_bytes() : __atomic_load_n(&owner_bytes[o], __ATOMIC_RELAXED);
}
