/*
 * Guest RAM: [0, low) without the VGA hole, and [4 GiB, 4 GiB + high). The memory object is
 * contiguous: high RAM follows low RAM.
 */
#pragma once

#include "user/rt.h"

#define RAM_LOW_MAX 0xc0000000ull
#define RAM_HIGH_BASE GiB(4)
#define RAM_HOLE 0xa0000ull /* VGA memory: never RAM */
#define RAM_HOLE_END 0xc0000ull

struct ram {
	u8 *host;
	u64 low, high; /* bytes */
};

/*
 * One memory object, a multiple of 2 MiB, mapped here and in the VM; at_once: with all its frames.
 * Negative: the error, which was logged; what was made goes with the program.
 */
int ram_create(struct ram *r, handle_t vm, u64 bytes, bool at_once);

/* Host address of [gpa, gpa + bytes), or NULL when it is not RAM as a whole. */
static inline void *ram_ptr(const struct ram *r, u64 gpa, u64 bytes)
{
	if (gpa < r->low)
		return bytes <= r->low - gpa && (gpa >= RAM_HOLE_END ||
						 (gpa < RAM_HOLE && bytes <= RAM_HOLE - gpa))
			       ? r->host + gpa
			       : NULL;
	gpa -= RAM_HIGH_BASE; /* below it: wraps to a value beyond any size */
	return gpa < r->high && bytes <= r->high - gpa ? r->host + r->low + gpa : NULL;
}
