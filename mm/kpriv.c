/*
 * The private kernel slot of an address space: kernel stacks and vCPU areas, reachable while it is
 * loaded.
 */
#include "hv/up.h"
#include "mm/aspace.h"
#include "mm/window.h"

#define CELLS (KPRIV_SIZE / KPRIV_CELL)
#define KPRIV_BYTES_MAX (4 * PAGE_SIZE)

static u32 cell_of(const void *p) { return (u32)(((u64)p - KPRIV_BASE) / KPRIV_CELL); }

void *kpriv_alloc(struct aspace *as, u32 pages, hpa_t *first_hpa)
{
	u64 bytes = PAGE_SIZE << order_of(pages), va;
	bool ok = false;
	s32 cell;

	ASSERT(pages && bytes <= KPRIV_BYTES_MAX);
	if (!quota_charge(as->quota, bytes))
		return NULL;
	if (!frame_alloc(order_of(pages), FRAME_PRIVATE, first_hpa))
		goto no_frame;
	window_zero(*first_hpa, bytes);
	spin_lock(&as->lock);
	cell = bitmap_find_clear(as->kpriv, CELLS);
	va = KPRIV_BASE + (u64)cell * KPRIV_CELL + PAGE_SIZE;
	ok = cell >= 0 && !pt_map(&as->pt, va, *first_hpa, bytes, PT_R | PT_W);
	if (ok)
		bitmap_set(as->kpriv, (u32)cell);
	spin_unlock(&as->lock);
	if (ok)
		return (void *)va;
	frame_free(*first_hpa, order_of(pages));
no_frame:
	quota_uncharge(as->quota, bytes);
	return NULL;
}

hpa_t kpriv_hpa(struct aspace *as, const void *p)
{
	hpa_t a;
	bool found = aspace_lookup(as, (u64)p, &a);

	ASSERT(found);
	return a;
}

/* The cell is free for others only when no CPU can hold an old translation. */
void kpriv_free(struct aspace *as, void *p, u32 pages)
{
	u64 va = (u64)p, bytes = PAGE_SIZE << order_of(pages), active;
	hpa_t first = kpriv_hpa(as, p);

	ASSERT(bitmap_test(as->kpriv, cell_of(p)));
	spin_lock(&as->lock);
	(void)!pt_unmap(&as->pt, va, va + bytes);
	spin_unlock(&as->lock);
	active = aspace_active(as);
	if (active)
		up_tlb_flush(as, active);
	frame_free(first, order_of(pages));
	spin_lock(&as->lock);
	bitmap_clear(as->kpriv, cell_of(p));
	spin_unlock(&as->lock);
	quota_uncharge(as->quota, bytes);
}
