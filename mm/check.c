/* The live kernel tables against the rules that they must keep. */
#include "hv/up.h"
#include "hv/x86.h"
#include "mm/mm.h"

/* clang-format off */
static const char *const owner_name[8] = {
	[FRAME_FREE] = "a free frame", [FRAME_RESERVED] = "a reserved frame, in the private slot",
	[FRAME_KERNEL] = "a frame of the heap, elsewhere too",
	[FRAME_PRIVATE] = "a private frame outside of its slot",
	[FRAME_USER] = "a program's frame", [FRAME_GUEST] = "a guest's frame",
};
/* clang-format on */

#define REPORTS 16 /* lines logged; the rest is only counted */

static bool within(u64 va, u64 base, u64 size) { return va - base < size; }

static void report(u32 *violations, u64 va, const struct pt_leaf *l, const char *what)
{
	if ((*violations)++ < REPORTS)
		log_error("mm: check: %#lx -> %#lx (%lu KiB): %s", va, l->start.v, l->bytes / 1024,
			  what);
}

/* May ring 0 have a frame of this owner at va? */
static bool owner_fits(u64 va, enum frame_owner owner)
{
	bool private = within(va, KPRIV_BASE, KPRIV_SIZE);

	return owner == FRAME_KERNEL	 ? within(va, DIRECT_BASE, DIRECT_SIZE)
	       : owner == FRAME_PRIVATE	 ? private
	       : owner == FRAME_RESERVED ? !private
					 : false;
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
		enum frame_owner owner = frame_owner_of(hpa_add(l->start, at));

		if (!owner_fits(va + at, owner)) {
			report(violations, va + at, l, owner_name[owner]);
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
