/* Upcalls: what lower folders may ask of kernel/. The only place that declares any. */
#pragma once

#include "lib/types.h"
#include "uapi/abi.h"

struct vcpu;
struct vcpu_state;
struct vm;
struct aspace;
struct object;
struct quota;

/* ---- Log: levels as in loglevel=; a line needs no newline, starts with "module: ". ---- */
void log_line(enum log_level level, const char *fmt, ...) __printf(2, 3);
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)

/*
 * Stops the machine: other CPUs by NMI, then registers and backtrace. For broken invariants only.
 */
void panic(const char *fmt, ...) __noreturn __printf(1, 2);

/* Nanoseconds since boot, the one clock. */
u64 clock_ns(void);
u64 clock_to_tsc(u64 ns); /* clock value -> this CPU's TSC */
/*
 * ns until this CPU's TSC + offset is at least value, or so many that it is asked again; 0: it is
 */
u64 clock_until_tsc(u64 value, u64 offset);

/* ---- mm: flushes ---- */
/*
 * Every CPU in the mask drops its TLB entries of the address space (all of them), and has left the
 * guest, before this returns.
 */
void up_tlb_flush(struct aspace *as, u64 cpu_mask);

/* ---- mm: objects (kernel/object.c) ---- */
/*
 * A structure of so many bytes, headed by its struct object; the rest is zero. One reference for
 * the caller; keeps the domain that q belongs to. NULL: no memory. The reaper frees it.
 */
void *object_new(enum obj_type type, size_t bytes, struct quota *q) __must_check;
/*
 * A reference; also on an object just looked up whose last one goes at this moment: then it stays,
 * but dead.
 */
void object_get(struct object *o);
/*
 * Drops a reference; the last one revokes the object and hands it to the reaper. May be a
 * preemption point.
 */
void object_put(struct object *o);

/*
 * What a CPU does while it waits with interrupts off: it answers flush requests, since the CPU it
 * waits for may be waiting for the answer.
 */
#ifdef HOST_TEST
static inline void up_spin_wait(void) {}
#else
void up_spin_wait(void);
#endif

/* ---- FPU (kernel/fpu.c): interrupts off, the owner's address space active ---- */
bool fpu_xcr0_valid(u64 xcr0);		     /* may a guest have this XCR0? */
void fpu_set_xcr0(struct vcpu *v, u64 xcr0); /* of the loaded vCPU; the value is valid */

/*
 * ---- State (kernel/vcpu_state.c) ----
 * Translations go with a group CR that comes after these: a MOV CR3 of the same value too, so only
 * a change of bits of CR0 that have no part in paging keeps them.
 */
bool state_flushes(const struct vcpu_state *st, u64 cr0, u64 cr3, u64 cr4, u64 efer);

/* ---- drivers/platform ---- */
void up_console_input(void);   /* the UART has received bytes or can take more */
void up_timer_interrupt(void); /* the local APIC timer fired */
