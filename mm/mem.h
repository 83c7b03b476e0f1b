/*
 * Memory objects: an array of frames, populated on first touch. Charged to the creator at creation, so
 * that populating cannot run out of quota. Each object knows where it is mapped.
 */
#pragma once

#include "hv/object.h"
#include "mm/frame.h"

/*
 * [I] immutable, [m] under lock
 * block[i] stands for 2 MiB: 0 = empty; bit 0 set = a 2 MiB frame; else a kernel-heap page of 512 entries,
 * each 0 or the address of a 4 KiB frame.
 */
struct mem {
	struct object obj;
	spinlock_t lock;
	u64 bytes;	    /* [I] page-aligned */
	u32 flags;	    /* [I] enum mem_flags */
	bool borrowed;	    /* [I] frames of a boot module: freed with the object, never populated */
	struct mem *parent; /* [I] slice of; holds a reference; block is the parent's */
	u64 offset;	    /* [I] in the parent */
	u64 *block;	    /* [m] */
	u64 populated;	    /* [m] bytes */
	struct list mappings; /* [m] struct mapping.mem_link and VM slots: who maps it */
};

/* -E_NOMEM: quota or frames. -E_INVAL: bytes 0 or not page-aligned. One reference for the caller. */
int mem_create(u64 bytes, u32 flags, struct quota *q, struct mem **out) __must_check;
int mem_create_borrowed(hpa_t start, u64 bytes, struct mem **out) __must_check; /* frames of a boot module */
int mem_create_slice(struct mem *parent, u64 offset, u64 bytes, struct quota *q, struct mem **out) __must_check;

/*
 * The frame run that holds offset, populating it if needed: *start and *bytes describe the largest
 * naturally aligned page (4 KiB, 2 MiB or 1 GiB) around offset that is contiguous; *page_offset is the object's offset where
 * it starts. -E_NOMEM when no frame is left (not the quota's fault), -E_INVAL beyond the end.
 */
int mem_frame(struct mem *m, u64 offset, hpa_t *start, u64 *bytes, u64 *page_offset) __must_check;

/* Copies kernel bytes in or out through the window; populates. For the loading of init and for tests. */
int mem_write(struct mem *m, u64 offset, const void *src, u64 n) __must_check;

/* Frees frames in steps of at most 512 frames (4 KiB or 2 MiB); true when done. Nothing maps it any more. */
bool mem_destroy_step(struct mem *m);
