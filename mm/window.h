/*
 * Per-CPU windows: a frame that is mapped nowhere in ring 0, for a moment. Interrupts off, not
 * nested.
 */
#pragma once

#include "lib/types.h"
#include "uapi/layout.h"

struct cpu;

enum window {
	WINDOW_A,
	WINDOW_ZERO,			   /* of window_zero */
	WINDOW_GUEST_WALK,		   /* from here on: held while a vCPU is loaded */
	WINDOW_PV = WINDOW_GUEST_WALK + 5, /* two */
	WINDOWS = WINDOW_PV + 2
};

/*
 * Maps the 4 KiB frame of a, in place of what the window showed; returns the address of a itself
 * inside it.
 */
void *window_map(enum window w, hpa_t a);
void window_unmap(enum window w);
/* Zeroes frames [a, a+bytes), 4 KiB aligned, through the windows. */
void window_zero(hpa_t a, u64 bytes);

/*
 * Above the windows of 4 KiB pages: one window of 2 MiB for each CPU, in which blocks are zeroed.
 */
#define WINDOW_2M_BASE (WINDOW_BASE + MAX_CPUS * WINDOW_SIZE)

/* Makes the windows of a CPU before it uses any; sets c->window and c->window_pte. -E_NOMEM. */
int window_cpu_init(struct cpu *c) __must_check;
