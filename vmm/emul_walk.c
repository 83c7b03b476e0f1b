/* The guest's page tables. Intel SDM 3, "Paging"; AMD APM 2, "Page Translation and Protection". */
#include "lib/string.h"
#include "vmm/emul_priv.h"

enum pte {
	PTE_P = 1u << 0,
	PTE_RW = 1u << 1,
	PTE_US = 1u << 2,
	PTE_A = 1u << 5,
	PTE_D = 1u << 6,
	PTE_PS = 1u << 7,
};

#define PTE_NX BIT(63)
#define PTE_ADDR 0x000ffffffffff000ull
#define PAE_RESERVED 0x7ff0000000000000ull /* bits 52-62 of PAE entries; ignored in 4-level ones */
/*
 * Of the four PAE page-directory-pointer entries. Without the accessed bit: QEMU's TCG sets it
 * there too.
 */
#define PDPTE_RESERVED 0xfff00000000001c6ull

struct paging {
	u8 levels, bits, bytes; /* index bits and entry size */
	u64 root;		/* bits of CR3 that are the table's address */
};

enum { PAGING_32, PAGING_PAE, PAGING_4, PAGING_5 };

static const struct paging pagings[] = {
	[PAGING_32] = {2, 10, 4, 0xfffff000},
	[PAGING_PAE] = {3, 9, 8, 0xffffffe0},
	[PAGING_4] = {4, 9, 8, PTE_ADDR},
	[PAGING_5] = {5, 9, 8, PTE_ADDR},
};

struct walk {
	const struct paging *p;
	u32 access;
	bool user;
	bool rw, us, nx; /* of the levels so far */
	u64 linear;
};

static enum emul_result page_fault(struct emul *e, const struct walk *w, u32 bits)
{
	bool fetch_bit = e->s->efer & EFER_NXE || e->s->cr4 & CR4_SMEP;

	e->cr2 = w->linear;
	return emul_fault(e, EXC_PF,
			  bits | (w->access & EMUL_WRITE ? PF_WRITE : 0u) |
				  (w->user ? PF_USER : 0u) |
				  (w->access & EMUL_FETCH && fetch_bit ? PF_FETCH : 0u));
}

static bool is_large(const struct emul *e, const struct walk *w, u32 level, u64 entry)
{
	if (!(entry & PTE_PS) || level == 0)
		return false;
	if (w->p == &pagings[PAGING_32])
		return e->s->cr4 & CR4_PSE;
	return level == 1 || (level == 2 && w->p->levels >= 4);
}

static bool has_reserved(const struct emul *e, const struct walk *w, u32 level, u64 entry,
			 bool large)
{
	if (w->p->bytes == 4)
		return large && entry & BIT(21);
	if (w->p == &pagings[PAGING_PAE] && level == 2)
		return entry & PDPTE_RESERVED;
	if (w->p == &pagings[PAGING_PAE] && entry & PAE_RESERVED)
		return true;
	if (entry & PTE_NX && !(e->s->efer & EFER_NXE))
		return true;
	if (level >= 2 && entry & PTE_PS && !large)
		return true;
	return large && entry & PTE_ADDR & (BIT(12 + 9 * level) - 1) & ~BIT(12);
}

static bool is_allowed(const struct emul *e, const struct walk *w)
{
	u64 cr4 = e->s->cr4;

	if (w->access & EMUL_PEEK)
		return true;
	if (w->access & EMUL_WRITE && !w->rw && (w->user || e->s->cr0 & CR0_WP))
		return false;
	if (w->access & EMUL_FETCH && w->nx)
		return false;
	if (w->user)
		return w->us;
	if (!w->us)
		return true;
	if (w->access & EMUL_FETCH)
		return !(cr4 & CR4_SMEP);
	return !(cr4 & CR4_SMAP) || (e->s->rflags & RFLAGS_AC && !(w->access & EMUL_SYSTEM));
}

