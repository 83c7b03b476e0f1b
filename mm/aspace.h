/*
 * Which memory object is where, filled in on fault: a domain's address space, which has the private
 * kernel slot too, or a VM's guest-physical memory. Locks: aspace->lock, then mem->lock.
 */
#pragma once

#include "lib/rbtree.h"
#include "mm/mem.h"
#include "mm/pt.h"

/* The private slot is handed out in cells: a guard page, the pages, a guard page. */
#define KPRIV_BYTES (2 * PAGE_SIZE)
#define KPRIV_CELL KiB(16)

#define VM_MAPPINGS 32 /* of a VM at most: its revocation takes all at once */

/* [I] immutable, [s] under as->lock. One row of an address space. */
struct mapping {
	struct rb_node node;   /* [s] by va */
	struct list mem_link;  /* under mem->lock */
	struct aspace *as;     /* [I] */
	struct mem *mem;       /* [I] holds a reference; NULL: a kernel page */
	u64 va, bytes, offset; /* [s] */
	u32 prot;	       /* [I] enum prot */
};

struct aspace {
	spinlock_t lock;
	struct pt pt;		 /* under lock */
	struct rb_tree mappings; /* under lock */
	u32 rows;		 /* under lock: how many */
	struct quota *quota;	 /* [I] */
	bool guest;		 /* [I] a VM's memory */
	bool closed;		 /* under lock: nothing is mapped any more */
	u64 active;		 /* [a] CPUs that have it, or a vCPU of the VM, loaded */
	/* [a] raised when entries were removed: vCPUs flush before the next entry */
	u64 epoch;
};

/* A domain's, which shares the kernel's half. A VM's is made by kernel/vm.c. -E_NOMEM */
int aspace_init(struct aspace *as, struct quota *q) __must_check;
/*
 * In steps: unmaps everything and lets go of the memory objects; from the first on, mapping fails
 * with -E_DEAD. When a domain ends, before its last reference goes: its objects hold references on
 * it. A VM's entries stay, for pt_destroy_step: no vCPU enters it any more. Those are few steps.
 */
bool aspace_clear_step(struct aspace *as);
/* In steps (see pt_destroy_step): clears it and frees tables. Runs on no CPU any more. */
bool aspace_destroy_step(struct aspace *as);

/*
 * Loads CR3 on this CPU and keeps as->active; the kernel stack must be reachable in both (thread
 * switch does it in assembly with aspace_cr3 and aspace_activate).
 */
void aspace_switch(struct aspace *as);
u64 aspace_cr3(const struct aspace *as);
/*
 * CPUs that may hold entries of it: asked after its tables were changed, which a CPU that loads it
 * now sees.
 */
u64 aspace_active(struct aspace *as);
/*
 * Before this CPU loads the CR3 of next, without leaving the kernel in between: keeps the masks.
 * That the old space's bit goes a moment early is safe: this CPU touches no user address before the
 * load, and an address space is destroyed only after every CPU has left the kernel.
 */
void aspace_activate(struct aspace *next);

/*
 * -E_INVAL: alignment, range, no R, W with X. -E_EXIST: overlap. -E_DEAD. -E_NOMEM, also for more
 * than VM_MAPPINGS. Takes a reference on m. Guests may execute everything.
 */
int aspace_map(struct aspace *as, struct mem *m, u64 va, u64 offset, u64 bytes, u64 prot)
	__must_check;
/*
 * A step of at most 512 entries that removes the mappings inside the range: 1 = there may be more,
 * 0 = none is left. A mapping that goes is flushed. -E_INVAL: range, one that is only partly
 * inside, or a kernel page, which ends the removal.
 */
int aspace_unmap_step(struct aspace *as, u64 va, u64 bytes) __must_check;
enum fault {
	FAULT_MAPPED, /* now, or by another CPU meanwhile: try again */
	FAULT_NONE,   /* nothing is mapped there, or without this right */
	FAULT_NOMEM,
};
/*
 * A page fault at a user or guest-physical address: maps as much of the object's page around va, 4
 * KiB or 2 MiB, as the mapping covers, in the largest pages that fit.
 */
enum fault aspace_fault(struct aspace *as, u64 va, u32 pf_error);
/* Where the tables map va now, from any CPU; false: not, or not for writing if prot has PROT_W. */
bool aspace_lookup(struct aspace *as, u64 va, u32 prot, hpa_t *out);
/*
 * Maps one kernel-heap page (run page, message page, kinfo) into user space; prot R or R|W.
 * -E_EXIST, -E_INVAL, -E_NOMEM
 */
int aspace_map_kernel_page(struct aspace *as, u64 va, void *page, u32 prot) __must_check;
void aspace_unmap_kernel_page(struct aspace *as, u64 va);

/*
 * The object is dead already, so that none is added. A step of at most 512 entries that removes its
 * mappings; true when none is left, flushed everywhere.
 */
bool mem_unmap_step(struct mem *m);

/* ---- Private slot ---- */

/*
 * KPRIV_BYTES, mapped R+W in the private slot only, zeroed; they are contiguous from *first_hpa on.
 * NULL: no memory.
 */
void *kpriv_alloc(struct aspace *as, hpa_t *first_hpa) __must_check;
void kpriv_free(struct aspace *as, void *p);
