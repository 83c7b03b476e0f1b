/*
 * Memory objects: an array of frames, populated on first touch. Charged to the creator at creation,
 * so that populating cannot run out of quota. Each object knows where it is mapped.
 */
#pragma once

#include "hv/object.h"
#include "mm/frame.h"
#include "mm/unmap_epoch.h"

/*
 * [I] immutable, [m] under lock
 * block[i] stands for 2 MiB: 0 = empty; bit 0 set = a 2 MiB frame; else a kernel-heap page of 512
 * entries, each 0 or the address of a 4 KiB frame.
 */
struct mem {
	struct object obj;
	spinlock_t lock;
	u64 bytes;		     /* [I] page-aligned */
	u32 flags;		     /* [I] enum mem_flags */
	u64 *block;		     /* [m] */
	u64 destroyed;		     /* progress of mem_destroy_step: blocks */
	struct unmap_stamp unmapped; /* [a] debug builds */
	struct list mappings;	     /* [m] struct mapping.mem_link: who maps it */
};

#define MEM_BYTES_MAX GiB(512)

/*
 * -E_NOMEM: quota or heap. -E_INVAL: bytes 0, not page-aligned or above MEM_BYTES_MAX, unknown
 * flag. One reference for the caller. Charged: bytes, a page for each 2 MiB or part of it, and the
 * object.
 */
int mem_create(u64 bytes, u64 flags, struct quota *q, struct mem **out) __must_check;
/*
 * An object that owns the frames of a boot module; bytes may end inside a page, whose rest is
 * zeroed. Not charged. -E_NOMEM leaves an object that nobody can use: the start has failed.
 */
int mem_create_borrowed(hpa_t start, u64 bytes, struct mem **out) __must_check;

/*
 * The frame run that holds offset, populating it if needed: *start and *bytes describe the largest
 * naturally aligned page (4 KiB, 2 MiB or 1 GiB) around offset that is contiguous; *page_offset is
 * the object's offset where it starts. -E_NOMEM when no frame is left (not the quota's fault),
 * -E_INVAL beyond the end.
 */
int mem_frame(struct mem *m, u64 offset, hpa_t *start, u64 *bytes, u64 *page_offset) __must_check;

struct mapping;
/*
 * Enters a mapping into the object's list, with a reference.
 * -E_DEAD.
 */
int mem_attach(struct mem *m, struct mapping *map) __must_check;
/*
 * Takes it out again; the reference is dropped by the caller (object_put), after the flush, with no
 * lock held.
 */
void mem_detach(struct mapping *map);

/*
 * Frees frames in steps of at most 512 frames (4 KiB or 2 MiB); true when nothing is left but the
 * structure. Nothing maps it any more.
 */
bool mem_destroy_step(struct object *o);
