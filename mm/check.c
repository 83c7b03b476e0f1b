/* The live kernel tables against the rules that they must keep. */
#include "hv/up.h"
#include "hv/x86.h"
#include "mm/mm.h"

#define REPORTS 16 /* lines logged; the rest is only counted */

static bool within(u64 va, u64 base, u64 size) { return va - base < size; }

static void report(u32 *violations, u64 va, const struct pt_leaf *l, const char *what)
{
	if ((*violations)++ < REPORTS)
		log_error("mm: check: %#llx -> %#llx (%llu KiB): %s", (unsigned long long)va,
			  (unsigned long long)l->start.v, (unsigned long long)l->bytes / 1024,
			  what);
}

/* NULL: a frame of this owner may be mapped at va. */
static const char *wrong_owner(u64 va, enum frame_owner owner)
{
	bool private = within(va, KPRIV_BASE, KPRIV_SIZE);

	switch (owner) {
	case FRAME_FREE: return "a free frame is mapped";
	case FRAME_USER: return "a program's frame is mapped";
	case FRAME_GUEST: return "a guest's frame is mapped";
	case FRAME_PRIVATE:
		return private ? NULL : "a private frame is mapped outside the private slot";
	case FRAME_KERNEL:
		return within(va, DIRECT_BASE, DIRECT_SIZE) ? NULL : "a heap frame is mapped twice";
	case FRAME_RESERVED:
		return private ? "a reserved frame is mapped in the private slot" : NULL;
	}
	return "a frame of an unknown owner is mapped";
}

static void check_leaf(u64 va, const struct pt_leaf *l, u32 *violations)
{
	if (*l->entry & PTE_W && !(*l->entry & PTE_NX))
		report(violations, va, l, "writable and executable");
	if (*l->entry & PTE_U)
		report(violations, va, l, "open to ring 3");
	/*
	 * The frame table's own frames are reserved; it is as large as 0.2% of RAM. Windows may
	 * show any frame.
	 */
	if (within(va, FRAMES_BASE, MMIO_BASE - FRAMES_BASE) || va >= WINDOW_BASE)
		return;
	for (u64 at = 0; at < l->bytes; at += PAGE_SIZE) {
		const char *what = wrong_owner(va + at, frame_owner_of(hpa_add(l->start, at)));

		if (what) {
			report(violations, va + at, l, what);
			return;
		}
	}
}

u64 mm_check_step(u64 va, u32 *violations)
{
	struct pt live = {.fmt = &pt_host_format,
			  .root = hpa_to_kva(hpa(read_cr3() & PTE_ADDRESS))};
	struct pt_leaf l;
	bool present = pt_lookup(&live, va, &l);

	va = ALIGN_DOWN(va, l.bytes);
	if (present)
		check_leaf(va, &l, violations);
	return va + l.bytes;
}
