/* 16550 UART registers (National PC16550D, "Registers"). */
#pragma once

#include "lib/types.h"

enum uart_reg {
	UART_DATA = 0, /* receiver buffer, transmitter holding; divisor low with LCR_DLAB */
	UART_IER = 1,  /* interrupt enable; divisor high with LCR_DLAB */
	UART_IIR = 2,  /* read: interrupt identification */
	UART_FCR = 2,  /* write: FIFO control */
	UART_LCR = 3,  /* line control */
	UART_MCR = 4,  /* modem control */
	UART_LSR = 5,  /* line status */
	UART_MSR = 6,  /* modem status */
	UART_SCR = 7,  /* scratch */
};

#define IER_RX 0x01   /* received data available */
#define IER_TX 0x02   /* transmitter holding register empty */
#define IIR_NONE 0x01 /* no interrupt pending */
#define FCR_ENABLE 0x01
#define FCR_CLEAR 0x06 /* both FIFOs */
#define FCR_TRIGGER_8 0x80
#define LCR_DLAB 0x80 /* divisor latch access */
#define LCR_8N1 0x03  /* 8 data bits, no parity, 1 stop bit */
#define MCR_DTR_RTS 0x03
#define MCR_OUT2 0x08	  /* gates the interrupt line */
#define LSR_DATA 0x01	  /* data ready */
#define LSR_TX_EMPTY 0x20 /* transmitter holding register empty */
#define UART_FIFO 16
#define UART_CLOCK 115200 /* baud rate of divisor 1 */
