#include "mm/ucopy.h"

#include "hv/cpu.h"
#include "hv/facts.h"
#include "hv/x86.h"
#include "uapi/abi.h"

s64 ucopy_words(void *dst, const void *src, size_t n);
extern const char ucopy_fault[];

static int copy(void *dst, const void *src, u64 user, size_t n)
{
	struct cpu *c = this_cpu();
	s64 e;

	if (user >= USER_VA_MAX || n > USER_VA_MAX - user)
		return -E_FAULT;
	c->fixup_rip = (u64)ucopy_fault;
	if (cpu_facts.smap)
		stac();
	e = ucopy_words(dst, src, n);
	if (cpu_facts.smap)
		clac();
	c->fixup_rip = 0;
	return e ? -E_FAULT : 0;
}

int ucopy_in(void *dst, u64 src, size_t n) { return copy(dst, (void *)src, src, n); }
int ucopy_out(u64 dst, const void *src, size_t n) { return copy((void *)dst, src, dst, n); }
