/* Exceptions and interrupts. */
#pragma once

#include "kernel/thread.h"

void trap_handler(struct trap_frame *f);	   /* from entry.asm, on the thread's stack */
void trap_return(struct trap_frame *f) __noreturn; /* entry.asm */
void trap_nmi_stack(struct trap_frame *f);	   /* NMI, #DB, #DF, #MC: on their own stacks */

/* Done before every return to ring 3: reschedules, stops or ends the thread as asked. */
void return_to_user(void);
static inline bool return_work_pending(void) { return this_cpu()->resched || thread_must_leave(); }
