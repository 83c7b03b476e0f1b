#include "mm/kmap.h"

#include "hv/layout.h"
#include "hv/lock.h"
#include "mm/internal.h"

static spinlock_t lock; /* of `next` and of the tables of the MMIO area */
static u64 next = MMIO_BASE;

void *mmio_map(hpa_t a, u64 bytes, u32 prot_flags)
{
	u64 first = ALIGN_DOWN(a.v, PAGE_SIZE);
	void *p = NULL;
	u64 size;

	if (!bytes || bytes > MMIO_SIZE || a.v > ~0ull - bytes - PAGE_SIZE)
		return NULL;
	size = ALIGN_UP(a.v + bytes, PAGE_SIZE) - first;
	spin_lock(&lock);
	if (size <= MMIO_BASE + MMIO_SIZE - next) {
		if (!pt_map(kernel_pt(), next, hpa(first), size, prot_flags))
			p = (void *)(next + a.v % PAGE_SIZE);
		next += size; /* what was mapped in part stays unused */
	}
	spin_unlock(&lock);
	return p;
}
