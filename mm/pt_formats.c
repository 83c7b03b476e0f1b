/*
 * Page-table formats as data. Intel SDM 3 "4-Level Paging"; AMD APM 2 "Page Translation", "Nested
 * Paging".
 */
#include "mm/pt.h"

enum pte {
	PTE_P = 1u << 0,   /* present */
	PTE_W = 1u << 1,   /* writable */
	PTE_U = 1u << 2,   /* user */
	PTE_PWT = 1u << 3, /* write-through */
	PTE_PCD = 1u << 4, /* cache disable */
	PTE_A = 1u << 5,   /* accessed */
	PTE_D = 1u << 6,   /* dirty */
	PTE_PS = 1u << 7,  /* page size, above level 1 */
	PTE_G = 1u << 8,   /* global */
};
#define PTE_NX (1ull << 63)
#define PTE_ADDRESS 0x000ffffffffff000ull

static u64 encode(u32 prot, u32 level)
{
	return PTE_P | (prot & PT_W ? PTE_W : 0) | (prot & PT_X ? 0 : PTE_NX) |
	       (prot & PT_USER ? PTE_U : 0) | (prot & PT_GLOBAL ? PTE_G : 0) |
	       (prot & PT_UNCACHED ? PTE_PCD | PTE_PWT : 0) | (prot & PT_COMBINE ? PTE_PWT : 0);
}

static u32 decode(u64 e)
{
	return PT_R | (e & PTE_W ? PT_W : 0) | (e & PTE_NX ? 0 : PT_X) | (e & PTE_U ? PT_USER : 0) |
	       (e & PTE_G ? PT_GLOBAL : 0) |
	       (e & PTE_PCD   ? PT_UNCACHED
		: e & PTE_PWT ? PT_COMBINE
			      : 0);
}

const struct pt_format pt_host_format = {
	.levels = 4,
	.max_leaf = 3,
	.present = PTE_P,
	.leaf = PTE_PS,
	.table = PTE_P | PTE_W | PTE_U,
	.address = PTE_ADDRESS,
	.dirty = PTE_D,
	.accessed = PTE_A,
	.encode = encode,
	.decode = decode,
};

const struct pt_format pt_npt_format = {
	.levels = 4,
	.max_leaf = 3,
	.present = PTE_P,
	.leaf = PTE_PS,
	.table = PTE_P | PTE_W | PTE_U,
	.address = PTE_ADDRESS,
	.dirty = PTE_D,
	.accessed = PTE_A,
	.encode = encode,
	.decode = decode,
};
