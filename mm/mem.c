#include "mm/mem.h"

#include "hv/up.h"
#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/kmem.h"
#include "mm/window.h"

#define ENTRIES (PAGE_2M / PAGE_SIZE)
#define BLOCK_2M 1ull /* bit 0 of mem.block[]: the rest is the address of a 2 MiB frame */
#define DESTROY_STEP 512

/* A naturally aligned page of the object. */
struct page {
	hpa_t start;
	u64 bytes;
	u64 offset; /* in the object */
};

static u64 blocks_of(const struct mem *m) { return ALIGN_UP(m->bytes, PAGE_2M) / PAGE_2M; }
static u64 charge_of(const struct mem *m) { return m->bytes + blocks_of(m) * PAGE_SIZE; }

static u32 array_order(u64 bytes)
{
	u32 order = 0;

	while (PAGE_SIZE << order < bytes)
		order++;
	return order;
}

static u64 *array_new(struct quota *q, u64 entries)
{
	u64 bytes = entries * sizeof(u64);

	return bytes <= KiB(64) ? kmem_alloc(q, bytes) : kmem_pages_alloc(q, array_order(bytes));
}

static void array_free(struct quota *q, u64 *array, u64 entries)
{
	u64 bytes = entries * sizeof(u64);

	if (bytes <= KiB(64))
		kmem_free(q, array, bytes);
	else
		kmem_pages_free(q, array, array_order(bytes));
}

static struct mem *mem_new(struct quota *q, u64 bytes, u32 flags)
{
	struct mem *m = kmem_alloc(q, sizeof(*m));

	if (!m)
		return NULL;
	object_init(&m->obj, OBJ_MEM, q);
	m->bytes = bytes;
	m->flags = flags;
	list_init(&m->mappings);
	return m;
}

int mem_create(u64 bytes, u32 flags, struct quota *q, struct mem **out)
{
	struct mem *m;

	if (!bytes || !IS_ALIGNED(bytes, PAGE_SIZE) || bytes > MEM_BYTES_MAX ||
	    flags & ~(u32)(MEM_POPULATE | MEM_GUEST))
		return -E_INVAL;
	m = mem_new(q, bytes, flags);
	if (!m)
		return -E_NOMEM;
	if (!quota_charge(q, charge_of(m)))
		goto no_quota;
	m->block = array_new(q, blocks_of(m));
	if (!m->block)
		goto no_array;
	*out = m;
	return 0;

no_array:
	quota_uncharge(q, charge_of(m));
no_quota:
	object_free(&m->obj, m, sizeof(*m));
	return -E_NOMEM;
}

int mem_create_borrowed(hpa_t start, u64 bytes, struct mem **out)
{
	u64 used = bytes % PAGE_SIZE;
	struct mem *m;

	if (!bytes || !IS_ALIGNED(start.v, PAGE_SIZE))
		return -E_INVAL;
	m = mem_new(NULL, ALIGN_UP(bytes, PAGE_SIZE), 0);
	if (!m)
		return -E_NOMEM;
	m->borrowed = true;
	m->start = start;
	m->populated = m->bytes;
	if (used) {
		memset(window_map(WINDOW_A, hpa_add(start, bytes)), 0, PAGE_SIZE - used);
		window_unmap(WINDOW_A);
	}
	*out = m;
	return 0;
}

/* A zeroed frame, counted. Under m->lock. */
static bool frame_new(struct mem *m, u32 order, hpa_t *a)
{
	if (!frame_alloc(order, m->flags & MEM_GUEST ? FRAME_GUEST : FRAME_USER, a))
		return false;
	window_zero(*a, PAGE_SIZE << order);
	m->populated += PAGE_SIZE << order;
	quota_count_populated(m->obj.quota, (s64)(PAGE_SIZE << order));
	return true;
}

static struct page page_at(hpa_t start, u64 bytes, u64 at)
{
	return (struct page){start, bytes, ALIGN_DOWN(at, bytes)};
}

static int small_page(struct mem *m, u64 at, struct page *out)
{
	u64 *block = &m->block[at / PAGE_2M], *entry;
	hpa_t a;

	if (!*block) {
		void *table = kmem_pages_alloc(NULL, 0); /* charged with the object */

		if (!table)
			return -E_NOMEM;
		*block = (u64)table;
	}
	entry = (u64 *)*block + at % PAGE_2M / PAGE_SIZE;
	if (!*entry) {
		if (!frame_new(m, ORDER_4K, &a))
			return -E_NOMEM;
		*entry = a.v;
	}
	*out = page_at(hpa(*entry), PAGE_SIZE, at);
	return 0;
}

static int populated_page(struct mem *m, u64 at, struct page *out)
{
	u64 *block = &m->block[at / PAGE_2M];
	hpa_t a;

	if (!*block && m->flags & MEM_GUEST && ALIGN_DOWN(at, PAGE_2M) + PAGE_2M <= m->bytes &&
	    frame_new(m, ORDER_2M, &a))
		*block = a.v | BLOCK_2M;
	if (!(*block & BLOCK_2M))
		return small_page(m, at, out);
	*out = page_at(hpa(*block & ~BLOCK_2M), PAGE_2M, at);
	return 0;
}

