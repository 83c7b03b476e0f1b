// SOURCES: vmm/pit.c vmm/state.c vmm/timer.c
/* The 8254's six modes as the guest sees them: counts, outputs, latches, gate 2, interrupts. */
#include "tests/host/vmm_fake.h"
#include "vmm/pit.h"

struct set {
	struct fake f;
	struct pit p;
};

#define TICK_NS(n) ((u64)(n)*1000000000ull / PIT_HZ + 1)

static void out(struct set *s, u32 port, u8 v) { fake_write(&s->p.dev, port, 1, v); }
static u8 in(struct set *s, u32 port) { return (u8)fake_read(&s->p.dev, port, 1); }

static void program(struct set *s, u32 channel, u8 mode, u16 count)
{
	out(s, PIT_CONTROL, (u8)(channel << 6 | 0x30 | mode << 1));
	out(s, channel, (u8)count);
	out(s, channel, (u8)(count >> 8));
}

static u16 count(struct set *s, u32 channel)
{
	u8 low;

	out(s, PIT_CONTROL, (u8)(channel << 6));
	low = in(s, channel);
	return (u16)(low | in(s, channel) << 8);
}

static u8 status(struct set *s, u32 channel)
{
	out(s, PIT_CONTROL, (u8)(0xe0 | 2 << channel));
	return in(s, channel);
}

/* To `tick` after the programming at the clock's 0. */
static void at_tick(struct set *s, u64 tick) { fake_pass(&s->f, TICK_NS(tick) - s->f.now); }

static void start(struct set *s)
{
	memset(s, 0, sizeof(*s));
	fake_init(&s->f);
	pit_init(&s->p, &s->f.plat);
}

static void counts_and_outputs_by_mode(void **state)
{
	static const struct {
		u8 mode;
		u16 reload;
		u32 tick;
		u16 count;
		bool out;
	} rows[] = {
		{0, 100, 0, 100, false},     {0, 100, 99, 1, false},
		{0, 100, 100, 0, true},	     {0, 100, 101, 0xffff, true},
		{2, 100, 0, 100, true},	     {2, 100, 98, 2, true},
		{2, 100, 99, 1, false},	     {2, 100, 100, 100, true},
		{2, 100, 250, 50, true},     {3, 100, 10, 80, true},
		{3, 100, 49, 2, true},	     {3, 100, 50, 100, false},
		{3, 100, 99, 2, false},	     {3, 100, 100, 100, true},
		{4, 100, 99, 1, true},	     {4, 100, 100, 0, false},
		{4, 100, 101, 0xffff, true}, {2, 0, 0x8000, 0x8000, true},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		struct set s;

		start(&s);
		program(&s, 0, rows[i].mode, rows[i].reload);
		at_tick(&s, rows[i].tick);
		if (count(&s, 0) != rows[i].count || status(&s, 0) >> 7 != rows[i].out)
			fail_msg("row %u: count %u, out %u", i, count(&s, 0), status(&s, 0) >> 7);
	}
}

static void interrupts_come_at_the_programmed_rate(void **state)
{
	struct set s;

	start(&s);
	program(&s, 0, 2, 11932); /* 100 Hz */
	s.f.edges[0] = 0;
	fake_pass(&s.f, NS_PER_S);
	assert_in_range(s.f.edges[0], 99, 100);
	program(&s, 0, 0, 1193); /* one shot of a millisecond */
	s.f.edges[0] = 0;
	fake_pass(&s.f, 999000);
	assert_int_equal(s.f.edges[0], 0);
	fake_pass(&s.f, 2000);
	assert_int_equal(s.f.edges[0], 1);
	fake_pass(&s.f, NS_PER_S);
	assert_int_equal(s.f.edges[0], 1);
	program(&s, 0, 4, 1193);
	s.f.edges[0] = 0;
	fake_pass(&s.f, NS_PER_S);
	assert_int_equal(s.f.edges[0], 1);
}

static void absurd_rates_coalesce(void **state)
{
	struct set s;

	start(&s);
	program(&s, 0, 2, 1);
	s.f.edges[0] = 0;
	fake_pass(&s.f, NS_PER_S);
	assert_in_range(s.f.edges[0], 1000, 20001);
}

static void latch_holds_until_read(void **state)
{
	struct set s;
	u8 low;

	start(&s);
	program(&s, 0, 2, 1000);
	at_tick(&s, 10);
	out(&s, PIT_CONTROL, 0);
	at_tick(&s, 500);
	out(&s, PIT_CONTROL, 0); /* ignored: the first is not read */
	low = in(&s, 0);
	assert_int_equal(low | in(&s, 0) << 8, 990);
	assert_int_equal(count(&s, 0), 500);
	/* Without a latch, low and high byte alternate. */
	assert_int_equal(in(&s, 0), 500 & 0xff);
	assert_int_equal(in(&s, 0), 500 >> 8);
}

