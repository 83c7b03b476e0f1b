/* Events, ports and channels. */
#pragma once

#include "kernel/thread.h"

/* [e] under obj.lock, [a] atomic */
struct event {
	struct object obj;
	u64 bits;	       /* [a] */
	struct timer timer;    /* timer_set */
	struct vm *vm;	       /* [e] vm_irq_bind: who signals it sends this message instead */
	u64 msi_address;       /* [e] */
	u32 msi_data;	       /* [e] */
	spinlock_t timer_lock; /* of arming and disarming; outside all others */
};

/* [p] under obj.lock. Order: an event's or channel's lock is never taken inside. */
struct port {
	struct object obj;
	u32 bindings;	     /* [p] */
	struct list bound;   /* [p] struct object.port_bound */
	struct list pending; /* [p] struct object.port_link */
};

/* [c] under obj.lock. Who waits there is a server. */
struct channel {
	struct object obj;
	struct list callers; /* [c] threads whose call waits for a server */
	struct list served;  /* [c] threads whose call a server has taken (thread->peer) */
};

/*
 * Waits until take() returns something other than 0, and returns that, or -E_DEAD, -E_TIMEOUT,
 * -E_INTR. take runs under the lock, under which whoever has something for it wakes the first of
 * the waiters; a thread that is to leave takes nothing. Takes a reference while it waits.
 */
s64 ipc_wait(struct object *o, u64 deadline, s64 (*take)(struct object *o, void *arg), void *arg);
/*
 * Its pending packet is dropped. Called when the last reference goes, and before it is freed: who
 * had looked it up may bind it in between.
 */
void port_unbind(struct object *o);
/* A thread that ends leaves no caller waiting for its reply. */
void channel_thread_ended(struct thread *t);
