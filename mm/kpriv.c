/*
 * The private kernel slot of an address space: kernel stacks and vCPU areas, reachable while it is
 * loaded.
 */
#include "mm/aspace.h"
#include "mm/window.h"

#define KPRIV_BYTES_MAX (4 * PAGE_SIZE)

/* The first free cell's page behind its guard. False: there is none. Under as->lock. */
static bool find_cell(struct aspace *as, u64 *va)
{
	struct pt_leaf l;

	for (*va = KPRIV_BASE + PAGE_SIZE; *va < KPRIV_BASE + KPRIV_SIZE; *va += KPRIV_CELL)
		if (!pt_lookup(&as->pt, *va, &l))
			return true;
	return false;
}

void *kpriv_alloc(struct aspace *as, u32 pages, hpa_t *first_hpa)
{
	u64 bytes = PAGE_SIZE << order_of(pages), va;
	bool ok;

	ASSERT(pages && bytes <= KPRIV_BYTES_MAX);
	if (!quota_charge(as->quota, bytes))
		return NULL;
	if (!frame_alloc(order_of(pages), FRAME_PRIVATE, first_hpa))
		goto no_frame;
	window_zero(*first_hpa, bytes);
	spin_lock(&as->lock);
	ok = find_cell(as, &va) && !pt_map(&as->pt, va, *first_hpa, bytes, PT_R | PT_W);
	spin_unlock(&as->lock);
	if (ok)
		return (void *)va;
	frame_free(*first_hpa, order_of(pages));
no_frame:
	quota_uncharge(as->quota, bytes);
	return NULL;
}

void kpriv_free(struct aspace *as, void *p, u32 pages)
{
	u64 va = (u64)p, bytes = PAGE_SIZE << order_of(pages), active;
	hpa_t first;
	bool found = aspace_lookup(as, va, PROT_R, &first);

	ASSERT(found);
	spin_lock(&as->lock);
	(void)!pt_unmap(&as->pt, va, va + bytes);
	active = aspace_active(as);
	/* Before the lock goes: nobody takes the cell while a CPU has an old translation. */
	if (active)
		up_tlb_flush(as, active);
	spin_unlock(&as->lock);
	frame_free(first, order_of(pages));
	quota_uncharge(as->quota, bytes);
}
