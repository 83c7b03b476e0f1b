/*
 * Page-table formats as data. Intel SDM 3 "4-Level Paging", "The Extended Page Table Mechanism
 * (EPT)"; AMD APM 2 "Page Translation", "Nested Paging".
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

enum epte {
	EPT_R = 1u << 0,       /* readable */
	EPT_W = 1u << 1,       /* writable */
	EPT_X = 1u << 2,       /* executable */
	EPT_TYPE_UC = 0u << 3, /* memory types, as in the MTRRs */
	EPT_TYPE_WC = 1u << 3,
	EPT_TYPE_WB = 6u << 3,
	EPT_TYPE = 7u << 3,
	EPT_IGNORE_PAT = 1u << 6,
	EPT_A = 1u << 8, /* accessed, dirty: where EPTP asks for them */
	EPT_D = 1u << 9,
};

/*
 * MTRRs have no part in what a guest accesses: the entry alone says what memory is. RAM is
 * write-back whatever the guest's PAT says, as all other mappings of the frame are. On a device's
 * registers the PAT may still choose write-combining.
 */
static u64 ept_encode(u32 prot, u32 level)
{
	return EPT_R | (prot & PT_W ? EPT_W : 0) | (prot & PT_X ? EPT_X : 0) |
	       (prot & PT_UNCACHED  ? EPT_TYPE_UC
		: prot & PT_COMBINE ? EPT_TYPE_WC
				    : EPT_TYPE_WB | EPT_IGNORE_PAT);
}

static u32 ept_decode(u64 e)
{
	u32 type = e & EPT_TYPE;

	return PT_R | (e & EPT_W ? PT_W : 0) | (e & EPT_X ? PT_X : 0) |
	       (type == EPT_TYPE_UC   ? PT_UNCACHED
		: type == EPT_TYPE_WC ? PT_COMBINE
				      : 0);
}

struct pt_format pt_ept_format = {
	.levels = 4,
	.max_leaf = 1,
	.present = EPT_R | EPT_W | EPT_X,
	.leaf = PTE_PS,
	.table = EPT_R | EPT_W | EPT_X,
	.address = PTE_ADDRESS,
	.dirty = EPT_D,
	.accessed = EPT_A,
	.encode = ept_encode,
	.decode = ept_decode,
};
