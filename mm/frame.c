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

/* Each 1 GiB area with any RAM gets 2 MiB of table; all zeros, that is, reserved frames where no RAM is. */
static void build_table(void)
{
	for (u64 a = 0; a < early_ram.r[early_ram.count - 1].end; a += PAGE_1G) {
		u64 va = FRAMES_BASE + a / PAGE_2M * PAGE_SIZE, block;

		if (!ranges_touch(&early_ram, a, a + PAGE_1G))
			continue;
		kmem_prepare_area(a);
		if (!early_carve(PAGE_2M, PAGE_2M, ~0ull, &block) ||
		    pt_map(kernel_pt(), va, hpa(block), PAGE_2M, PT_R | PT_W | PT_GLOBAL))
			panic("mm: too little RAM for the frame table");
		memset((void *)va, 0, PAGE_2M);
		bitmap_set(table_areas, (u32)(a / PAGE_1G));
	}
}

void frame_init(const struct bootinfo *b)
{
	frames.table = (struct frame *)FRAMES_BASE;
	build_table();
	for (u32 i = 0; i < b->modules; i++) {
		u64 pages = ALIGN_UP(b->module[i].bytes, PAGE_SIZE) / PAGE_SIZE;

		for (u64 p = 0; p < pages; p++)
			buddy_mark(frames.table, b->module[i].start.v / PAGE_SIZE + p, 0, FRAME_GUEST);
		owner_bytes[FRAME_GUEST] += pages * PAGE_SIZE;
	}
	owner_bytes[FRAME_KERNEL] = kmem_adopt(frames.table);
	for (u32 i = 0; i < early_free.count; i++) {
		struct range r = early_free.r[i];

		buddy_add_run(&frames, r.start / PAGE_SIZE, (r.end - r.start) / PAGE_SIZE);
	}
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
