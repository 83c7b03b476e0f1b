/* Kernel objects and the handles that name them. */
#pragma once

#include "hv/object.h"

struct domain;

/* One row per type; see kernel/object.c. A NULL callback means: nothing to do. */
struct object_ops {
	const char *name;
	/*
	 * Makes the object useless and wakes whoever waits in it; runs once, at revocation or when the last
	 * handle is closed, interrupts off, no lock held, with a reference. May be a preemption point.
	 */
	void (*revoke)(struct object *o);
	/*
	 * Frees what the object holds, at most about 512 entries a call; true when it is gone, its own memory
	 * included. Called by the reaper after refs reached 0 and every CPU has left the kernel once.
	 */
	bool (*destroy_step)(struct object *o);
};

extern const struct object_ops *const object_ops[OBJ_TYPES];

/* One reference for the caller; keeps the domain that q belongs to (q NULL: the kernel). */
void object_init(struct object *o, enum obj_type type, struct quota *q);
/* The last act of destroy_step: frees the structure (`bytes` from kmem_alloc with o->quota) that holds o. */
void object_free(struct object *o, void *structure, size_t bytes);
/* A reference; also on an object just looked up whose last one goes at this moment: then it stays, but dead. */
void object_get(struct object *o);
/* Drops a reference; the last one revokes the object and hands it to the reaper. May be a preemption point. */
void object_put(struct object *o);
/* Marks it dead and calls ops->revoke, once. */
void object_revoke(struct object *o);

/* Delivers bits to the port that the object is bound to, if any. Any context with interrupts off. */
void object_notify(struct object *o, u64 bits);

/*
 * Puts an object into the domain's table; the table takes over the caller's reference, also on failure
 * (then it is dropped). Returns the handle or -E_NOMEM.
 */
s64 handle_install(struct domain *d, struct object *o, u32 rights) __must_check;

/*
 * The object that a handle of the current domain names; no reference is taken: it stays valid until this
 * thread blocks or leaves the kernel. type OBJ_NONE accepts any. Returns 0 or -E_HANDLE, -E_TYPE,
 * -E_RIGHTS, -E_DEAD.
 */
int handle_lookup(handle_t h, enum obj_type type, u32 rights, struct object **out) __must_check;
/* Its rights; 0 when it names nothing. */
u32 handle_rights(handle_t h);