/* Sets bits in the entry, unless it is no longer what was read. */
static bool update_entry(void *at, u32 bytes, u64 entry, u64 bits)
{
	if ((entry & bits) == bits)
		return true;
	if (bytes == 4) {
		u32 old = (u32)entry;

		return __atomic_compare_exchange_n((u32 *)at, &old, (u32)(entry | bits), false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
	return __atomic_compare_exchange_n((u64 *)at, &entry, entry | bits, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

static u64 leaf_address(const struct walk *w, u32 level, u64 entry)
{
	u64 offset = BIT(12 + w->p->bits * level) - 1;

	if (w->p->bytes == 4 && level == 1) /* PSE-36: address bits 32-39 in entry bits 13-20 */
		return (entry & 0xffc00000) | (entry & 0x1fe000) << 19 | (w->linear & offset);
	return (entry & PTE_ADDR & ~offset) | (w->linear & offset);
}

static enum emul_result walk_tables(struct emul *e, struct walk *w, u64 *gpa)
{
	u64 table = e->s->cr3 & w->p->root;

	for (u32 level = w->p->levels - 1u;; level--) {
		u64 index = w->linear >> (12 + w->p->bits * level) & (BIT(w->p->bits) - 1);
		bool pdpte = w->p == &pagings[PAGING_PAE] && level == 2;
		void *at = e->ops->ram(e, table + index * w->p->bytes, w->p->bytes);

		if (!at)
			return emul_unsupported(e, "page table outside RAM");
		u64 entry = w->p->bytes == 4 ? __atomic_load_n((u32 *)at, __ATOMIC_RELAXED)
					     : __atomic_load_n((u64 *)at, __ATOMIC_RELAXED);

		if (!(entry & PTE_P))
			return page_fault(e, w, 0);
		bool large = is_large(e, w, level, entry), leaf = large || !level;

		if (has_reserved(e, w, level, entry, large))
			return page_fault(e, w, PF_PRESENT | PF_RSVD);
		if (!pdpte) {
			w->rw &= !!(entry & PTE_RW);
			w->us &= !!(entry & PTE_US);
			w->nx |= w->p->bytes == 8 && entry & PTE_NX;
		}
		if (leaf && !is_allowed(e, w))
			return page_fault(e, w, PF_PRESENT);
		u64 bits = pdpte ? 0 : leaf && w->access & EMUL_WRITE ? PTE_A | PTE_D : PTE_A;

		if (!(w->access & EMUL_PEEK) && !update_entry(at, w->p->bytes, entry, bits))
			return EMUL_RETRY;
		if (leaf) {
			*gpa = leaf_address(w, level, entry);
			return EMUL_OK;
		}
		table = entry & PTE_ADDR;
	}
}

static enum emul_result walk_once(struct emul *e, u64 linear, u32 access, u64 *gpa)
{
	struct walk w = {.access = access, .linear = linear, .rw = true, .us = true};
	const struct vcpu_state *s = e->s;

	w.user = e->cpl == 3 && !(access & EMUL_SYSTEM);
	w.p = &pagings[s->efer & EFER_LMA ? (s->cr4 & CR4_LA57 ? PAGING_5 : PAGING_4)
		       : s->cr4 & CR4_PAE ? PAGING_PAE
					  : PAGING_32];
	return walk_tables(e, &w, gpa);
}

bool emul_load_pdptes(struct emul *e)
{
	u64 reserved = PDPTE_RESERVED | PTE_A | ~0ull << e->phys_bits;
	struct vcpu_state *s = e->s;
	u64 pdpte[ARRAY_SIZE(s->pdpte)];
	const u64 *table = NULL;

	if (s->cr0 & CR0_PG && s->cr4 & CR4_PAE && !(s->efer & EFER_LMA))
		table = e->ops->ram(e, s->cr3 & pagings[PAGING_PAE].root, sizeof(s->pdpte));
	for (u32 i = 0; i < ARRAY_SIZE(pdpte); i++) {
		u64 entry = table ? __atomic_load_n(&table[i], __ATOMIC_RELAXED) : 0;

		if (entry & PTE_P && entry & reserved)
			return false;
		pdpte[i] = entry & PTE_P ? entry : 0;
	}
	memcpy(s->pdpte, pdpte, sizeof(pdpte));
	return true;
}

/* Other vCPUs write to the tables too, but nobody wins that race for ever. */
enum emul_result emul_walk(struct emul *e, u64 linear, u32 access, u64 *gpa)
{
	enum { TRIES = 64 };
	enum emul_result r = EMUL_RETRY;

	*gpa = linear;
	if (!(e->s->cr0 & CR0_PG))
		return EMUL_OK;
	for (u32 i = 0; i < TRIES && r == EMUL_RETRY; i++)
		r = walk_once(e, linear, access, gpa);
	return r;
}

bool emul_gva_to_gpa(struct emul *e, u64 gva, u64 *gpa_out)
{
	return emul_walk(e, gva, EMUL_SYSTEM | EMUL_PEEK, gpa_out) == EMUL_OK;
}
