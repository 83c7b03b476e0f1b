/*
 * The private kernel slot of an address space: kernel stacks and vCPU areas, reachable while it is
 * loaded.
 */
#include "mm/aspace.h"
#include "mm/window.h"

#define KPRIV_ORDER 1u

/* The first free cell's page behind its guard. False: there is none. Under as->lock. */
static bool find_cell(struct aspace *as, u64 *va)
{
	struct pt_leaf l;

	for (*va = KPRIV_BASE + PAGE_SIZE; *va < KPRIV_BASE + KPRIV_SIZE; *va += KPRIV_CELL)
		if (!pt_lookup(&as->pt, *va, &l))
			return true;
	return false;
}

void *kpriv_alloc(struct aspace *as, hpa_t *first_hpa)
{
	u64 va;
	bool ok;

	if (!quota_charge(as->quota, KPRIV_BYTES))
		return NULL;
	if (!frame_alloc(KPRIV_ORDER, FRAME_PRIVATE, first_hpa))
		goto no_frame;
	window_zero(*first_hpa, KPRIV_BYTES);
	spin_lock(&as->lock);
	ok = find_cell(as, &va) && !pt_map(&as->pt, va, *first_hpa, KPRIV_BYTES, PT_R | PT_W);
	spin_unlock(&as->lock);
	if (ok)
		return (void *)va;
	frame_free(*first_hpa, KPRIV_ORDER);
no_frame:
	quota_uncharge(as->quota, KPRIV_BYTES);
	return NULL;
}

void kpriv_free(struct aspace *as, void *p)
{
	u64 va = (u64)p, active;
	hpa_t first;
	bool found = aspace_lookup(as, va, PROT_R, &first);

	ASSERT(found);
	spin_lock(&as->lock);
	(void)!pt_unmap(&as->pt, va, va + KPRIV_BYTES);
	active = aspace_active(as);
	/* Before the lock goes: nobody takes the cell while a CPU has an old translation. */
	if (active)
		up_tlb_flush(as, active);
	spin_unlock(&as->lock);
	frame_free(first, KPRIV_ORDER);
	quota_uncharge(as->quota, KPRIV_BYTES);
}
