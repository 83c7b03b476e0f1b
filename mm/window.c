#include "mm/window.h"

#include "hv/cpu.h"
#include "hv/up.h"
#include "hv/x86.h"
#include "mm/internal.h"

static u64 leaf(u64 a, u32 level)
{
	return pt_leaf_entry(&pt_host_format, a, PT_R | PT_W, level) | pt_host_format.usage;
}

int window_cpu_init(struct cpu *c)
{
	u64 va = WINDOW_BASE + c->id * WINDOW_SIZE;
	u32 level = 1;
	u64 *pte = pt_walk(kernel_pt(), va, &level, true);

	if (!pte)
		return -E_NOMEM;
	c->window = (void *)va;
	c->window_pte = pte;
	return 0;
}

void *window_map(enum window w, hpa_t a)
{
	struct cpu *c = this_cpu();
	u64 old = c->window_pte[w];
	char *page = (char *)c->window + w * PAGE_SIZE;

	__atomic_store_n(&c->window_pte[w], leaf(ALIGN_DOWN(a.v, PAGE_SIZE), 1), __ATOMIC_RELEASE);
	if (old) /* what is not present is never cached */
		invlpg((u64)page);
	return page + a.v % PAGE_SIZE;
}

void window_unmap(enum window w)
{
	struct cpu *c = this_cpu();

	__atomic_store_n(&c->window_pte[w], 0, __ATOMIC_RELEASE);
	invlpg((u64)c->window + w * PAGE_SIZE);
}

static void zero_2m(hpa_t a)
{
	u64 va = WINDOW_2M_BASE + this_cpu()->id * PAGE_2M;
	u32 level = 2;
	u64 *e = pt_walk(kernel_pt(), va, &level, false);

	__atomic_store_n(e, leaf(a.v, 2), __ATOMIC_RELEASE);
	zero_words((void *)va, PAGE_2M);
	__atomic_store_n(e, 0, __ATOMIC_RELEASE);
	invlpg(va);
}

void window_zero(hpa_t a, u64 bytes)
{
	while (bytes) {
		u64 n = IS_ALIGNED(a.v, PAGE_2M) && bytes >= PAGE_2M ? PAGE_2M : PAGE_SIZE;

		if (n == PAGE_2M) {
			zero_2m(a);
		} else {
			zero_words(window_map(WINDOW_ZERO, a), PAGE_SIZE);
			window_unmap(WINDOW_ZERO);
		}
		a = hpa_add(a, n);
		bytes -= n;
	}
}
