#include "mm/internal.h"
#include "mm/mm.h"

void *mmio_map(hpa_t a, u64 bytes, u32 prot_flags)
{
	static u64 next = MMIO_BASE;
	u64 first = ALIGN_DOWN(a.v, PAGE_SIZE), size = ALIGN_UP(a.v + bytes, PAGE_SIZE) - first,
	    va = next;

	if (size > MMIO_BASE + MMIO_SIZE - va)
		return NULL;
	next += size; /* what is mapped only in part stays unused */
	return pt_map(kernel_pt(), va, hpa(first), size, prot_flags)
		       ? NULL
		       : (void *)(va + a.v % PAGE_SIZE);
}