static void read_back_gives_status_then_count(void **state)
{
	struct set s;

	start(&s);
	out(&s, PIT_CONTROL, 0x34);
	assert_int_equal(status(&s, 0), 0x80 | 0x40 | 0x34); /* no count loaded */
	program(&s, 0, 2, 1000);
	out(&s, PIT_CONTROL, 0xc2);
	assert_int_equal(in(&s, 0), 0x80 | 0x34);
	assert_int_equal(in(&s, 0), 1000 & 0xff);
	assert_int_equal(in(&s, 0), 1000 >> 8);
}

static void byte_access_and_bcd(void **state)
{
	struct set s;

	start(&s);
	out(&s, PIT_CONTROL, 0x10 | 2 << 1); /* low byte only */
	out(&s, 0, 200);
	at_tick(&s, 50);
	assert_int_equal(in(&s, 0), 150);
	out(&s, PIT_CONTROL, 0x20 | 2 << 1); /* high byte only */
	out(&s, 0, 2);
	assert_int_equal(in(&s, 0), 2);
	start(&s);
	out(&s, PIT_CONTROL, 0x35); /* BCD, mode 2 */
	out(&s, 0, 0x00);
	out(&s, 0, 0x10);
	at_tick(&s, 1);
	assert_int_equal(count(&s, 0), 0x0999);
}

static void gate_2_starts_and_stops(void **state)
{
	struct set s;

	start(&s);
	program(&s, 2, 0, 1000);
	at_tick(&s, 500);
	assert_int_equal(count(&s, 2), 1000); /* the gate is low */
	out(&s, PIT_PORT61, 1);
	fake_pass(&s.f, TICK_NS(400));
	assert_int_equal(count(&s, 2), 600);
	assert_int_equal(in(&s, PIT_PORT61) & 0x21, 0x01);
	out(&s, PIT_PORT61, 0);
	fake_pass(&s.f, TICK_NS(4000));
	assert_int_equal(count(&s, 2), 600);
	out(&s, PIT_PORT61, 1);
	fake_pass(&s.f, TICK_NS(600));
	assert_int_equal(in(&s, PIT_PORT61) & 0x21, 0x21);
}

static void gate_2_triggers_a_one_shot(void **state)
{
	struct set s;

	start(&s);
	program(&s, 2, 1, 1000);
	fake_pass(&s.f, TICK_NS(5000));
	assert_int_equal(in(&s, PIT_PORT61) & 0x20, 0x20); /* not triggered: high */
	out(&s, PIT_PORT61, 1);
	assert_int_equal(in(&s, PIT_PORT61) & 0x20, 0);
	out(&s, PIT_PORT61, 0); /* goes on without the gate */
	fake_pass(&s.f, TICK_NS(1000));
	assert_int_equal(in(&s, PIT_PORT61) & 0x20, 0x20);
}

static void refresh_toggles(void **state)
{
	struct set s;
	u32 changes = 0;
	u8 last;

	start(&s);
	last = in(&s, PIT_PORT61) & 0x10;
	for (u32 i = 0; i < 1000; i++) {
		fake_pass(&s.f, 1000);
		changes += (in(&s, PIT_PORT61) & 0x10) != last;
		last = in(&s, PIT_PORT61) & 0x10;
	}
	assert_in_range(changes, 65, 67); /* a millisecond */
}

static void state_moves(void **state)
{
	struct set s, t;

	start(&s);
	start(&t);
	program(&s, 0, 2, 11932);
	program(&s, 2, 0, 5000);
	out(&s, PIT_PORT61, 1);
	fake_pass(&s.f, 1000000);
	out(&s, PIT_CONTROL, 0x80);
	in(&s, 2);
	t.f.now = s.f.now;
	fake_check_state(&s.p.dev, &t.p.dev);
	assert_int_equal(in(&s, 2), in(&t, 2));
	assert_int_equal(count(&s, 0), count(&t, 0));
	s.f.edges[0] = t.f.edges[0] = 0;
	fake_pass(&s.f, NS_PER_S);
	fake_pass(&t.f, NS_PER_S);
	assert_int_equal(s.f.edges[0], t.f.edges[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_and_outputs_by_mode),
		cmocka_unit_test(interrupts_come_at_the_programmed_rate),
		cmocka_unit_test(absurd_rates_coalesce),
		cmocka_unit_test(latch_holds_until_read),
		cmocka_unit_test(read_back_gives_status_then_count),
		cmocka_unit_test(byte_access_and_bcd),
		cmocka_unit_test(gate_2_starts_and_stops),
		cmocka_unit_test(gate_2_triggers_a_one_shot),
		cmocka_unit_test(refresh_toggles),
		cmocka_unit_test(state_moves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
