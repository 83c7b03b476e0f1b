/* Address spaces: which memory object is where, filled in by page faults. */
#include "mm/aspace.h"

#include "arch/apic.h"
#include "hv/cpu.h"
#include "hv/x86.h"
#include "lib/string.h"
#include "mm/internal.h"

#define USER_TOP_LEVEL_END BIT(47)
/* top-level entry of the private slot */
#define KPRIV_ENTRY (KPRIV_BASE >> 39 & 511)
#define GPA_MAX BIT(46)

#ifdef CAISSON_DEBUG
u64 unmap_epoch;
#endif

static_assert(PT_R == (int)PROT_R && PT_W == (int)PROT_W && PT_X == (int)PROT_X,
	      "prot bits are shared");

int aspace_init(struct aspace *as, struct quota *q)
{
	int e;

	*as = (struct aspace){.quota = q};
	e = pt_init(&as->pt, &pt_host_format, q);
	if (e)
		return e;
	memcpy(as->pt.root + KERNEL_HALF, kernel_pt()->root + KERNEL_HALF, PAGE_SIZE / 2);
	as->pt.root[KPRIV_ENTRY] = 0;
	return 0;
}

u64 aspace_cr3(const struct aspace *as) { return pt_root_hpa(&as->pt); }

void aspace_activate(struct aspace *next)
{
	struct cpu *c = this_cpu();
	struct aspace *old = c->aspace;

	if (old == next)
		return;
	__atomic_fetch_or(&next->active, BIT(c->id), __ATOMIC_SEQ_CST);
	c->aspace = next;
	unmap_flushing(c);
	if (old)
		__atomic_fetch_and(&old->active, ~BIT(c->id), __ATOMIC_SEQ_CST);
}

void aspace_switch(struct aspace *as)
{
	if (this_cpu()->aspace == as)
		return;
	aspace_activate(as);
	write_cr3(aspace_cr3(as));
}

u64 aspace_active(struct aspace *as) { return __atomic_fetch_or(&as->active, 0, __ATOMIC_SEQ_CST); }

static struct mapping *to_mapping(const struct rb_node *n)
{
	return container_of(n, struct mapping, node);
}

static bool by_va(const struct rb_node *a, const struct rb_node *b)
{
	return to_mapping(a)->va < to_mapping(b)->va;
}

/* The last mapping that starts at or before va. */
static struct mapping *at_or_before(struct aspace *as, u64 va)
{
	struct rb_node *n = as->mappings.root;
	struct mapping *found = NULL;

	while (n) {
		struct mapping *m = to_mapping(n);

		if (m->va <= va) {
			found = m;
			n = n->right;
		} else {
			n = n->left;
		}
	}
	return found;
}

/* In a VM, the page where the local APICs are is never memory. */
static bool range_valid(const struct aspace *as, u64 va, u64 bytes)
{
	u64 min = as->guest ? 0 : USER_VA_MIN, max = as->guest ? GPA_MAX : USER_VA_MAX;

	return bytes && IS_ALIGNED(va | bytes, PAGE_SIZE) && va >= min && va < max &&
	       bytes <= max - va && !(as->guest && APIC_DEFAULT_BASE - va < bytes);
}

static bool prot_valid(u64 prot)
{
	return prot & PROT_R && !(prot & ~(u64)(PROT_R | PROT_W | PROT_X)) &&
	       !(prot & PROT_W && prot & PROT_X);
}

/* Enters m, whose range overlaps nothing. Under as->lock. */
static int insert(struct aspace *as, struct mapping *m)
{
	struct mapping *before = at_or_before(as, m->va + m->bytes - 1);

	if (as->closed)
		return -E_DEAD;
	if (before && before->va + before->bytes > m->va)
		return -E_EXIST;
	if (as->guest && as->rows == VM_MAPPINGS)
		return -E_NOMEM;
	rb_insert(&as->mappings, &m->node, by_va);
	as->rows++;
	return 0;
}

