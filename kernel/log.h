/*
 * The log: a ring in memory, and lines up to the console level on the UART. log_line() is in
 * hv/up.h.
 */
#pragma once

#include "hv/up.h"

#define LOG_RING_BYTES KiB(64)

/* Returns the level before. One that doesn't exist changes nothing. */
enum log_level log_set_level(u64 l);
u64 log_dropped(void); /* bytes of lines that the console had no room for */
/*
 * Copies from the ring at position *pos (moved forward to the oldest byte kept when it is older).
 * Returns the bytes copied and moves *pos behind them.
 */
u32 log_read(u64 *pos, char *buf, u32 n);
void log_panic_line(const char *line); /* polled output, takes no lock */