static int borrowed_page(struct mem *m, u64 at, struct page *out)
{
	u64 first = ALIGN_DOWN(at, PAGE_2M);

	if (IS_ALIGNED(m->start.v, PAGE_2M) && first + PAGE_2M <= m->bytes)
		*out = page_at(hpa_add(m->start, first), PAGE_2M, at);
	else
		*out = page_at(hpa_add(m->start, ALIGN_DOWN(at, PAGE_SIZE)), PAGE_SIZE, at);
	return 0;
}

int mem_frame(struct mem *m, u64 offset, hpa_t *start, u64 *bytes, u64 *page_offset)
{
	struct page p;
	int e;

	if (offset >= m->bytes)
		return -E_INVAL;
	spin_lock(&m->lock);
	e = m->borrowed ? borrowed_page(m, offset, &p) : populated_page(m, offset, &p);
	spin_unlock(&m->lock);
	if (e)
		return e;
	*start = p.start;
	*bytes = p.bytes;
	*page_offset = p.offset;
	return 0;
}

int mem_populate_step(struct mem *m, u64 *offset)
{
	u64 end = MIN(m->bytes, ALIGN_DOWN(*offset, PAGE_2M) + PAGE_2M);

	while (*offset < end) {
		u64 bytes, page_offset;
		hpa_t start;
		int e = mem_frame(m, *offset, &start, &bytes, &page_offset);

		if (e)
			return e;
		*offset = page_offset + bytes;
	}
	return 0;
}

static int copy_range(struct mem *m, u64 offset, u8 *out, const u8 *in, u64 n)
{
	if (offset > m->bytes || n > m->bytes - offset)
		return -E_INVAL;
	while (n) {
		u64 part = MIN(n, PAGE_SIZE - offset % PAGE_SIZE), bytes, page_offset;
		hpa_t start;
		int e = mem_frame(m, offset, &start, &bytes, &page_offset);
		void *at;

		if (e)
			return e;
		at = window_map(WINDOW_A, hpa_add(start, offset - page_offset));
		if (in) {
			memcpy(at, in, part);
			in += part;
		} else {
			memcpy(out, at, part);
			out += part;
		}
		window_unmap(WINDOW_A);
		offset += part;
		n -= part;
	}
	return 0;
}

int mem_write(struct mem *m, u64 offset, const void *src, u64 n) { return copy_range(m, offset, NULL, src, n); }
int mem_read(struct mem *m, u64 offset, void *dst, u64 n) { return copy_range(m, offset, dst, NULL, n); }

int mem_attach(struct mem *m, struct mapping *map)
{
	bool dead;

	spin_lock(&m->lock);
	dead = __atomic_load_n(&m->obj.dead, __ATOMIC_ACQUIRE);
	if (!dead) {
		list_push_back(&m->mappings, &map->mem_link);
		object_get(&m->obj);
	}
	spin_unlock(&m->lock);
	return dead ? -E_DEAD : 0;
}

void mem_detach(struct mapping *map)
{
	spin_lock(&map->mem->lock);
	list_del(&map->mem_link);
	spin_unlock(&map->mem->lock);
}

/* Returns what of the budget is left. */
static u32 free_block(struct mem *m, u64 block, u32 budget)
{
	u64 *table = (u64 *)block;

	if (!block)
		return budget - 1;
	if (block & BLOCK_2M) {
		frame_free(hpa(block & ~BLOCK_2M), ORDER_2M);
		quota_count_populated(m->obj.quota, -(s64)PAGE_2M);
		return budget - 1;
	}
	for (u32 i = 0; i < ENTRIES; i++)
		if (table[i]) {
			frame_free(hpa(table[i]), ORDER_4K);
			quota_count_populated(m->obj.quota, -(s64)PAGE_SIZE);
		}
	kmem_pages_free(NULL, table, 0);
	return 0;
}

/* True when all are free. */
static bool free_frames(struct mem *m)
{
	u32 budget = DESTROY_STEP;

	if (m->borrowed) {
		for (; budget && m->destroyed < m->bytes / PAGE_SIZE; budget--)
			frame_free(hpa_add(m->start, m->destroyed++ * PAGE_SIZE), ORDER_4K);
		return m->destroyed == m->bytes / PAGE_SIZE;
	}
	while (budget && m->destroyed < blocks_of(m))
		budget = free_block(m, m->block[m->destroyed++], budget);
	return m->destroyed == blocks_of(m);
}

bool mem_destroy_step(struct mem *m)
{
	struct quota *q = m->obj.quota;

	ASSERT(list_empty(&m->mappings));
	if (!free_frames(m))
		return false;
	if (m->block) {
		array_free(q, m->block, blocks_of(m));
		quota_uncharge(q, charge_of(m));
	}
	object_free(&m->obj, m, sizeof(*m));
	return true;
}
