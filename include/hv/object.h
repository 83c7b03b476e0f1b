/* The head of every kernel object, first member of each. */
#pragma once

#include "hv/lock.h"
#include "lib/list.h"
#include "uapi/abi.h"

struct quota;

/*
 * [I] immutable, [a] atomic, [o] under lock
 *
 * refs counts handles, mappings and blocked calls. A lookup takes no reference: an object is freed
 * only after every CPU has left the kernel once since the last reference went (epoch,
 * kernel/reaper.c).
 */
struct object {
	u64 refs;	     /* [a] more than any quota pays for */
	u32 bytes;	     /* [I] of the structure that it heads */
	u16 type;	     /* [I] enum obj_type */
	bool dead;	     /* [a] revoked: every call but close fails with E_DEAD */
	struct quota *quota; /* [I] what the object is charged to */
	struct list reap;    /* the reaper's */
	spinlock_t lock;     /* of an event, port or channel, and who waits there, [o]: */
	struct list waiters; /* struct thread.wait_link */
	/*
	 * Binding to a port, under the port's lock. It holds no reference: a port that is revoked
	 * lets go of all.
	 */
	struct port *port; /* [a] NULL = not bound */
	u64 port_key;
	u64 port_bits;
	struct list port_bound; /* struct port.bound */
	struct list port_link;	/* struct port.pending */
};
