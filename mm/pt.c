/* The one page-table walker. */
#include "mm/pt.h"

#include "hv/facts.h"
#include "lib/assert.h"
#include "uapi/abi.h"

#define ENTRIES 512
#define FREE_STEP 512  /* tables a call */
#define UNMAP_STEP 512 /* entries a call */

static u32 shift(u32 level) { return PAGE_SHIFT + 9 * (level - 1); }
static u64 page_bytes(u32 level) { return BIT(shift(level)); }
static u32 index(u64 va, u32 level) { return va >> shift(level) & (ENTRIES - 1); }

static bool is_present(const struct pt *pt, u64 e) { return e & pt->fmt->present; }
static bool is_leaf(u64 e, u32 level) { return level == 1 || e & PTE_PS; }
static u64 leaf_address(u64 e, u32 level) { return ALIGN_DOWN(e & PTE_ADDRESS, page_bytes(level)); }

static u64 *table_of(u64 e) { return hpa_to_kva(hpa(e & PTE_ADDRESS)); }

u64 pt_leaf_entry(const struct pt_format *f, u64 a, u32 prot, u32 level)
{
	return a | f->encode(prot) | (level > 1 ? PTE_PS : 0);
}

static u64 *table_new(const struct pt *pt)
{
	u64 *t = kmem_alloc(pt->quota, PAGE_SIZE);

	if (t)
		quota_count(&pt->quota->tables, (s64)PAGE_SIZE);
	return t;
}

static void table_free(const struct pt *pt, u64 *t)
{
	quota_count(&pt->quota->tables, -(s64)PAGE_SIZE);
	kmem_free(pt->quota, t, PAGE_SIZE);
}

/*
 * The CPU reads entries at any time: a table is complete before the entry that points to it is
 * stored.
 */
static void entry_set(u64 *e, u64 v) { __atomic_store_n(e, v, __ATOMIC_RELEASE); }

int pt_init(struct pt *pt, const struct pt_format *fmt, struct quota *q)
{
	*pt = (struct pt){.fmt = fmt, .quota = q};
	pt->root = table_new(pt);
	return pt->root ? 0 : -E_NOMEM;
}

u64 *pt_walk(const struct pt *pt, u64 va, u32 *level, bool create)
{
	u64 *t = pt->root;

	for (u32 l = PT_LEVELS;; l--) {
		u64 *e = &t[index(va, l)], seen = __atomic_load_n(e, __ATOMIC_RELAXED);

		if (l == *level)
			return e;
		if (!is_present(pt, seen)) {
			if (!create) {
				*level = l;
				return e;
			}
			t = table_new(pt);
			if (!t)
				return NULL;
			entry_set(e, kva_to_hpa(t).v | pt->fmt->table);
		} else if (is_leaf(seen, l)) {
			*level = l;
			return e;
		} else {
			t = table_of(seen);
		}
	}
}

static u32 largest_level(const struct pt *pt, u64 va, u64 a, u64 bytes)
{
	u32 level = cpu_facts.page_1g ? pt->fmt->max_leaf : MIN(pt->fmt->max_leaf, 2);

	while (level > 1 && (!IS_ALIGNED(va | a, page_bytes(level)) || bytes < page_bytes(level)))
		level--;
	return level;
}

/* Maps one page at va, or accepts an equal leaf there. Returns the bytes dealt with or an error. */
static s64 map_one(struct pt *pt, u64 va, u64 a, u64 bytes, u32 prot)
{
	for (u32 want = largest_level(pt, va, a, bytes);; want--) {
		u32 level = want;
		u64 *e = pt_walk(pt, va, &level, true);
		u64 in_page = va & (page_bytes(level) - 1);

		if (!e)
			return -E_NOMEM;
		if (!is_present(pt, *e)) {
			entry_set(e, pt_leaf_entry(pt->fmt, a, prot, level));
			return (s64)page_bytes(level);
		}
		if (!is_leaf(*e, level))
			continue; /* a table with smaller pages is there already */
		if ((*e & ~pt->fmt->usage) != pt_leaf_entry(pt->fmt, a - in_page, prot, level))
			return -E_EXIST;
		return (s64)MIN(bytes, page_bytes(level) - in_page);
	}
}

int pt_map(struct pt *pt, u64 va, hpa_t a, u64 bytes, u32 prot)
{
	ASSERT(IS_ALIGNED(va | a.v | bytes, PAGE_SIZE));
	while (bytes) {
		s64 n = map_one(pt, va, a.v, bytes, prot);

		if (n < 0)
			return (int)n;
		va += (u64)n;
		a.v += (u64)n;
		bytes -= (u64)n;
	}
	return 0;
}

u64 pt_unmap(struct pt *pt, u64 va, u64 end)
{
	for (u32 n = 0; n < UNMAP_STEP && va < end; n++) {
		u32 level = 1;
		u64 *e = pt_walk(pt, va, &level, false), size = page_bytes(level);

		if (is_present(pt, *e)) {
			ASSERT(IS_ALIGNED(va, size) && end - va >= size);
			entry_set(e, 0);
		}
		va = ALIGN_DOWN(va, size) + size;
	}
	return MIN(va, end);
}

bool pt_lookup(const struct pt *pt, u64 va, struct pt_leaf *out)
{
	u32 level = 1;
	u64 *e = pt_walk(pt, va, &level, false), v = __atomic_load_n(e, __ATOMIC_RELAXED);

	*out = (struct pt_leaf){hpa(leaf_address(v, level)), page_bytes(level), e};
	return is_present(pt, v);
}

/* First entry of t that points to a table, in [from, ENTRIES). */
static u64 *first_table(const struct pt *pt, u64 *t, u32 level, u32 from, u32 end)
{
	for (u32 i = from; i < end; i++)
		if (is_present(pt, t[i]) && !is_leaf(t[i], level))
			return &t[i];
	return NULL;
}

/* Goes down to a table that points to no other table, frees it and starts again. */
bool pt_free_tables(struct pt *pt, u64 va, u64 end)
{
	u32 top = PT_LEVELS, last = index(end - 1, top) + 1;

	for (u32 freed = 0; freed < FREE_STEP; freed++) {
		u64 *e = first_table(pt, pt->root, top, index(va, top), last), *child;
		u32 level = top;

		if (!e)
			return true;
		while ((child = first_table(pt, table_of(*e), level - 1, 0, ENTRIES))) {
			e = child;
			level--;
		}
		child = table_of(*e);
		*e = 0;
		table_free(pt, child);
	}
	return false;
}

bool pt_destroy_step(struct pt *pt, u64 va_end)
{
	if (!pt->root)
		return true;
	if (!pt_free_tables(pt, 0, va_end))
		return false;
	table_free(pt, pt->root);
	pt->root = NULL;
	return true;
}
