/*
 * Debug builds prove that no frame of a memory object is freed while a TLB may still map it:
 * emulators flush everything at a VM's entry and exit, so a forgotten flush would show on hardware
 * only. Each removal of a mapping raises the epoch and stamps the object; each CPU notes the epoch
 * up to which it has flushed.
 */
#pragma once

#include "hv/cpu.h"
#include "lib/assert.h"

struct unmap_stamp {
	/* [a] of the last removal while that CPU might hold entries; 0 = none */
	u64 epoch[MAX_CPUS];
};

extern u64 unmap_epoch; /* [a] */

/* After the page-table entries are gone. */
static inline void unmap_stamp_note(struct unmap_stamp *s, u64 cpu_mask)
{
	u64 epoch = __atomic_add_fetch(&unmap_epoch, 1, __ATOMIC_SEQ_CST);

	for (u32 i = 0; i < cpu_count; i++)
		if (cpu_mask >> i & 1)
			__atomic_store_n(&s->epoch[i], epoch, __ATOMIC_SEQ_CST);
}

/* This CPU is about to drop every user entry, before anything else can be entered. */
static inline void unmap_flushing(struct cpu *c)
{
	__atomic_store_n(&c->unmap_seen, __atomic_load_n(&unmap_epoch, __ATOMIC_SEQ_CST),
			 __ATOMIC_SEQ_CST);
}

/* Before the object's frames are freed. */
static inline void unmap_stamp_check(const struct unmap_stamp *s)
{
	for (u32 i = 0; i < cpu_count; i++)
		ASSERT(__atomic_load_n(&cpus[i]->unmap_seen, __ATOMIC_SEQ_CST) >= s->epoch[i]);
}
