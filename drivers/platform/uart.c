#include "drivers/platform/uart.h"

#include "hv/lock.h"
#include "hv/x86.h"

/* ---- 16550 UART registers (National PC16550D, "Registers") ---- */

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

#define TX_RING KiB(16)
#define RX_RING 1024u
/* reads of the line status, about 1 us each: far longer than a FIFO takes */
#define POLL_LIMIT 100000u
#define IRQ_ROUNDS 32u

/*
 * Positions count for ever; the ring holds [tail, head). All under lock, but a panic takes no lock.
 */
static struct {
	spinlock_t lock;
	struct uart_config config;
	bool present;
	bool by_irq;	/* drained by interrupt; before that every write is polled */
	bool tx_wanted; /* a writer got less than it asked for */
	u8 ier;
	u32 tx_head, tx_tail, rx_head, rx_tail;
	char tx[TX_RING];
	char rx[RX_RING];
} uart;

static u8 reg_read(enum uart_reg r) { return inb((u16)(uart.config.port + r)); }

static void reg_write(enum uart_reg r, u8 v) { outb((u16)(uart.config.port + r), v); }

static void set_ier(u8 v)
{
	if (uart.ier == v)
		return;
	uart.ier = v;
	reg_write(UART_IER, v);
}

void uart_init(const struct uart_config *c)
{
	uart.config = *c;
	reg_write(UART_SCR, 0x5a);
	bool here = reg_read(UART_SCR) == 0x5a;
	reg_write(UART_SCR, 0xa5);
	if (!here || reg_read(UART_SCR) != 0xa5)
		return;
	reg_write(UART_IER, 0);
	reg_write(UART_LCR, LCR_DLAB);
	reg_write(UART_DATA, (u8)uart.config.divisor);
	reg_write(UART_IER, (u8)(uart.config.divisor >> 8));
	reg_write(UART_LCR, LCR_8N1);
	reg_write(UART_FCR, FCR_ENABLE | FCR_CLEAR | FCR_TRIGGER_8);
	reg_write(UART_MCR, MCR_DTR_RTS | MCR_OUT2);
	uart.present = true;
}

/* One FIFO load from the ring into an empty transmitter. False: it is not empty. */
static bool fill_fifo(void)
{
	if (!(reg_read(UART_LSR) & LSR_TX_EMPTY))
		return false;
	for (u32 i = 0; i < UART_FIFO && uart.tx_tail != uart.tx_head; i++)
		reg_write(UART_DATA, (u8)uart.tx[uart.tx_tail++ % TX_RING]);
	return true;
}

/* Bounded: a UART that takes nothing, a hung or unplugged one, loses what the ring holds. */
static void drain_polled(void)
{
	for (u32 i = 0; uart.tx_tail != uart.tx_head && i < POLL_LIMIT; i++)
		if (fill_fifo())
			i = 0;
	uart.tx_tail = uart.tx_head;
}

/* By interrupt: the transmitter's is wanted as long as the ring holds something. */
static void tx_continue(void)
{
	fill_fifo();
	set_ier(uart.tx_tail != uart.tx_head ? IER_RX | IER_TX : IER_RX);
}

void uart_irq_enable(void)
{
	spin_lock(&uart.lock);
	if (uart.present)
		set_ier(IER_RX | IER_TX);
	spin_unlock(&uart.lock);
}

static bool receive(void)
{
	bool any = false;

	for (u32 i = 0; i < RX_RING && reg_read(UART_LSR) & LSR_DATA; i++) {
		char c = (char)reg_read(UART_DATA);

		any = true;
		if (uart.rx_head - uart.rx_tail < RX_RING)
			uart.rx[uart.rx_head++ % RX_RING] = c;
	}
	return any;
}

void uart_interrupt(void)
{
	bool input = false, room = false;
	u32 round = 0;

	spin_lock(&uart.lock);
	/*
	 * The line is edge-triggered: it must fall before the next interrupt can come, so all
	 * causes go.
	 */
	for (; uart.present && round < IRQ_ROUNDS && !(reg_read(UART_IIR) & IIR_NONE); round++) {
		uart.by_irq = true; /* not before one has come: its line may be another */
		input |= receive();
		tx_continue();
		reg_read(UART_MSR);
	}
	if (round == IRQ_ROUNDS) { /* still busy: make a new edge */
		reg_write(UART_IER, 0);
		reg_write(UART_IER, uart.ier);
	}
	if (uart.tx_wanted && uart.tx_head - uart.tx_tail <= TX_RING / 2) {
		uart.tx_wanted = false;
		room = true;
	}
	spin_unlock(&uart.lock);
	if (input || room)
		up_console_input();
}

u32 uart_write(const char *s, u32 n)
{
	u32 taken = 0;

	if (!uart.present)
		return n;
	spin_lock(&uart.lock);
	while (taken < n && uart.tx_head - uart.tx_tail < TX_RING)
		uart.tx[uart.tx_head++ % TX_RING] = s[taken++];
	if (!uart.by_irq)
		drain_polled();
	else if (!(uart.ier & IER_TX))
		tx_continue();
	if (taken < n)
		uart.tx_wanted = true;
	spin_unlock(&uart.lock);
	return taken;
}

void uart_flush(void)
{
	spin_lock(&uart.lock);
	if (uart.present) {
		drain_polled();
		for (u32 i = 0; i < POLL_LIMIT && !fill_fifo(); i++)
			;
	}
	spin_unlock(&uart.lock);
}

u32 uart_read(char *s, u32 n)
{
	u32 got = 0;

	spin_lock(&uart.lock);
	while (got < n && uart.rx_tail != uart.rx_head)
		s[got++] = uart.rx[uart.rx_tail++ % RX_RING];
	spin_unlock(&uart.lock);
	return got;
}

void uart_panic_write(const char *s, u32 n)
{
	if (!uart.present)
		return;
	reg_write(UART_IER, 0);
	/* What was written before stands first. The indices are bounded here: they may be torn. */
	if (uart.tx_head - uart.tx_tail > TX_RING)
		uart.tx_tail = uart.tx_head;
	drain_polled();
	while (n--) /* a line is shorter than the ring */
		uart.tx[uart.tx_head++ % TX_RING] = *s++;
	drain_polled();
}
