/* A domain: address space, handle table, quota. */
#pragma once

#include "kernel/object.h"
#include "mm/aspace.h"

#define HANDLES_PER_DOMAIN 4096
#define HANDLE_CHUNK 128 /* slots in one heap page-sized chunk */

struct handle_slot {
	struct object *obj; /* NULL = free */
	u32 rights;
	u16 generation;
	u16 next_free;
};

/* [I] immutable, [d] under lock, [a] atomic */
struct domain {
	struct object obj;
	char name[32];		/* [I] */
	u32 id;			/* [I] for the log */
	struct aspace aspace;
	struct quota quota;	/* [a] */
	struct quota *parent_quota; /* [I] the limit was taken from here... */
	struct domain *parent;	/* [I] ...of this domain; holds a reference; NULL for init and the kernel's */
	spinlock_t lock;
	struct handle_slot *chunk[HANDLES_PER_DOMAIN / HANDLE_CHUNK]; /* [d] */
	u32 free_head;		/* [d] */
	u32 handle_top;		/* [d] */
	struct list threads;	/* [d] struct thread.domain_link */
	u32 thread_count;	/* [a] not yet exited */
	u32 vcpu_count;		/* [a] */
	bool dying;		/* [a] every thread leaves as soon as it can */
	u32 status;		/* [d] exit status */
	bool status_set;	/* [d] */
	struct vm *vm;		/* [d] its VM, for the statistics; one VM a domain */
	u64 cpu_ns;		/* [a] run time of its threads */
	u64 populated;		/* [a] bytes of frames in its memory objects */
};

struct domain *current_domain(void);
