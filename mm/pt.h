/*
 * Page tables: formats are data, the walker is one. Largest page first (1 GiB, 2 MiB, 4 KiB).
 * A table is protected by its owner's lock; the walker takes none. Table pages come from the kernel
 * heap and are charged to the table's quota.
 */
#pragma once

#include "mm/kmem.h"

enum pt_prot {
	PT_R = 1,
	PT_W = 2,
	PT_X = 4,
	PT_USER = 8,	  /* NPT too: the CPU walks it as user accesses; EPT has no such bit */
	PT_GLOBAL = 16,	  /* host tables only */
	PT_UNCACHED = 32, /* device registers */
	PT_COMBINE = 64,  /* write-combining: a framebuffer */
};

/*
 * Intel SDM 3 "4-Level Paging"; AMD APM 2 "Page Translation", "Nested Paging". EPT has PTE_PS and
 * the address at the same place.
 */
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

#define PT_LEVELS 4

struct pt_format {
	u8 max_leaf; /* highest level that may hold a page: 1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB */
	u64 present; /* bits that make an entry present (EPT: R|W|X any) */
	u64 table;   /* bits of an entry that points to a table */
	u64 usage;   /* bits that the CPU sets: accessed, dirty */
	u64 (*encode)(u32 prot); /* bits of a leaf beside the address */
};

extern const struct pt_format pt_host_format; /* AMD's nested tables have it too */
/* max_leaf is what the CPU offers (vmx/vmx_caps.c): [I] before the first VM. */
extern struct pt_format pt_ept_format;

struct pt {
	const struct pt_format *fmt;
	u64 *root; /* kernel heap */
	struct quota *quota;
};

/* An empty table. -E_NOMEM. */
int pt_init(struct pt *pt, const struct pt_format *fmt, struct quota *q) __must_check;
/*
 * Frees every table below va_end (leaves are the caller's) and the root. Bounded work: at most 512
 * tables a call, returns true when done.
 */
bool pt_destroy_step(struct pt *pt, u64 va_end);

/*
 * Maps [va, va+bytes) to [a, a+bytes), all page-aligned; splits nothing: an existing leaf in the
 * range is -E_EXIST unless it is equal. -E_NOMEM leaves what was mapped so far; the caller unmaps.
 */
int pt_map(struct pt *pt, u64 va, hpa_t a, u64 bytes, u32 prot) __must_check;
/*
 * Removes at most 512 leaves of [va, end), none of which reaches beyond it; returns where the next
 * step begins, end when done. Frees no frames and flushes nothing; empty tables stay until
 * pt_destroy_step or reuse.
 */
u64 pt_unmap(struct pt *pt, u64 va, u64 end) __must_check;

struct pt_leaf {
	hpa_t start; /* of the page */
	u64 bytes;   /* of the page */
	u64 *entry;
};
/*
 * The leaf that maps va; false when there is none: then only bytes says how far that reaches around
 * va.
 */
bool pt_lookup(const struct pt *pt, u64 va, struct pt_leaf *out);

/*
 * The entry for va at *level (1 = 4 KiB), or above it where the walk ended: at a leaf or, without
 * create, at an entry that is not present; *level says where. create makes missing tables; NULL
 * when no memory is left.
 */
u64 *pt_walk(const struct pt *pt, u64 va, u32 *level, bool create);
/*
 * Frees the tables below the top-level entries that [va, end) touches, at most 512 a call; true
 * when done. Nothing uses the table any more, or these entries were never used.
 */
bool pt_free_tables(struct pt *pt, u64 va, u64 end);

/* The entry of a page of this level, at the aligned address a. */
u64 pt_leaf_entry(const struct pt_format *f, u64 a, u32 prot, u32 level);

static inline u64 pt_root_hpa(const struct pt *pt) { return kva_to_hpa(pt->root).v; }
