/*
 * Spin locks. Interrupts are off in the kernel but at marked preemption points, where no lock is
 * held, so a lock needs no flags. docs/architecture.md has the order in which locks are taken.
 */
#pragma once

#include "hv/up.h"
#include "lib/assert.h"

typedef struct {
	u32 locked;
} spinlock_t;

static inline void spin_lock(spinlock_t *l)
{
	while (__atomic_exchange_n(&l->locked, 1, __ATOMIC_ACQUIRE))
		while (__atomic_load_n(&l->locked, __ATOMIC_RELAXED))
			up_spin_wait();
}

static inline bool spin_trylock(spinlock_t *l)
{
	return !__atomic_exchange_n(&l->locked, 1, __ATOMIC_ACQUIRE);
}

static inline void spin_unlock(spinlock_t *l)
{
	DEBUG_ASSERT(l->locked);
	__atomic_store_n(&l->locked, 0, __ATOMIC_RELEASE);
}
