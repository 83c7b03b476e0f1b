/*
 * The console UART (16550). A transmit ring is drained by interrupt and never waits; overflow is
 * dropped. Only a panic polls. Interrupts off in every function.
 */
#pragma once

#include "lib/types.h"

#define UART_CLOCK 115200 /* baud rate of divisor 1 */

struct uart_config {
	u16 port;
	u16 divisor;
	u8 irq; /* 4 or 3 */
};

/*
 * spec: "com1,115200,8n1": com1..com4 or a port such as 0x3f8; the rest may be left out, and the
 * frame is always 8n1. False: not
 * understood, *out is unchanged. Pure.
 */
bool uart_parse(const char *spec, struct uart_config *out);
/* Programs the UART, if there is one, and prints from now on, polled until its first interrupt. */
void uart_init(const struct uart_config *c);
void uart_irq_enable(void); /* asks for one, after the I/O APIC routes it */
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
