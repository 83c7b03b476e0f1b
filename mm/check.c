/* The live kernel tables against the rules that they must keep. */
#include "mm/mm.h"

static bool within(u64 va, u64 base, u64 size) { return va - base < size; }

/* May ring 0 have a frame of this owner at va? */
static bool owner_fits(u64 va, enum frame_owner owner)
{
	bool private = within(va, KPRIV_BASE, KPRIV_SIZE);

	/*
	 * The frame table's own frames are reserved; it is as large as 0.2% of RAM. Windows may
	 * show any frame.
	 */
	if (within(va, FRAMES_BASE, MMIO_BASE - FRAMES_BASE) || va >= WINDOW_BASE)
		return true;
	return owner == FRAME_KERNEL	 ? within(va, DIRECT_BASE, DIRECT_SIZE)
	       : owner == FRAME_PRIVATE	 ? private
	       : owner == FRAME_RESERVED ? !private
					 : false;
}

void mm_page_check(const struct pt *pt, struct page_check *p)
{
	struct pt_leaf l;
	bool present = pt_lookup(pt, p->va, &l);
	u64 e = present ? *l.entry : 0;

	p->bytes = l.bytes;
	p->prot = e & PTE_P ? PROT_R | (e & PTE_W ? PROT_W : 0) | (e & PTE_NX ? 0 : PROT_X) : 0;
	p->user = e & PTE_U ? 1 : 0;
	p->owner = frame_owner_of(hpa_add(l.start, p->va & (l.bytes - 1)));
	p->misplaced = !owner_fits(p->va, p->owner);
}