/* Under as->lock. */
static void erase(struct mapping *m)
{
	rb_erase(&m->as->mappings, &m->node);
	m->as->rows--;
}

/* Enters a copy of *row: a mapping of an object, or of a kernel page. */
static int add(struct aspace *as, const struct mapping *row, const void *page)
{
	struct mapping *map = kmem_alloc(as->quota, sizeof(*map));
	int e;

	if (!map)
		return -E_NOMEM;
	*map = *row;
	spin_lock(&as->lock);
	e = insert(as, map);
	if (!e) {
		e = page ? pt_map(&as->pt, map->va, kva_to_hpa(page), PAGE_SIZE,
				  map->prot | PT_USER)
			 : mem_attach(map->mem, map);
		if (e)
			erase(map);
	}
	spin_unlock(&as->lock);
	if (e)
		kmem_free(as->quota, map, sizeof(*map));
	return e;
}

int aspace_map(struct aspace *as, struct mem *m, u64 va, u64 offset, u64 bytes, u64 prot)
{
	struct mapping row = {
		.as = as, .mem = m, .va = va, .bytes = bytes, .offset = offset, .prot = (u32)prot};

	row.prot |= as->guest ? PROT_X : 0;
	if (!range_valid(as, va, bytes) || !IS_ALIGNED(offset, PAGE_SIZE) || offset > m->bytes ||
	    bytes > m->bytes - offset || !prot_valid(prot))
		return -E_INVAL;
	return add(as, &row, NULL);
}

int aspace_map_kernel_page(struct aspace *as, u64 va, void *page, u32 prot)
{
	struct mapping row = {.as = as, .va = va, .bytes = PAGE_SIZE, .prot = prot};

	if (!range_valid(as, va, PAGE_SIZE) || !prot_valid(prot) || prot & PROT_X)
		return -E_INVAL;
	return add(as, &row, page);
}

/* Under its lock. */
static int fill(const struct mapping *m, u64 va)
{
	u64 offset = m->offset + ALIGN_DOWN(va - m->va, PAGE_SIZE), bytes, page, first, end;
	hpa_t start;
	int e = mem_frame(m->mem, offset, &start, &bytes, &page);

	if (e)
		return e;
	first = MAX(page, m->offset);
	end = MIN(page + bytes, m->offset + m->bytes);
	return pt_map(&m->as->pt, m->va + (first - m->offset), hpa_add(start, first - page),
		      end - first, m->prot | PT_USER);
}

/* Takes at most 512 entries of its front out of the tables; true when nothing is left of it. */
static bool shrink(struct mapping *m)
{
	u64 end = m->va + m->bytes;
	u64 next = m->as->guest && m->as->closed ? end : pt_unmap(&m->as->pt, m->va, end);

	m->offset += next - m->va;
	m->bytes = end - next;
	m->va = next;
	return !m->bytes;
}

/*
 * A step of the removal of a mapping, from its front. With the last one, and a flush, the mapping
 * goes. The lock is held until then: whoever finds nothing there can rely on it. as->lock is held,
 * and released.
 */
static void remove_step(struct aspace *as, struct mapping *m)
{
	struct mem *mem = m->mem;
	bool gone = shrink(m);
	u64 active;

	if (gone) {
		__atomic_add_fetch(&as->epoch, 1, __ATOMIC_SEQ_CST);
		active = aspace_active(as);
		if (mem)
			unmap_stamp_note(&mem->unmapped, active);
		if (active)
			up_tlb_flush(as, active);
		erase(m);
		if (mem) /* now `as` may go as soon as its lock is free */
			mem_detach(m);
		kmem_free(as->quota, m, sizeof(*m));
	}
	spin_unlock(&as->lock);
	if (gone && mem)
		object_put(&mem->obj);
}

/* The first mapping that reaches into [va, end). */
static struct mapping *first_in(struct aspace *as, u64 va, u64 end)
{
	struct mapping *m = at_or_before(as, va);
	struct rb_node *n;

