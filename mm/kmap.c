#include "mm/kmap.h"

#include "hv/layout.h"
#include "hv/lock.h"
#include "hv/x86.h"
#include "mm/internal.h"

static spinlock_t lock; /* of `next` and of the tables of the MMIO area */
static u64 next = MMIO_BASE;

static void unmap(u64 va, u64 end)
{
	while (va < end)
		va = pt_unmap(kernel_pt(), va, end);
}

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
		if (pt_map(kernel_pt(), next, hpa(first), size, prot_flags)) {
			unmap(next, next + size);
		} else {
			p = (void *)(next + a.v % PAGE_SIZE);
			next += size;
		}
	}
	spin_unlock(&lock);
	return p;
}

void mmio_unmap(void *p, u64 bytes)
{
	u64 va = ALIGN_DOWN((u64)p, PAGE_SIZE), size = ALIGN_UP((u64)p + bytes, PAGE_SIZE) - va;

	spin_lock(&lock);
	ASSERT(va >= MMIO_BASE && va + size <= next);
	unmap(va, va + size);
	for (u64 at = va; at < va + size; at += PAGE_SIZE)
		invlpg(at);
	if (va + size == next)
		next = va;
	spin_unlock(&lock);
}
