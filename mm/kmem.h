/*
 * The kernel heap. It grows by 2 MiB blocks from the frame allocator, mapped at DIRECT_BASE + hpa,
 * and hands out pages and objects. Everything is zeroed and charged to a quota (NULL = the kernel's
 * own).
 */
#pragma once

#include "mm/quota.h"

/*
 * Any size up to 2 MiB; rounded up to a power of two or a page multiple when charged. Zeroed,
 * 16-byte aligned (64 from 64 on).
 */
void *kmem_alloc(struct quota *q, size_t size) __must_check;
void kmem_free(struct quota *q, void *p, size_t size);

/*
 * Takes a block in which nothing is left out of the heap's tables, when enough stays free. Its
 * frames are free once every CPU has flushed global translations too; the caller sees to both.
 */
bool kmem_unmap_block(hpa_t *block);

u64 kmem_free_bytes(void); /* in pages of its blocks that hold nothing */
/* Only for addresses from the kernel heap. */
hpa_t kva_to_hpa(const void *p);
void *hpa_to_kva(hpa_t a);

/* For the kernel image (linked at KERNEL_BASE). */
hpa_t image_to_hpa(const void *p);