	if (!m || m->va + m->bytes <= va) {
		n = m ? rb_next(&m->node) : rb_first(&as->mappings);
		m = n ? to_mapping(n) : NULL;
	}
	return m && m->va < end ? m : NULL;
}

/* Of kernel pages, or of all others. */
static int unmap_step(struct aspace *as, u64 va, u64 bytes, bool kernel_pages)
{
	struct mapping *first, *last;

	if (!range_valid(as, va, bytes))
		return -E_INVAL;
	spin_lock(&as->lock);
	first = first_in(as, va, va + bytes);
	last = at_or_before(as, va + bytes - 1);
	if (first && !first->mem == kernel_pages && first->va >= va &&
	    last->va + last->bytes <= va + bytes) {
		remove_step(as, first);
		return 1;
	}
	spin_unlock(&as->lock);
	return first ? -E_INVAL : 0;
}

int aspace_unmap_step(struct aspace *as, u64 va, u64 bytes)
{
	return unmap_step(as, va, bytes, false);
}

void aspace_unmap_kernel_page(struct aspace *as, u64 va)
{
	(void)unmap_step(as, va, PAGE_SIZE, true);
}

static bool permits(u32 prot, u32 pf_error)
{
	u32 need = pf_error & PF_FETCH ? PROT_X : pf_error & PF_WRITE ? PROT_W : PROT_R;

	return prot & need && !(pf_error & PF_RSVD);
}

enum fault aspace_fault(struct aspace *as, u64 va, u32 pf_error)
{
	enum fault r = FAULT_NONE;
	struct mapping *m;

	spin_lock(&as->lock);
	m = at_or_before(as, va);
	if (m && m->mem && va - m->va < m->bytes && permits(m->prot, pf_error))
		r = fill(m, va) ? FAULT_NOMEM : FAULT_MAPPED;
	spin_unlock(&as->lock);
	return r;
}

bool aspace_lookup(struct aspace *as, u64 va, u32 prot, hpa_t *out)
{
	struct pt_leaf leaf;
	bool found;

	spin_lock(&as->lock);
	found = pt_lookup(&as->pt, va, &leaf) && (!(prot & PROT_W) || *leaf.entry & PTE_W);
	spin_unlock(&as->lock);
	*out = hpa_add(leaf.start, va & (leaf.bytes - 1));
	return found;
}

/*
 * One entry of the object's list. The order is address space, then object, so the address space's
 * lock can only be tried here; while the object's lock is held, the entry keeps the address space
 * alive.
 */
static void unmap_first(struct mem *m)
{
	struct mapping *map = list_entry(m->mappings.next, struct mapping, mem_link);
	struct aspace *as = map->as;
	bool locked = spin_trylock(&as->lock);

	spin_unlock(&m->lock);
	if (locked)
		remove_step(as, map);
	else
		cpu_relax();
}

bool mem_unmap_step(struct mem *m)
{
	bool done;

	spin_lock(&m->lock);
	done = list_empty(&m->mappings);
	if (done)
		spin_unlock(&m->lock);
	else
		unmap_first(m);
	return done;
}

bool aspace_clear_step(struct aspace *as)
{
	struct rb_node *n;

	spin_lock(&as->lock);
	as->closed = true;
	n = rb_first(&as->mappings);
	if (n)
		remove_step(as, to_mapping(n));
	else
		spin_unlock(&as->lock);
	return !n;
}

bool aspace_destroy_step(struct aspace *as)
{
	ASSERT(!__atomic_load_n(&as->active, __ATOMIC_SEQ_CST));
	if (!as->pt.root)
		return true;
	return aspace_clear_step(as) &&
	       pt_free_tables(&as->pt, KPRIV_BASE, KPRIV_BASE + KPRIV_SIZE) &&
	       pt_destroy_step(&as->pt, USER_TOP_LEVEL_END);
}
