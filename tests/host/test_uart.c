// SOURCES: vmm/uart.c vmm/state.c vmm/timer.c
/* The 16550A: FIFOs, interrupt identification, loopback, and a peer without room. */
#include "tests/host/vmm_fake.h"
#include "vmm/uart.h"

struct peer {
	struct uart_peer peer;
	char out[256];
	u32 outs, room, flushes;
	const char *in;
};

struct set {
	struct fake f;
	struct peer p;
	struct uart u;
};

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR, IRQ = 4 };

static bool peer_put(struct uart_peer *peer, u8 c)
{
	struct peer *p = container_of(peer, struct peer, peer);

	if (!p->room)
		return false;
	p->room--;
	p->out[p->outs++] = (char)c;
	return true;
}

static s32 peer_get(struct uart_peer *peer)
{
	struct peer *p = container_of(peer, struct peer, peer);

	return p->in && *p->in ? (u8)*p->in++ : -1;
}

static void peer_flush(struct uart_peer *peer) { container_of(peer, struct peer, peer)->flushes++; }

static const struct uart_peer_ops peer_ops = {
	.put = peer_put, .get = peer_get, .flush = peer_flush};

static void out(struct set *s, u32 reg, u8 v) { fake_write(&s->u.dev, reg, 1, v); }
static u8 in(struct set *s, u32 reg) { return (u8)fake_read(&s->u.dev, reg, 1); }

static void start(struct set *s)
{
	memset(s, 0, sizeof(*s));
	fake_init(&s->f);
	s->p.peer.ops = &peer_ops;
	s->p.room = 200;
	uart_init(&s->u, &s->f.plat, &s->p.peer, IRQ);
}

static void type(struct set *s, const char *text)
{
	s->p.in = text;
	uart_poll(&s->u);
}

static void registers_after_reset(void **state)
{
	struct set s;

	start(&s);
	assert_int_equal(in(&s, IER), 0);
	assert_int_equal(in(&s, IIR), 0x01);
	assert_int_equal(in(&s, LSR), 0x60);
	assert_int_equal(in(&s, MSR), 0xb0);
	out(&s, SCR, 0x5a);
	assert_int_equal(in(&s, SCR), 0x5a);
	out(&s, LCR, 0x83);
	out(&s, DATA, 1);
	out(&s, IER, 0x12);
	assert_int_equal(in(&s, DATA), 1);
	assert_int_equal(in(&s, IER), 0x12);
	out(&s, LCR, 0x03);
	assert_int_equal(in(&s, IER), 0);
	out(&s, FCR, 0x01);
	assert_int_equal(in(&s, IIR), 0xc1);
	assert_int_equal(s.p.outs, 0);
}

static void output_is_gathered_into_one_flush(void **state)
{
	struct set s;

	start(&s);
	for (const char *t = "hello"; *t; t++)
		out(&s, DATA, (u8)*t);
	assert_int_equal(s.p.outs, 5);
	assert_memory_equal(s.p.out, "hello", 5);
	assert_int_equal(s.p.flushes, 0);
	fake_pass(&s.f, 10000000);
	assert_int_equal(s.p.flushes, 1);
	out(&s, DATA, '!');
	fake_pass(&s.f, 10000000);
	assert_int_equal(s.p.flushes, 2);
}

static void empty_transmitter_interrupts(void **state)
{
	struct set s;

	start(&s);
	out(&s, IER, 0x02);
	assert_true(s.f.level[IRQ]);
	assert_int_equal(in(&s, IIR), 0x02);
	assert_false(s.f.level[IRQ]); /* reading it takes it away */
	assert_int_equal(in(&s, IIR), 0x01);
	out(&s, DATA, 'a');
	assert_int_equal(s.f.edges[IRQ], 2);
	out(&s, DATA, 'b'); /* each write is an edge of its own */
	assert_int_equal(s.f.edges[IRQ], 3);
	out(&s, IER, 0);
	assert_false(s.f.level[IRQ]);
}

/*
 * With FIFOs what is written at once makes one interrupt, when it is gone; who looks earlier has
 * been told. (Without, the first character leaves the holding register at once.)
 */
