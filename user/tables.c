#include "user/tables.h"

#include "lib/fmt.h"
#include "uapi/layout.h"
#include "user/sys.h"

#define REPORTS 16 /* lines logged; the rest is only counted */

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

static const char *violation(const struct page_check *p)
{
	if (!p->prot)
		return NULL;
	if (p->prot & PROT_W && p->prot & PROT_X)
		return "writable and executable";
	if (p->user)
		return "open to ring 3";
	return owner_fits(p->va, p->owner) ? NULL : "not a frame that ring 0 may have there";
}

static void report(handle_t system, const struct page_check *p, const char *what)
{
	char line[120];
	int n = fmt_snprintf(line, sizeof(line), "%utables: %#lx, frame of owner %u: %s", LOG_ERROR,
			     p->va, p->owner, what);

	sys_ctl(system, SYSOP_LOG_WRITE, line, (u64)n);
}

s64 tables_check(handle_t system)
{
	s64 bad = 0;

	for (u64 va = DIRECT_BASE, next; va; va = next) {
		struct page_check p = {.va = va};
		s64 e = sys_ctl(system, SYSOP_PAGE_CHECK, &p, sizeof(p));
		const char *what = violation(&p);

		if (e < 0)
			return e;
		if (what && bad++ < REPORTS)
			report(system, &p, what);
		next = p.prot ? va + PAGE_SIZE : ALIGN_DOWN(va, p.bytes) + p.bytes;
	}
	return bad;
}
