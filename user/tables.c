#include "user/tables.h"

#include "lib/fmt.h"
#include "user/sys.h"

#define KERNEL_HALF 0xffff800000000000ull /* the upper canonical half */
#define REPORTS 16			  /* lines logged; the rest is only counted */

static const char *violation(const struct page_check *p)
{
	if (!p->prot)
		return NULL;
	if (p->prot & PROT_W && p->prot & PROT_X)
		return "writable and executable";
	if (p->user)
		return "open to ring 3";
	return p->misplaced ? "not a frame that ring 0 may have there" : NULL;
}

static void report(handle_t system, const struct page_check *p, const char *what)
{
	char line[120];
	int n = fmt_snprintf(line, sizeof(line), "tables: %#lx, frame of owner %u: %s", p->va,
			     p->owner, what);

	sys_ctl(system, SYSOP_LOG_WRITE, line, (u64)n);
}

s64 tables_check(handle_t system)
{
	s64 bad = 0;

	for (u64 va = KERNEL_HALF, next; va; va = next) {
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
