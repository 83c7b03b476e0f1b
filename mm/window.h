/* Per-CPU windows: a frame that is mapped nowhere in ring 0, for a moment. Interrupts off, not nested. */
#pragma once

#include "lib/types.h"

enum window { WINDOW_A, WINDOW_B, WINDOW_GUEST_WALK, WINDOWS = 8 };

/* Maps the 4 KiB frame of a; returns the address of a itself inside it. */
void *window_map(enum window w, hpa_t a);
void window_unmap(enum window w);
/* Zeroes frames [a, a+bytes), 4 KiB aligned, through the windows. */
void window_zero(hpa_t a, u64 bytes);
