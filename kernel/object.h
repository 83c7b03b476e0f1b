/* Kernel objects and the handles that name them. */
#pragma once

#include "hv/object.h"

struct domain;

/* One row per type; see kernel/object.c. A NULL callback means: nothing to do. */
struct object_ops {
	/*
	 * Makes the object useless and wakes whoever waits in it; runs once, at revocation or when
	 * the last handle is closed, interrupts off, no lock held, with a reference. May be a
	 * preemption point.
	 */
	void (*revoke)(struct object *o);
	/*
	 * Frees what the object holds, at most about 512 entries a call; true when nothing is left
	 * but its own structure. Called by the reaper after refs reached 0 and every CPU has left
	 * the kernel once.
	 */
	bool (*destroy_step)(struct object *o);
};

extern const struct object_ops domain_object_ops, thread_object_ops, mem_object_ops,
	event_object_ops, port_object_ops, channel_object_ops, vm_object_ops, vcpu_object_ops;

extern u32 object_count[OBJ_TYPES]; /* [a] that exist, those which wait for the reaper too */

/* A step of the end of an object: true when it is gone, its own memory included. */
bool object_destroy_step(struct object *o);
/* Marks it dead and calls ops->revoke, once. */
void object_revoke(struct object *o);

/*
 * Delivers bits to the port that the object is bound to, if any. Any context with interrupts off.
 */
void object_notify(struct object *o, u64 bits);

/*
 * Puts an object into the domain's table; the table takes over the caller's reference, also on
 * failure (then it is dropped). Returns the handle or -E_NOMEM.
 */
s64 handle_install(struct domain *d, struct object *o, u32 rights) __must_check;

/*
 * The object that a handle of the current domain names; no reference is taken: it stays valid until
 * this thread blocks or leaves the kernel. type OBJ_ANY accepts any; HANDLE_SELF is the current
 * domain. Returns 0 or -E_HANDLE, -E_TYPE, -E_RIGHTS, -E_DEAD.
 */
int handle_lookup(handle_t h, enum obj_type type, u32 rights, struct object **out) __must_check;
/* Its rights; 0 when it names nothing. */
u32 handle_rights(handle_t h);

/* The system object: console, log, host information, power. One exists; init gets it. */
extern struct object *system_object;

/* ---- kernel/reaper.c: frees dead objects and dead domains in bounded steps, in its thread ---- */
void reaper_start(void);
/*
 * Drops what may be the last reference. At 0 the object is freed after every CPU has left the
 * kernel once, unless someone who had looked it up before takes a reference meanwhile.
 */
void reaper_put(struct object *o);
/* Every thread of the domain has ended: its handles are closed, its address space is taken down. */
void reaper_add_domain(struct domain *d);
