/*
 * What the test programs that stand in for init share: random numbers, output, copies of the
 * program itself in other domains, and what the machine holds.
 */
#pragma once

#include "uapi/image.h"
#include "uapi/run.h"
#include "user/rt.h"
#include "user/sys.h"

/* Root task: before anything else. name stands at the start of each line of output. */
void self_init(const char *name, handle_t system);

/* Below `below`; a state for each thread, never 0. */
u64 rnd(u64 *state, u64 below);
/* The number behind "key=" on the command line, or `otherwise`. */
u64 option(const char *cmdline, const char *key, u64 otherwise);
void sleep_ns(u64 ns);

void say(const char *fmt, ...) __printf(1, 2);
void finish(u32 status) __noreturn;		  /* leaves the machine */
void check(bool ok, const char *what, s64 value); /* !ok: says so and leaves the machine */

/* ---- Copies of this program ---- */
/*
 * Maps image and stack into the domain, with the same content as this one's at start, and mem's
 * first page at va.
 */
bool load(handle_t domain, handle_t mem, u64 va);
/*
 * Thread n of a domain made by load, with its own part of the stack; program_main gets arg. Handle
 * or error.
 */
s64 start(handle_t domain, u32 n, u64 arg);
s64 thread_make(handle_t domain, u32 n, u64 arg); /* the same, not started */
/* Waits for the domain's end. Returns its status, or a negative error after `limit` ns. */
s64 wait_end(handle_t domain, u64 limit);

/* ---- Guests ---- */
#define GUEST_TABLES 3 /* pages */
/*
 * A state after power-on becomes one of 64-bit code, of which the kernel needs no monitor to know
 * how long an instruction is. The tables at guest-physical gpa map 1 GiB, one to one.
 */
void guest_long_mode(struct vcpu_state *s, u64 *tables, u64 gpa);

/* ---- What the machine holds ---- */
struct balance {
	u64 quota; /* the largest that can still be given away */
	u64 free;  /* bytes in free frames and in free pages of the kernel's heap */
	u32 objects[OBJ_TYPES];
	u32 more_events; /* that programs which go on may make meanwhile: 0 from balance_take */
};
struct host_info host(void);
struct balance balance_take(void);
/*
 * Waits at most `limit` ns until the machine holds again what it held then; else says what is
 * missing and leaves.
 */
void balance_check(const struct balance *then, const char *when, u64 limit);
