// SOURCES: mm/pt_formats.c
// OPTIONS: --unwind 5
/* The page-table walker's arithmetic on entries, for every address, level and protection. */
#include "tests/proofs/proof.h"

#include "mm/pt.c"

#define ADDRESS_BITS 52 /* of a physical address in an entry */
#define VA_BITS 48

struct cpu_facts cpu_facts;

static u32 any_level(u32 max)
{
	u32 level = nondet_u32();

	ASSUME(level >= 1 && level <= max);
	return level;
}

static struct pt any_table(void)
{
	pt_ept_format.max_leaf = (u8)any_level(3);
	return (struct pt){.fmt = nondet_bool() ? &pt_host_format : &pt_ept_format};
}

/* Whatever the format's entries can say: of the memory types one. */
static u32 any_prot(const struct pt *pt)
{
	u32 all = PT_R | PT_W | PT_X | PT_UNCACHED | PT_COMBINE, prot = nondet_u32();

	ASSUME(!(prot & ~(pt->fmt == &pt_ept_format ? all : all | PT_USER | PT_GLOBAL)));
	ASSUME(!(prot & PT_UNCACHED) || !(prot & PT_COMBINE));
	return prot;
}

/* What is mapped is what is found. */
void proof_leaf_round_trip(void)
{
	struct pt pt = any_table();
	u32 level = any_level(pt.fmt->max_leaf), prot = any_prot(&pt);
	u64 a = nondet_u64();

	ASSUME(IS_ALIGNED(a, page_bytes(level)) && !(a >> ADDRESS_BITS));
	u64 e = pt_leaf_entry(pt.fmt, a, prot, level);

	PROVE(is_present(&pt, e));
	PROVE(is_leaf(e, level));
	PROVE(leaf_address(e, level) == a);
	/* The CPU's own bits change nothing. */
	PROVE(!(e & pt.fmt->usage));
	PROVE(leaf_address(e | pt.fmt->usage, level) == a);
}

/* Two pages that differ in address or rights never have the same entry. */
void proof_leaf_is_unique(void)
{
	struct pt pt = any_table();
	u32 level = any_level(pt.fmt->max_leaf);
	u32 p = any_prot(&pt), q = any_prot(&pt);
	u64 a = nondet_u64(), b = nondet_u64();

	ASSUME(IS_ALIGNED(a | b, page_bytes(level)) && !((a | b) >> ADDRESS_BITS));
	ASSUME(a != b || (p | PT_R) != (q | PT_R));
	PROVE(pt_leaf_entry(pt.fmt, a, p, level) != pt_leaf_entry(pt.fmt, b, q, level));
}

/* An entry that points to a table is present, no page above level 1, and keeps the address. */
void proof_table_entry(void)
{
	struct pt pt = any_table();
	u64 a = nondet_u64();

	ASSUME(IS_ALIGNED(a, PAGE_SIZE) && !(a >> ADDRESS_BITS));
	u64 e = a | pt.fmt->table;
	u32 level = any_level(PT_LEVELS);

	PROVE(is_present(&pt, e));
	PROVE(is_leaf(e, level) == (level == 1));
	PROVE((e & PTE_ADDRESS) == a);
	PROVE(!is_present(&pt, 0));
}

/* Indices stay in their tables, and no bit of an address is used twice or lost. */
void proof_indices(void)
{
	u64 va = nondet_u64(), back = va & (PAGE_SIZE - 1);

	for (u32 level = 1; level <= 4; level++) {
		PROVE(index(va, level) < ENTRIES);
		back |= (u64)index(va, level) << shift(level);
	}
	PROVE(back == (va & (BIT(VA_BITS) - 1)));
}

/* The page chosen lies in the range, is aligned on both sides, and no larger one would. */
void proof_largest_page(void)
{
	struct pt pt = any_table();
	u64 va = nondet_u64(), a = nondet_u64(), bytes = nondet_u64();
	u32 top, level;

	cpu_facts.page_1g = nondet_bool();
	ASSUME(IS_ALIGNED(va | a | bytes, PAGE_SIZE) && bytes);
	level = largest_level(&pt, va, a, bytes);
	top = cpu_facts.page_1g ? pt.fmt->max_leaf : MIN(pt.fmt->max_leaf, 2);
	PROVE(level >= 1 && level <= top);
	PROVE(page_bytes(level) <= bytes);
	PROVE(IS_ALIGNED(va, page_bytes(level)) && IS_ALIGNED(a, page_bytes(level)));
	PROVE(level == top || !IS_ALIGNED(va | a, page_bytes(level + 1)) ||
	      bytes < page_bytes(level + 1));
}
