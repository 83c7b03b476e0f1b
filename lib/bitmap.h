/* Bitmaps of 64-bit words. Not atomic. */
#pragma once

#include "lib/types.h"

#define BITMAP_WORDS(bits) (((bits) + 63) / 64)

static inline void bitmap_set(u64 *map, u32 n) { map[n / 64] |= BIT(n % 64); }
static inline void bitmap_clear(u64 *map, u32 n) { map[n / 64] &= ~BIT(n % 64); }
static inline bool bitmap_test(const u64 *map, u32 n) { return map[n / 64] >> (n % 64) & 1; }

/* First clear bit below bits, or -1. */
static inline s32 bitmap_find_clear(const u64 *map, u32 bits)
{
	for (u32 w = 0; w < BITMAP_WORDS(bits); w++)
		if (~map[w]) {
			u32 n = w * 64 + (u32)__builtin_ctzll(~map[w]);
			return n < bits ? (s32)n : -1;
		}
	return -1;
}