static void a_burst_interrupts_once(void **state)
{
	struct set s;

	start(&s);
	out(&s, FCR, 0x01);
	out(&s, IER, 0x02);
	assert_int_equal(in(&s, IIR), 0xc2);
	for (u32 i = 0; i < 16; i++) /* as in a handler */
		out(&s, DATA, (u8)('a' + i));
	assert_int_equal(s.p.outs, 16);
	assert_int_equal(s.f.edges[IRQ], 1);
	assert_int_equal(in(&s, IIR), 0xc2); /* the handler's loop goes on */
	out(&s, DATA, 'q');
	assert_int_equal(in(&s, IIR), 0xc2);
	assert_int_equal(in(&s, IIR), 0xc1);
	fake_pass(&s.f, 10000000);
	assert_int_equal(s.f.edges[IRQ], 1); /* nothing is left to tell */
	for (u32 i = 0; i < 16; i++)
		out(&s, DATA, (u8)('a' + i));
	assert_int_equal(s.f.edges[IRQ], 1);
	fake_pass(&s.f, 2000000);
	assert_int_equal(s.f.edges[IRQ], 2); /* nobody looked */
	out(&s, DATA, 'r');
	assert_false(s.f.level[IRQ]); /* a write takes it away */
	fake_pass(&s.f, 2000000);
	assert_int_equal(s.f.edges[IRQ], 3);
	out(&s, MCR, 0x10);
	out(&s, DATA, 's');
	assert_false(s.f.level[IRQ]);
	fake_pass(&s.f, 2000000);
	assert_int_equal(s.f.edges[IRQ], 4); /* in loopback too */
}

static void input_interrupts_and_refills(void **state)
{
	struct set s;
	char got[40] = "";

	start(&s);
	out(&s, FCR, 0x81); /* trigger at 8 */
	out(&s, IER, 0x01);
	type(&s, "abc");
	assert_true(s.f.level[IRQ]);
	assert_int_equal(in(&s, IIR), 0xcc); /* timeout: below the trigger */
	assert_int_equal(in(&s, DATA), 'a');
	assert_int_equal(in(&s, DATA), 'b');
	assert_int_equal(in(&s, LSR) & 1, 1);
	assert_int_equal(in(&s, DATA), 'c');
	assert_int_equal(in(&s, LSR) & 1, 0);
	assert_false(s.f.level[IRQ]);
	type(&s, "0123456789abcdefghijklmnopqrstuv");
	assert_int_equal(in(&s, IIR), 0xc4);
	for (u32 i = 0; in(&s, LSR) & 1; i++)
		got[i] = (char)in(&s, DATA);
	assert_string_equal(got, "0123456789abcdefghijklmnopqrstuv");
	assert_int_equal(in(&s, DATA), 0);
}

static void without_fifo_one_character(void **state)
{
	struct set s;

	start(&s);
	out(&s, IER, 0x01);
	type(&s, "xyz");
	assert_int_equal(s.u.rx_count, 1);
	assert_int_equal(in(&s, IIR), 0x04);
	assert_int_equal(in(&s, DATA), 'x');
	assert_int_equal(in(&s, DATA), 'y');
	out(&s, FCR, 0x01); /* switching the FIFO on clears it */
	assert_int_equal(in(&s, LSR) & 1, 0);
}

