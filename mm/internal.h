/* Between the files of mm/ only. */
#pragma once

#include "mm/buddy.h"
#include "mm/pt.h"

/* The shared kernel tables: everything above DIRECT_BASE but the private slot. */
struct pt *kernel_pt(void);

/* ---- kmem.c, during mm_init ---- */
/* Maps the first block, from which the tables themselves come, at DIRECT_BASE. */
void kmem_map_first_block(void);
/* Before: the heap is reached through the identity map; after: at DIRECT_BASE. */
void kmem_use_direct(void);
/* Tables for heap blocks in the 1 GiB area at a. */
void kmem_prepare_area(u64 a);
/*
 * Moves the early blocks into the heap's allocator, once the frame table exists. Returns their
 * bytes.
 */
u64 kmem_adopt(const struct buddy *frames);

/* ---- window.c ---- */
/* Makes the tables that the windows of all CPUs share; before the switch of tables. */
void window_init(void);

/* Fills with zeros; bytes a multiple of 8. */
static inline void zero_words(void *p, u64 bytes)
{
	u64 words = bytes / 8;

	__asm__ volatile("rep stosq" : "+D"(p), "+c"(words) : "a"(0) : "memory");
}
