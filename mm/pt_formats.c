/*
 * Page-table formats as data. Intel SDM 3 "4-Level Paging", "The Extended Page Table Mechanism
 * (EPT)"; AMD APM 2 "Page Translation", "Nested Paging".
 */
#include "mm/pt.h"

static u64 encode(u32 prot)
{
	return PTE_P | (prot & PT_W ? PTE_W : 0) | (prot & PT_X ? 0 : PTE_NX) |
	       (prot & PT_USER ? PTE_U : 0) | (prot & PT_GLOBAL ? PTE_G : 0) |
	       (prot & PT_UNCACHED ? PTE_PCD | PTE_PWT : 0) | (prot & PT_COMBINE ? PTE_PWT : 0);
}

const struct pt_format pt_host_format = {
	.max_leaf = 3,
	.present = PTE_P,
	.table = PTE_P | PTE_W | PTE_U,
	.usage = PTE_A | PTE_D,
	.encode = encode,
};

enum epte {
	EPT_R = 1u << 0,       /* readable */
	EPT_W = 1u << 1,       /* writable */
	EPT_X = 1u << 2,       /* executable */
	EPT_TYPE_UC = 0u << 3, /* memory types, as in the MTRRs */
	EPT_TYPE_WC = 1u << 3,
	EPT_TYPE_WB = 6u << 3,
	EPT_IGNORE_PAT = 1u << 6,
	EPT_A = 1u << 8, /* accessed, dirty: where EPTP asks for them */
	EPT_D = 1u << 9,
};

/*
 * MTRRs have no part in what a guest accesses: the entry alone says what memory is. RAM is
 * write-back whatever the guest's PAT says, as all other mappings of the frame are. On a device's
 * registers the PAT may still choose write-combining.
 */
static u64 ept_encode(u32 prot)
{
	return EPT_R | (prot & PT_W ? EPT_W : 0) | (prot & PT_X ? EPT_X : 0) |
	       (prot & PT_UNCACHED  ? EPT_TYPE_UC
		: prot & PT_COMBINE ? EPT_TYPE_WC
				    : EPT_TYPE_WB | EPT_IGNORE_PAT);
}

struct pt_format pt_ept_format = {
	.max_leaf = 1,
	.present = EPT_R | EPT_W | EPT_X,
	.table = EPT_R | EPT_W | EPT_X,
	.usage = EPT_A | EPT_D,
	.encode = ept_encode,
};
