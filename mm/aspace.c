/* Address spaces: which memory object is where, filled in by page faults. */
#include "mm/aspace.h"

#include "arch/cpu.h"
#include "hv/cpu.h"
#include "hv/up.h"
#include "hv/x86.h"
#include "mm/kmem.h"

#define USER_TOP_LEVEL_END BIT(47)
#define CLEAR_STEP 64 /* mappings a call */

static_assert(PT_R == (int)PROT_R && PT_W == (int)PROT_W && PT_X == (int)PROT_X, "prot bits are shared");

int aspace_init(struct aspace *as, struct quota *q)
{
	*as = (struct aspace){.quota = q};
	return pt_init(&as->pt, &pt_host_format, q);
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

u64 aspace_active(struct aspace *as)
{
	return __atomic_fetch_or(&as->active, 0, __ATOMIC_SEQ_CST);
}

static void flush(struct aspace *as)
{
	u64 mask = aspace_active(as);

	if (mask)
		up_tlb_flush(as, mask);
}

static struct mapping *to_mapping(const struct rb_node *n) { return container_of(n, struct mapping, node); }

static bool by_va(const struct rb_node *a, const struct rb_node *b) { return to_mapping(a)->va < to_mapping(b)->va; }

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

static struct mapping *next_mapping(struct mapping *m)
{
	struct rb_node *n = rb_next(&m->node);

	return n ? to_mapping(n) : NULL;
}

static bool user_range(u64 va, u64 bytes)
{
	return bytes && IS_ALIGNED(va | bytes, PAGE_SIZE) && va >= USER_VA_MIN && va < USER_VA_MAX &&
	       bytes <= USER_VA_MAX - va;
}

static bool prot_valid(u32 prot)
{
	return prot & PROT_R && !(prot & ~(u32)(PROT_R | PROT_W | PROT_X)) && !(prot & PROT_W && prot & PROT_X);
}

/* Enters m, whose range overlaps nothing. Under as->lock. */
static int insert(struct aspace *as, struct mapping *m)
{
	struct mapping *before = at_or_before(as, m->va + m->bytes - 1);

	if (as->closed)
		return -E_DEAD;
	if (before && before->va + before->bytes > m->va)
		return -E_EXIST;
	rb_insert(&as->mappings, &m->node, by_va);
	return 0;
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
		e = page ? pt_map(&as->pt, map->va, kva_to_hpa(page), PAGE_SIZE, map->prot | PT_USER)
			 : mem_attach(map->mem, map);
		if (e)
			rb_erase(&as->mappings, &map->node);
	}
	spin_unlock(&as->lock);
	if (e)
		kmem_free(as->quota, map, sizeof(*map));
	return e;
}

int aspace_map(struct aspace *as, struct mem *m, u64 va, u64 offset, u64 bytes, u32 prot)
{
	struct mapping row = {.as = as, .mem = m, .va = va, .bytes = bytes, .offset = offset, .prot = prot};

	if (!user_range(va, bytes) || !IS_ALIGNED(offset, PAGE_SIZE) || offset > m->bytes ||
	    bytes > m->bytes - offset || !prot_valid(prot))
		return -E_INVAL;
	return add(as, &row, NULL);
}

int aspace_map_kernel_page(struct aspace *as, u64 va, void *page, u32 prot)
{
	struct mapping row = {.as = as, .va = va, .bytes = PAGE_SIZE, .prot = prot};

	if (!user_range(va, PAGE_SIZE) || !prot_valid(prot) || prot & PROT_X)
		return -E_INVAL;
	return add(as, &row, page);
}

/* Takes a mapping out of tables, tree and object; true when a flush is due. Under as->lock. */
static bool take_out(struct aspace *as, struct mapping *m)
{
	bool was_present;

	rb_erase(&as->mappings, &m->node);
	if (m->mem)
		mem_detach(m);
	/* No leaf reaches beyond its mapping, so none is split. */
	if (pt_unmap(&as->pt, m->va, m->bytes, &was_present))
		ASSERT(!"unmapping a whole mapping needs no memory");
	return was_present;
}

/* The end of every removal, with no lock held: a flush if one is due, then what the mappings held goes. */
static void release(struct aspace *as, struct list *removed, bool due)
{
	struct list *l;

	if (due)
		flush(as);
	while ((l = list_pop_front(removed))) {
		struct mapping *map = list_entry(l, struct mapping, mem_link);
		struct mem *mem = map->mem;

		kmem_free(as->quota, map, sizeof(*map));
		if (mem)
			object_put(&mem->obj);
	}
}

/* First mapping that reaches into [va, va + bytes). */
static struct mapping *first_in(struct aspace *as, u64 va, u64 bytes)
{
	struct mapping *m = at_or_before(as, va);
	struct rb_node *n;

