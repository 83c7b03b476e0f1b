/* A domain: address space, handle table, quota. */
#pragma once

#include "kernel/sched_group.h"
#include "kernel/thread.h"
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
	char name[32]; /* [I] */
	struct aspace aspace;
	struct quota quota; /* [a] */
	spinlock_t lock;
	struct handle_slot *chunk[HANDLES_PER_DOMAIN / HANDLE_CHUNK]; /* [d] */
	u32 free_head;						      /* [d] */
	u32 handle_top;						      /* [d] */
	u32 close_next;	     /* the reaper's: next handle to close */
	struct list threads; /* [d] struct thread.domain_link */
	u32 thread_count;    /* [d] of them; not yet exited */
	/* [d] struct domain.sibling: made by this one, and not yet killed with it */
	struct list children;
	struct list sibling; /* under the parent's lock */
	bool ended;	     /* [a] the last thread is gone */
	bool dying;	     /* [a] set under lock: every thread leaves as soon as it can */
	u32 status;	     /* [d] exit status */
	struct vm *vm;	     /* [d] its VM, for the statistics; one VM a domain */
	u64 cpu_ns;	     /* [a] run time of its threads */
	struct sched_group own_group; /* of init's domains; */
	struct sched_group *group;    /* [I] the others are in their creator's */
};

#define DOMAIN_THREADS 256u /* so that ending them all is bounded */
#define DOMAIN_MIN_QUOTA KiB(64)
#define DOMAIN_MAX_QUOTA (1ull << 46)

/* Exit statuses that the kernel gives; a program's own are 0..127. */
enum domain_status {
	DOMAIN_STATUS_FAULT = 0x100, /* a thread caused an exception */
	DOMAIN_STATUS_REVOKED,	     /* destroyed by handle_revoke or the loss of its last handle */
};

extern struct kinfo *kernel_kinfo; /* mapped read-only into every domain at KINFO_VA */
/* of the kernel's own threads; its address space is kernel_aspace's */
extern struct domain kernel_domain;

static inline struct domain *current_domain(void) { return thread_current()->domain; }

/*
 * quota is taken from parent's; out has one reference, the caller's. -E_NOMEM, -E_DEAD.
 */
int domain_create(struct domain *parent, u64 quota_bytes, const char *name, struct domain **out)
	__must_check;
/*
 * Ends the domain: every thread leaves as soon as it can. The first status counts. Any thread, no
 * lock held.
 */
void domain_kill(struct domain *d, u32 status);
/*
 * A thread has left its stack for the last time; with the last one the domain is handed to the
 * reaper.
 */
void domain_thread_ended(struct thread *t);
/* Kills one domain that this ended one had made; true when none is left. For the reaper. */
bool domain_kill_child(struct domain *d);
/* Its VM is of no use without it, whoever else has a reference. For the reaper. */
void domain_revoke_vm(struct domain *d);
/* Closes some handles; true when none is left. For the reaper. */
bool domain_close_handles_step(struct domain *d);
void domain_init(void);
