#include "vmm/uart.h"

#include "lib/string.h"
#include "vmm/state.h"

enum uart_reg { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };
enum ier { IER_RX = 0x01, IER_THRE = 0x02, IER_LINE = 0x04, IER_MODEM = 0x08 };
enum iir {
	IIR_NONE = 0x01,
	IIR_MODEM = 0x00,
	IIR_THRE = 0x02,
	IIR_RX = 0x04,
	IIR_LINE = 0x06,
	IIR_TIMEOUT = 0x0c,
	IIR_FIFO = 0xc0
};
enum fcr { FCR_ENABLE = 0x01, FCR_CLEAR_RX = 0x02, FCR_CLEAR_TX = 0x04, FCR_TRIGGER = 0xc0 };
enum lcr { LCR_DLAB = 0x80 };
enum mcr { MCR_DTR = 0x01, MCR_RTS = 0x02, MCR_OUT1 = 0x04, MCR_OUT2 = 0x08, MCR_LOOP = 0x10 };
enum lsr { LSR_DR = 0x01, LSR_OE = 0x02, LSR_ERRORS = 0x1e, LSR_THRE = 0x20, LSR_TEMT = 0x40 };
enum msr {
	MSR_DELTAS = 0x0f,
	MSR_TERI = 0x04,
	MSR_CTS = 0x10,
	MSR_DSR = 0x20,
	MSR_RI = 0x40,
	MSR_DCD = 0x80
};

/*
 * Output is gathered this long before the peer is told, so that a line costs one signal and not
 * fifty.
 */
#define FLUSH_NS 1000000u

static bool fifo_on(const struct uart *u) { return u->fcr & FCR_ENABLE; }
static u32 fifo_size(const struct uart *u) { return fifo_on(u) ? UART_FIFO : 1; }
static u32 rx_room(const struct uart *u) { return fifo_size(u) - u->rx_count; }

static u32 rx_trigger(const struct uart *u)
{
	static const u8 level[] = {1, 4, 8, 14};

	return fifo_on(u) ? level[u->fcr >> 6] : 1;
}

static u8 iir(const struct uart *u)
{
	if (u->ier & IER_LINE && u->lsr & LSR_ERRORS)
		return IIR_LINE;
	if (u->ier & IER_RX && u->rx_count >= rx_trigger(u))
		return IIR_RX;
	/*
	 * Characters that reach no trigger level time out after four character times: here at once.
	 */
	if (u->ier & IER_RX && u->rx_count)
		return IIR_TIMEOUT;
	if (u->ier & IER_THRE && u->thre_pending)
		return IIR_THRE;
	if (u->ier & IER_MODEM && u->msr & MSR_DELTAS)
		return IIR_MODEM;
	return IIR_NONE;
}

static void update(struct uart *u)
{
	u8 up = iir(u) != IIR_NONE;

	if (up == u->line_up)
		return;
	u->line_up = up;
	dev_line(&u->dev, u->irq, up);
}

static void receive(struct uart *u, u8 c)
{
	if (rx_room(u))
		u->rx[u->rx_count++] = c;
	else
		u->lsr |= LSR_OE;
}

/* Takes what the peer has while there is room: nothing is ever lost to an overrun. */
static void fill(struct uart *u)
{
	s32 c;

	if (u->mcr & MCR_LOOP)
		return;
	while (rx_room(u) && (c = u->peer->ops->get(u->peer)) >= 0)
		u->rx[u->rx_count++] = (u8)c;
}

static u8 pop(struct uart *u)
{
	u8 c = u->rx_count ? u->rx[0] : 0;

	if (u->rx_count)
		memmove(u->rx, u->rx + 1, --u->rx_count);
	if (!u->rx_count)
		fill(u);
	return c;
}

static void sent(struct uart *u)
{
	if (u->flush.deadline == VTIMER_OFF)
		dev_timer(&u->dev, &u->flush, dev_now(&u->dev) + FLUSH_NS);
}

/* Sends what waits. The transmitter is empty only when all of it is gone. */
static void drain(struct uart *u)
{
	u32 n = 0;

	while (n < u->tx_count && u->peer->ops->put(u->peer, u->tx[n]))
		n++;
	if (!n)
		return;
	sent(u);
	u->tx_count -= (u8)n;
	memmove(u->tx, u->tx + n, u->tx_count);
	if (!u->tx_count)
		u->thre_pending = 1;
}

/*
 * With FIFOs 1 to 16 characters make one interrupt, and not before a character's time has passed
 * (data sheet, "FIFO Interrupt Mode Operation"). The line rises at the next access that is no write
 * of a character, if that does not take what it would tell, or with the flush.
 */
static void transmit(struct uart *u, u8 c)
{
	u8 gone = 1;

	u->thre_pending = 0;
	if (u->mcr & MCR_LOOP) {
		receive(u, c);
	} else if (u->tx_count || !u->peer->ops->put(u->peer, c)) {
		gone = 0;
		if (u->tx_count < fifo_size(u))
			u->tx[u->tx_count++] = c;
	}
	sent(u);   /* the peer may also have to hear that it should make room */
	update(u); /* the line falls, so that the next empty transmitter is an edge */
	u->thre_pending = gone;
	if (!fifo_on(u))
		update(u);
}