	if (m && m->va + m->bytes <= va)
		m = next_mapping(m);
	else if (!m && (n = rb_first(&as->mappings)))
		m = to_mapping(n);
	return m && m->va < va + bytes ? m : NULL;
}

/* Removes all mappings in the range, of objects or of kernel pages; one of the other kind is an error. */
static int unmap(struct aspace *as, u64 va, u64 bytes, bool kernel_pages)
{
	struct list removed = LIST_INIT(removed);
	bool due = false;

	if (!user_range(va, bytes))
		return -E_INVAL;
	spin_lock(&as->lock);
	for (struct mapping *m = first_in(as, va, bytes); m && m->va < va + bytes; m = next_mapping(m))
		if (m->va < va || m->va + m->bytes > va + bytes || !m->mem != kernel_pages) {
			spin_unlock(&as->lock);
			return -E_INVAL;
		}
	for (struct mapping *m; (m = first_in(as, va, bytes));) {
		due |= take_out(as, m);
		list_push_back(&removed, &m->mem_link);
	}
	spin_unlock(&as->lock);
	release(as, &removed, due);
	return 0;
}

int aspace_unmap(struct aspace *as, u64 va, u64 bytes) { return unmap(as, va, bytes, false); }
void aspace_unmap_kernel_page(struct aspace *as, u64 va) { (void)unmap(as, va, PAGE_SIZE, true); }

static bool permits(u32 prot, u32 pf_error)
{
	u32 need = pf_error & PF_FETCH ? PROT_X : pf_error & PF_WRITE ? PROT_W : PROT_R;

	return prot & need && !(pf_error & PF_RSVD);
}

/* Maps as much of the object's page around va as the mapping covers. Under as->lock. */
static bool fill(struct aspace *as, const struct mapping *m, u64 va)
{
	u64 offset = m->offset + ALIGN_DOWN(va - m->va, PAGE_SIZE), bytes, page, first, end;
	hpa_t start;

	if (mem_frame(m->mem, offset, &start, &bytes, &page))
		return false;
	first = MAX(page, m->offset);
	end = MIN(page + bytes, m->offset + m->bytes);
	return !pt_map(&as->pt, m->va + (first - m->offset), hpa_add(start, first - page), end - first,
		       m->prot | PT_USER);
}

bool aspace_fault(struct aspace *as, u64 va, u32 pf_error)
{
	struct mapping *m;
	bool ok;

	spin_lock(&as->lock);
	m = at_or_before(as, va);
	ok = m && va - m->va < m->bytes && m->mem && permits(m->prot, pf_error) && fill(as, m, va);
	spin_unlock(&as->lock);
	return ok;
}

/*
 * One entry of the object's list. The order is address space, then object, so the address space's lock can
 * only be tried here; while the object's lock is held, the entry keeps the address space alive.
 */
static void unmap_first(struct mem *m)
{
	struct mapping *map = list_entry(m->mappings.next, struct mapping, mem_link);
	struct mapping copy = *map;
	struct aspace *as = map->as;
	u64 active;

	if (copy.vm) {
		spin_unlock(&m->lock);
		up_vm_slot_unmap(&copy);
		return;
	}
	if (!spin_trylock(&as->lock)) {
		spin_unlock(&m->lock);
		cpu_relax();
		return;
	}
	spin_unlock(&m->lock);
	active = take_out(as, map) ? aspace_active(as) : 0;
	kmem_free(as->quota, map, sizeof(*map));
	spin_unlock(&as->lock);
	/* From here on `as` is there only if it was active: then it outlives this stay in the kernel. */
	if (active)
		up_tlb_flush(as, active);
	object_put(&m->obj);
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
	struct list removed = LIST_INIT(removed);
	struct rb_node *n = NULL;
	bool due = false;

	spin_lock(&as->lock);
	as->closed = true;
	for (u32 i = 0; i < CLEAR_STEP && (n = rb_first(&as->mappings)); i++) {
		due |= take_out(as, to_mapping(n));
		list_push_back(&removed, &to_mapping(n)->mem_link);
	}
	spin_unlock(&as->lock);
	release(as, &removed, due);
	return !n;
}

bool aspace_destroy_step(struct aspace *as)
{
	ASSERT(!__atomic_load_n(&as->active, __ATOMIC_SEQ_CST));
	if (!as->pt.root)
		return true;
	return aspace_clear_step(as) && pt_free_tables(&as->pt, KPRIV_BASE, KPRIV_BASE + KPRIV_SIZE) &&
	       pt_destroy_step(&as->pt, USER_TOP_LEVEL_END);
}