static void loopback(void **state)
{
	static const struct {
		u8 mcr, msr;
	} rows[] = {{0x10, 0x00}, {0x11, 0x20}, {0x12, 0x10},
		    {0x14, 0x40}, {0x18, 0x80}, {0x1f, 0xf0}};
	struct set s;

	start(&s);
	out(&s, FCR, 0x01);
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		out(&s, MCR, rows[i].mcr);
		assert_int_equal(in(&s, MSR) & 0xf0, rows[i].msr);
	}
	out(&s, MCR, 0x1f);
	out(&s, IER, 0x08);
	in(&s, MSR);
	out(&s, MCR, 0x1a); /* DTR and OUT1 fall: delta DSR, trailing edge of RI */
	assert_int_equal(in(&s, IIR), 0xc0);
	assert_int_equal(in(&s, MSR), 0x96);
	assert_false(s.f.level[IRQ]);
	type(&s, "no");
	for (u32 i = 0; i < 17; i++)
		out(&s, DATA, (u8)('a' + i));
	assert_int_equal(s.p.outs, 0);
	assert_int_equal(in(&s, LSR), 0x63); /* the 17th did not fit */
	assert_int_equal(in(&s, LSR), 0x61);
	for (u32 i = 0; i < 16; i++)
		assert_int_equal(in(&s, DATA), 'a' + i);
	out(&s, MCR, 0);
	assert_int_equal(in(&s, DATA), 'n');
}

static void overrun_interrupts_first(void **state)
{
	struct set s;

	start(&s);
	out(&s, MCR, 0x10);
	out(&s, IER, 0x05);
	out(&s, DATA, 1);
	out(&s, DATA, 2);
	assert_int_equal(in(&s, IIR), 0x06);
	in(&s, LSR);
	assert_int_equal(in(&s, IIR), 0x04);
}

static void transmitter_waits_for_room(void **state)
{
	struct set s;

	start(&s);
	s.p.room = 3;
	out(&s, FCR, 0x01);
	out(&s, IER, 0x02);
	in(&s, IIR);
	for (u32 i = 0; i < 3; i++)
		out(&s, DATA, (u8)('a' + i));
	assert_int_equal(in(&s, LSR) & 0x60, 0x60);
	in(&s, IIR);
	out(&s, DATA, 'd');
	out(&s, DATA, 'e');
	assert_int_equal(in(&s, LSR) & 0x60, 0);
	assert_false(s.f.level[IRQ]);
	uart_poll(&s.u);
	assert_int_equal(in(&s, LSR) & 0x60, 0);
	s.p.room = 1;
	uart_poll(&s.u);
	assert_int_equal(in(&s, LSR) & 0x60, 0);
	s.p.room = 10;
	uart_poll(&s.u);
	assert_int_equal(in(&s, LSR) & 0x60, 0x60);
	assert_true(s.f.level[IRQ]);
	assert_memory_equal(s.p.out, "abcde", 5);
}

static void a_state_with_more_than_the_fifos_hold_is_cut(void **state)
{
	struct set s;

	start(&s);
	s.u.rx_count = 255;
	s.u.tx_count = 200;
	s.u.fcr = 1;
	s.u.dev.ops->restored(&s.u.dev);
	assert_int_equal(s.u.rx_count, UART_FIFO);
	assert_int_equal(s.u.tx_count, UART_FIFO);
	s.u.fcr = 0;
	s.u.dev.ops->restored(&s.u.dev);
	assert_int_equal(s.u.rx_count, 1);
	assert_int_equal(s.u.tx_count, 1);
	type(&s, "more than fits");
	assert_int_equal(s.u.rx_count, 1);
}

static void state_moves(void **state)
{
	struct set s, t;

	start(&s);
	start(&t);
	out(&s, FCR, 0x41);
	out(&s, IER, 0x07);
	type(&s, "hello");
	s.p.room = 0;
	out(&s, DATA, 'x');
	out(&s, SCR, 0x11);
	fake_check_state(&s.u.dev, &t.u.dev);
	assert_int_equal(in(&t, DATA), 'h');
	uart_poll(&t.u);
	assert_int_equal(t.p.out[0], 'x');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_after_reset),
		cmocka_unit_test(output_is_gathered_into_one_flush),
		cmocka_unit_test(empty_transmitter_interrupts),
		cmocka_unit_test(a_burst_interrupts_once),
		cmocka_unit_test(input_interrupts_and_refills),
		cmocka_unit_test(without_fifo_one_character),
		cmocka_unit_test(loopback),
		cmocka_unit_test(overrun_interrupts_first),
		cmocka_unit_test(transmitter_waits_for_room),
		cmocka_unit_test(a_state_with_more_than_the_fifos_hold_is_cut),
		cmocka_unit_test(state_moves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