/* Modem inputs: in loopback the outputs, else a peer that is always there and ready. */
static u8 modem_inputs(u8 mcr)
{
	if (!(mcr & MCR_LOOP))
		return MSR_DCD | MSR_DSR | MSR_CTS;
	return (mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
	       (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void set_mcr(struct uart *u, u8 v)
{
	u8 was = modem_inputs(u->mcr), is, changed;

	u->mcr = v & 0x1f;
	is = modem_inputs(u->mcr);
	changed = was ^ is;
	/* RI reports its falling edge only. */
	u->msr |= changed >> 4 & (MSR_DELTAS & ~MSR_TERI);
	if (changed & MSR_RI && !(is & MSR_RI))
		u->msr |= MSR_TERI;
	fill(u);
}

static void set_fcr(struct uart *u, u8 v)
{
	if ((v ^ u->fcr) & FCR_ENABLE)
		v |= FCR_CLEAR_RX | FCR_CLEAR_TX;
	if (v & FCR_CLEAR_RX)
		u->rx_count = 0;
	if (v & FCR_CLEAR_TX && u->tx_count) {
		u->tx_count = 0;
		u->thre_pending = 1;
	}
	u->fcr = v & FCR_ENABLE ? v & (FCR_ENABLE | FCR_TRIGGER) : 0;
	fill(u);
}

static void set_ier(struct uart *u, u8 v)
{
	/* Enabling the interrupt with an empty transmitter raises it (data sheet, "IER"). */
	if (v & IER_THRE && !(u->ier & IER_THRE) && !u->tx_count)
		u->thre_pending = 1;
	u->ier = v & 0x0f;
}

static u8 read_iir(struct uart *u)
{
	u8 v = iir(u);

	if (v == IIR_THRE)
		u->thre_pending = 0;
	return v | (fifo_on(u) ? IIR_FIFO : 0);
}

static u8 register_read(struct uart *u, u64 reg)
{
	u8 v;

	switch (reg) {
	case REG_DATA: return u->lcr & LCR_DLAB ? u->dll : pop(u);
	case REG_IER: return u->lcr & LCR_DLAB ? u->dlm : u->ier;
	case REG_IIR_FCR: return read_iir(u);
	case REG_LCR: return u->lcr;
	case REG_MCR: return u->mcr;
	case REG_LSR:
		v = u->lsr | (u->rx_count ? LSR_DR : 0) | (u->tx_count ? 0 : LSR_THRE | LSR_TEMT);
		u->lsr = 0;
		return v;
	case REG_MSR:
		v = u->msr | modem_inputs(u->mcr);
		u->msr = 0;
		return v;
	default: return u->scr;
	}
}

static u64 uart_read(struct device *d, u64 offset, u32 size)
{
	struct uart *u = container_of(d, struct uart, dev);
	u8 v = register_read(u, offset);

	update(u);
	return v;
}

static void uart_write(struct device *d, u64 offset, u32 size, u64 value)
{
	struct uart *u = container_of(d, struct uart, dev);
	u8 v = (u8)value;

	switch (offset) {
	case REG_DATA:
		if (!(u->lcr & LCR_DLAB)) {
			transmit(u, v);
			return; /* its interrupt may come later */
		}
		u->dll = v;
		break;
	case REG_IER:
		if (u->lcr & LCR_DLAB)
			u->dlm = v;
		else
			set_ier(u, v);
		break;
	case REG_IIR_FCR: set_fcr(u, v); break;
	case REG_LCR: u->lcr = v; break;
	case REG_MCR: set_mcr(u, v); break;
	case REG_SCR: u->scr = v; break;
	default: break; /* LSR and MSR are read-only */
	}
	update(u);
}

static void flush(struct device *d)
{
	struct uart *u = container_of(d, struct uart, dev);

	u->peer->ops->flush(u->peer);
	update(u);
}

void uart_poll(struct uart *u)
{
	rt_lock(&u->dev.lock);
	fill(u);
	drain(u);
	update(u);
	rt_unlock(&u->dev.lock);
}

static void uart_reset(struct device *d)
{
	struct uart *u = container_of(d, struct uart, dev);

	u->ier = u->fcr = u->lcr = u->mcr = u->scr = u->lsr = u->msr = 0;
	u->dll = 12; /* 9600 baud */
	u->dlm = 0;
	u->thre_pending = u->line_up = 0;
	u->rx_count = u->tx_count = 0;
	u->flush.dev = d;
	u->flush.fn = flush;
	dev_timer(d, &u->flush, VTIMER_OFF);
}

static void uart_restored(struct device *d)
{
	struct uart *u = container_of(d, struct uart, dev);

	u->rx_count = MIN(u->rx_count, fifo_size(u));
	u->tx_count = MIN(u->tx_count, fifo_size(u));
	sent(u);
}

static const struct state_field uart_fields[] = {
	STATE_FIELD(struct uart, ier, 1),      STATE_FIELD(struct uart, fcr, 1),
	STATE_FIELD(struct uart, lcr, 1),      STATE_FIELD(struct uart, mcr, 1),
	STATE_FIELD(struct uart, scr, 1),      STATE_FIELD(struct uart, dll, 1),
	STATE_FIELD(struct uart, dlm, 1),      STATE_FIELD(struct uart, lsr, 1),
	STATE_FIELD(struct uart, msr, 1),      STATE_FIELD(struct uart, thre_pending, 1),
	STATE_FIELD(struct uart, line_up, 1),  STATE_ARRAY(struct uart, rx, 1),
	STATE_FIELD(struct uart, rx_count, 1), STATE_ARRAY(struct uart, tx, 1),
	STATE_FIELD(struct uart, tx_count, 1),
};

static const struct dev_ops uart_ops = {
	.name = "uart",
	.version = 1,
	.max_size = 1,
	.read = uart_read,
	.write = uart_write,
	.reset = uart_reset,
	.restored = uart_restored,
	.fields = uart_fields,
	.field_count = ARRAY_SIZE(uart_fields),
};

void uart_init(struct uart *u, struct platform *plat, struct uart_peer *peer, u32 irq)
{
	u->peer = peer;
	u->irq = irq;
	device_init(&u->dev, &uart_ops, plat);
}
