/* Upcalls: what lower folders may ask of kernel/. The only place that declares any. */
#pragma once

#include "hv/exit.h"
#include "lib/types.h"

struct vcpu;
struct aspace;

/* ---- Log: levels as in loglevel=; a line needs no newline, starts with "module: ". ---- */
enum log_level { LOG_ERROR, LOG_WARN, LOG_NOTICE, LOG_INFO, LOG_DEBUG };
void log_line(enum log_level level, const char *fmt, ...) __printf(2, 3);
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/* Stops the machine: other CPUs by NMI, then registers and backtrace. For broken invariants only. */
void panic(const char *fmt, ...) __noreturn __printf(1, 2);

/* Nanoseconds since boot, the one clock. */
u64 clock_ns(void);
u64 clock_to_tsc(u64 ns);	/* clock value -> this CPU's TSC */
u64 clock_from_tsc(u64 tsc);

/* ---- mm: flushes ---- */
/* Every CPU in the mask drops its TLB entries of the address space (all of them) before this returns. */
void up_tlb_flush(struct aspace *as, u64 cpu_mask);

/* ---- Vendor back-ends ---- */
/*
 * Length of the instruction at the guest's rip, for CPUs that give none: fetched through the guest's page
 * tables. 0 = can't be fetched or decoded; then the back-end's caller injects #UD or #PF as noted in exit.
 */
u32 up_insn_length(struct vcpu *v);

/* ---- drivers/platform ---- */
void up_console_input(void);   /* the UART has received bytes or can take more */
void up_timer_interrupt(void); /* the local APIC timer fired */
