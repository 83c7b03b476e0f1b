/*
 * The private kernel slot of an address space: kernel stacks and vCPU areas, reachable while it is
 * loaded.
 */
#include "hv/up.h"
#include "mm/aspace.h"
#include "mm/window.h"

#define CELLS (KPRIV_SIZE / KPRIV_CELL)
#define PAGES_MAX 6

static u32 cell_of(const void *p) { return (u32)(((u64)p - KPRIV_BASE) / KPRIV_CELL); }

/* Maps one new zeroed frame. Under as->lock. */
static bool add_page(struct aspace *as, u64 va)
{
	hpa_t a;

	if (!frame_alloc(ORDER_4K, FRAME_PRIVATE, &a))
		return false;
	window_zero(a, PAGE_SIZE);
	if (!pt_map(&as->pt, va, a, PAGE_SIZE, PT_R | PT_W))
		return true;
	frame_free(a, ORDER_4K);
	return false;
}

void *kpriv_alloc(struct aspace *as, u32 pages, hpa_t *first_hpa)
{
	u32 done = 0;
	u64 va;
	s32 cell;

	ASSERT(pages && pages <= PAGES_MAX);
	if (!quota_charge(as->quota, pages * PAGE_SIZE))
		return NULL;
	spin_lock(&as->lock);
	cell = bitmap_find_clear(as->kpriv, CELLS);
	va = KPRIV_BASE + (u64)cell * KPRIV_CELL + PAGE_SIZE;
	if (cell >= 0) {
		bitmap_set(as->kpriv, (u32)cell);
		while (done < pages && add_page(as, va + done * PAGE_SIZE))
			done++;
	}
	spin_unlock(&as->lock);
	if (done == pages) {
		*first_hpa = kpriv_hpa(as, (void *)va);
		return (void *)va;
	}
	quota_uncharge(as->quota, (pages - done) * PAGE_SIZE);
	if (cell >= 0)
		kpriv_free(as, (void *)va, done);
	return NULL;
}

hpa_t kpriv_hpa(struct aspace *as, const void *p)
{
	struct pt_leaf leaf;
	bool found;

	spin_lock(&as->lock);
	found = pt_lookup(&as->pt, (u64)p, &leaf);
	spin_unlock(&as->lock);
	ASSERT(found);
	return hpa_add(leaf.start, (u64)p % PAGE_SIZE);
}

/* The cell is free for others only when no CPU can hold an old translation. */
void kpriv_free(struct aspace *as, void *p, u32 pages)
{
	u64 va = (u64)p, active;
	hpa_t frame[PAGES_MAX];

	ASSERT(pages <= PAGES_MAX && bitmap_test(as->kpriv, cell_of(p)));
	for (u32 i = 0; i < pages; i++)
		frame[i] = kpriv_hpa(as, (char *)p + i * PAGE_SIZE);
	spin_lock(&as->lock);
	(void)!pt_unmap(&as->pt, va, va + pages * PAGE_SIZE);
	spin_unlock(&as->lock);
	active = aspace_active(as);
	if (active)
		up_tlb_flush(as, active);
	for (u32 i = 0; i < pages; i++)
		frame_free(frame[i], ORDER_4K);
	spin_lock(&as->lock);
	bitmap_clear(as->kpriv, cell_of(p));
	spin_unlock(&as->lock);
	quota_uncharge(as->quota, pages * PAGE_SIZE);
}
