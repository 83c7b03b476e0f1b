/*
 * The end: registers and a backtrace with symbols, on every console, by polling. panic() is in
 * hv/up.h.
 */
#pragma once

struct trap_frame;

void panic_trap(const struct trap_frame *f, const char *what) __attribute__((noreturn));
/* Ends the start, with a line for a person; the machine stays halted, so that it can be read. */
void panic_refuse(const char *why) __attribute__((noreturn));
/* The NMI handler's part: a CPU that a panic stops does not return. */
void panic_nmi(const struct trap_frame *f);
