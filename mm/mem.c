#include "mm/mem.h"

#include "lib/string.h"
#include "mm/aspace.h"
#include "mm/window.h"

#define ENTRIES (PAGE_2M / PAGE_SIZE)
#define BLOCK_2M 1ull /* bit 0 of mem.block[]: the rest is the address of a 2 MiB frame */
#define DESTROY_STEP 512

static u64 blocks_of(u64 bytes) { return ALIGN_UP(bytes, PAGE_2M) / PAGE_2M; }
static u64 charge_of(u64 bytes) { return bytes + blocks_of(bytes) * PAGE_SIZE; }

int mem_create(u64 bytes, u64 flags, struct quota *q, struct mem **out)
{
	struct mem *m;
	u64 *block;

	if (!bytes || !IS_ALIGNED(bytes, PAGE_SIZE) || bytes > MEM_BYTES_MAX ||
	    flags & ~(u64)MEM_GUEST)
		return -E_INVAL;
	if (!quota_charge(q, charge_of(bytes)))
		return -E_NOMEM;
	block = kmem_alloc(q, blocks_of(bytes) * sizeof(u64));
	m = block ? object_new(OBJ_MEM, sizeof(*m), q) : NULL;
	if (m) {
		m->bytes = bytes;
		m->flags = (u32)flags;
		m->block = block;
		list_init(&m->mappings);
		*out = m;
		return 0;
	}
	if (block)
		kmem_free(q, block, blocks_of(bytes) * sizeof(u64));
	quota_uncharge(q, charge_of(bytes));
	return -E_NOMEM;
}

/* Where the address of the 4 KiB frame at an offset stands. NULL: no memory for its table. */
static u64 *small_entry(struct mem *m, u64 offset)
{
	u64 *block = &m->block[offset / PAGE_2M];

	if (!*block)
		*block = (u64)kmem_alloc(kernel_quota, PAGE_SIZE); /* charged with the object */
	return *block ? (u64 *)*block + offset % PAGE_2M / PAGE_SIZE : NULL;
}

int mem_create_borrowed(hpa_t start, u64 bytes, struct mem **out)
{
	u64 used = bytes % PAGE_SIZE, *entry;
	int e;

	if (!IS_ALIGNED(start.v, PAGE_SIZE))
		return -E_INVAL;
	e = mem_create(ALIGN_UP(bytes, PAGE_SIZE), 0, kernel_quota, out);
	for (u64 at = 0; !e && at < (*out)->bytes; at += PAGE_SIZE) {
		entry = small_entry(*out, at);
		if (!entry)
			return -E_NOMEM;
		*entry = start.v + at;
	}
	if (!e && used) {
		memset(window_map(WINDOW_A, hpa_add(start, bytes)), 0, PAGE_SIZE - used);
		window_unmap(WINDOW_A);
	}
	return e;
}

/* A zeroed frame, counted. Under m->lock. */
static bool frame_new(struct mem *m, u32 order, hpa_t *a)
{
	if (!frame_alloc(order, m->flags & MEM_GUEST ? FRAME_GUEST : FRAME_USER, a))
		return false;
	window_zero(*a, PAGE_SIZE << order);
	quota_count(&m->obj.quota->populated, (s64)(PAGE_SIZE << order));
	return true;
}

int mem_frame(struct mem *m, u64 offset, hpa_t *start, u64 *bytes, u64 *page_offset)
{
	u64 *block = &m->block[offset / PAGE_2M], *entry = block;

	if (offset >= m->bytes)
		return -E_INVAL;
	spin_lock(&m->lock);
	if (!*block && m->flags & MEM_GUEST && ALIGN_DOWN(offset, PAGE_2M) + PAGE_2M <= m->bytes &&
	    frame_new(m, ORDER_2M, start))
		*block = start->v | BLOCK_2M;
	*bytes = *block & BLOCK_2M ? PAGE_2M : PAGE_SIZE;
	if (!(*block & BLOCK_2M)) {
		entry = small_entry(m, offset);
		if (entry && !*entry && frame_new(m, ORDER_4K, start))
			*entry = start->v;
	}
	*start = hpa(entry ? *entry & ~BLOCK_2M : 0);
	spin_unlock(&m->lock);
	*page_offset = ALIGN_DOWN(offset, *bytes);
	return start->v ? 0 : -E_NOMEM;
}

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
		quota_count(&m->obj.quota->populated, -(s64)PAGE_2M);
		return budget - 1;
	}
	for (u32 i = 0; i < ENTRIES; i++)
		if (table[i]) {
			frame_free(hpa(table[i]), ORDER_4K);
			quota_count(&m->obj.quota->populated, -(s64)PAGE_SIZE);
		}
	kmem_free(kernel_quota, table, PAGE_SIZE);
	return 0;
}

bool mem_destroy_step(struct object *o)
{
	struct mem *m = container_of(o, struct mem, obj);
	u32 budget = DESTROY_STEP;

	ASSERT(list_empty(&m->mappings));
	unmap_stamp_check(&m->unmapped);
	while (budget && m->destroyed < blocks_of(m->bytes))
		budget = free_block(m, m->block[m->destroyed++], budget);
	if (m->destroyed < blocks_of(m->bytes))
		return false;
	kmem_free(m->obj.quota, m->block, blocks_of(m->bytes) * sizeof(u64));
	quota_uncharge(m->obj.quota, charge_of(m->bytes));
	return true;
}
