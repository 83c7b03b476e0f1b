/*
 * The kernel half of every address space, by top-level (512 GiB) entry. All but KPRIV are shared by
 * all address spaces; their top-level entries are filled at start and never change.
 *
 * DIRECT holds only 2 MiB blocks that the kernel owns (heap, page tables): guest frames are not
 * mapped in ring 0. A kernel frame at hpa is found at DIRECT_BASE + hpa.
 */
#pragma once

#include "lib/types.h"

#define KERNEL_HALF 256			  /* its first top-level entry */
#define DIRECT_BASE 0xffff800000000000ull /* 32 entries: 16 TiB of host-physical addresses */
#define DIRECT_SIZE (32ull << 39)
#define FRAMES_BASE 0xfffffd0000000000ull /* struct frame per 4 KiB frame */
#define MMIO_BASE 0xfffffd8000000000ull /* device registers, firmware tables while they are read */
#define MMIO_SIZE GiB(4)
#define KPRIV_BASE 0xffffff0000000000ull /* private to the domain: kernel stacks, vCPU areas */
#define KPRIV_SIZE MiB(128)
#define KERNEL_BASE 0xffffffff80000000ull /* the image, at most 16 MiB */
/* per-CPU windows: WINDOW_SIZE each, CPU n at n * WINDOW_SIZE */
/* the log's screen, at its offset in a 2 MiB page; the boot tables map it too */
#define SCREEN_BASE 0xffffffffa0000000ull
#define SCREEN_MAX MiB(64)
#define WINDOW_BASE 0xffffffffc0000000ull
#define WINDOW_SIZE PAGE_2M

#define MAX_CPUS 64

/* Who has a frame. */
enum frame_owner {
	FRAME_FREE,
	FRAME_RESERVED, /* firmware, image, not RAM */
	FRAME_KERNEL,	/* a block of the kernel heap: mapped in DIRECT */
	FRAME_PRIVATE,	/* kernel stack or vCPU area: mapped in one KPRIV slot */
	FRAME_USER,	/* memory object of a domain */
	FRAME_GUEST,	/* memory object created with MEM_GUEST, or a boot module */
};
