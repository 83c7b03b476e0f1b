/*
 * A 16550A serial port. National Semiconductor PC16550D data sheet. Characters pass at once,
 * whatever the baud rate.
 */
#pragma once

#include "vmm/device.h"

#define UART_FIFO 16

/* What is at the other end of the cable. Called with the UART's lock held; must not wait. */
struct uart_peer;
struct uart_peer_ops {
	bool (*put)(struct uart_peer *p, u8 c); /* false: no room now; uart_poll when there is */
	s32 (*get)(struct uart_peer *p);	/* next character, or -1 */
	void (*flush)(struct uart_peer *p);	/* what was put should be seen by now */
};
struct uart_peer {
	const struct uart_peer_ops *ops; /* [I] */
};

struct uart {
	struct device dev;
	struct uart_peer *peer; /* [I] */
	u32 irq;		/* [I] line */
	u8 ier, fcr, lcr, mcr, scr, dll, dlm;
	u8 lsr;		 /* error bits; data and transmitter bits are computed */
	u8 msr;		 /* delta bits; the inputs are computed */
	u8 thre_pending; /* the transmitter became empty and nobody was told */
	u8 line_up;	 /* the interrupt line */
	u8 rx[UART_FIFO], rx_count;
	u8 tx[UART_FIFO], tx_count; /* waiting for room at the peer */
	struct vtimer flush;	    /* output since the last flush */
};

void uart_init(struct uart *u, struct platform *plat, struct uart_peer *peer, u32 irq);

/* The peer has input, or room again. Takes the device's lock. */
void uart_poll(struct uart *u);
