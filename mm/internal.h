/* Between the files of mm/ only. */
#pragma once

#include "mm/buddy.h"
#include "mm/pt.h"

/* The shared kernel tables: everything above DIRECT_BASE but the private slot. */
struct pt *kernel_pt(void);

/* ---- kmem.c, during mm_init ---- */
/* Maps the pages that the tables themselves come from. */
void kmem_map_early(void);
/*
 * Hands what is left of them to the heap's allocator, once the frame table exists. Returns their
 * bytes, used and not.
 */
u64 kmem_adopt(const struct buddy *frames);

/* Fills with zeros; bytes a multiple of 8. */
static inline void zero_words(void *p, u64 bytes)
{
	u64 words = bytes / 8;

	__asm__ volatile("rep stosq" : "+D"(p), "+c"(words) : "a"(0) : "memory");
}
