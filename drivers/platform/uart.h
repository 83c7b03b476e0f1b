/*
 * The console UART (16550). A transmit ring is drained by interrupt and never waits; overflow is
 * dropped. Only a panic polls. Interrupts off in every function.
 */
#pragma once

#include "lib/types.h"

/*
 * spec: "com1,115200,8n1" (com1..com4, or 0x3f8; the rest optional). False: not understood, *why
 * says what.
 */
bool uart_parse(const char *spec, const char **why);
/* Programs the UART and prints from now on, polled until uart_irq_enable. False: no UART there. */
bool uart_init(void);
u32 uart_isa_irq(void);	    /* 4 or 3 */
void uart_irq_enable(void); /* after the I/O APIC routes it */
/* drains and fills the rings; calls up_console_input when bytes came in */
void uart_interrupt(void);
/*
 * Returns the bytes taken into the ring; for a writer that has more, up_console_input tells when
 * half the ring is free.
 */
u32 uart_write(const char *s, u32 n);
u32 uart_read(char *s, u32 n);
void uart_flush(void); /* polled and bounded: what was written is out, before the machine is left */
void uart_panic_write(const char *s, u32 n); /* polled, for panic */
