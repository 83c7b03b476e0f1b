/* The ring-3 runtime: start, exit, clock, heap, threads, locks, log. */
#pragma once

#include "lib/types.h"
#include "uapi/abi.h"

/*
 * Each program defines it; arg is what the creator passed. The value returned is the domain's exit
 * status.
 */
int program_main(void *arg);

u64 rt_clock_ns(void); /* since boot; no system call where the TSC serves */
/* The same, and the TSC at that moment: exactly where the TSC is the clock, else nearly. */
u64 rt_clock_tsc(u64 *tsc);
static inline const struct kinfo *rt_kinfo(void) { return (const struct kinfo *)KINFO_VA; }

/* How many bits of the mask are set. */
static inline u32 rt_count_bits(u64 mask)
{
	u32 n = 0;

	for (; mask; mask &= mask - 1)
		n++;
	return n;
}

/* Heap: grows by memory objects of 1 MiB. Thread-safe. Zeroed. NULL: no memory. */
void *rt_alloc(size_t n);
void rt_free(void *p);

/*
 * An unused range of the domain's address space, page-aligned (2 MiB-aligned from 2 MiB on).
 */
u64 rt_va_reserve(u64 bytes);
/* Maps a whole memory object (bytes of it) somewhere. NULL on error, *err set when not NULL. */
void *rt_map(handle_t mem, u64 bytes, u32 prot, int *err);
/*
 * Takes all frames of what is mapped there now, instead of on first touch. p: page-aligned. Returns
 * how many of the bytes are there: fewer than `bytes`, and the machine has no more memory.
 */
u64 rt_populate(const void *p, u64 bytes);
/* The same for the program's variables, and for the calling thread's stack. False: no memory. */
bool rt_populate_image(void);
bool rt_populate_stack(void);
/* Undoes it; the range that was reserved last is free for the next. */
void rt_unmap(void *p, u64 bytes);

/*
 * Starts a thread with a stack of 16 KiB and a message page. Returns its handle or a negative
 * error.
 */
s64 rt_thread(void (*fn)(void *), void *arg);
struct msg_page *rt_msg(void); /* of the calling thread */

struct rt_mutex { /* zero = free */
	u32 state;
	handle_t event; /* made by the first contention */
};
void rt_lock(struct rt_mutex *m);
void rt_unlock(struct rt_mutex *m);

/* One line to the place set by rt_log_to (a program without one drops it). */
void rt_log(const char *fmt, ...) __printf(1, 2);
void rt_log_to(void (*sink)(const char *line, void *arg), void *arg);

const char *rt_error(s64 e); /* "no memory within the quota", ... for -E_* */
