// SOURCES: vmm/rtc.c vmm/state.c vmm/timer.c
/*
 * The MC146818: calendar, encodings, setting, update, alarm and periodic interrupts, memory sizes.
 */
#include "tests/host/vmm_fake.h"
#include "vmm/rtc.h"

struct set {
	struct fake f;
	struct rtc r;
};

#define NS_PER_MS 1000000ull

enum { A = 10, B = 11, C = 12, D = 13 };

static u8 get(struct set *s, u8 reg)
{
	fake_write(&s->r.dev, 0, 1, reg);
	return (u8)fake_read(&s->r.dev, 1, 1);
}

static void put(struct set *s, u8 reg, u8 v)
{
	fake_write(&s->r.dev, 0, 1, reg);
	fake_write(&s->r.dev, 1, 1, v);
}

static void start(struct set *s, u64 unix_seconds)
{
	memset(s, 0, sizeof(*s));
	fake_init(&s->f);
	rtc_init(&s->r, &s->f.plat, unix_seconds, GiB(3), GiB(5));
}

static void dates_of_unix_times(void **state)
{
	static const struct {
		u64 t;
		u8 century, year, month, day, weekday, hour, minute, second;
	} rows[] = {
		{0, 0x19, 0x70, 1, 1, 5, 0, 0, 0},
		{951782399, 0x20, 0x00, 2, 0x28, 2, 0x23, 0x59, 0x59},
		{951782400, 0x20, 0x00, 2, 0x29, 3, 0, 0, 0},
		{1709251199, 0x20, 0x24, 2, 0x29, 5, 0x23, 0x59, 0x59},
		{4107542400, 0x21, 0x00, 3, 1, 2, 0, 0, 0}, /* 2100 has no leap day */
		{1735689599, 0x20, 0x24, 0x12, 0x31, 3, 0x23, 0x59, 0x59},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		struct set s;

		start(&s, rows[i].t);
		assert_int_equal(get(&s, 0x32), rows[i].century);
		assert_int_equal(get(&s, 9), rows[i].year);
		assert_int_equal(get(&s, 8), rows[i].month);
		assert_int_equal(get(&s, 7), rows[i].day);
		assert_int_equal(get(&s, 6), rows[i].weekday);
		assert_int_equal(get(&s, 4), rows[i].hour);
		assert_int_equal(get(&s, 2), rows[i].minute);
		assert_int_equal(get(&s, 0), rows[i].second);
	}
}

static void encodings(void **state)
{
	struct set s;

	start(&s, 13 * 3600 + 45 * 60 + 59);
	assert_int_equal(get(&s, 4), 0x13);
	put(&s, B, 0x06); /* binary, 24 hours */
	assert_int_equal(get(&s, 4), 13);
	assert_int_equal(get(&s, 0), 59);
	put(&s, B, 0x00); /* BCD, 12 hours */
	assert_int_equal(get(&s, 4), 0x81);
	start(&s, 0);
	put(&s, B, 0x04);
	assert_int_equal(get(&s, 4), 12); /* midnight */
	assert_int_equal(get(&s, D), 0x80);
}

static void time_goes_on_and_can_be_set(void **state)
{
	struct set s;

	start(&s, 0);
	fake_pass(&s.f, 61 * NS_PER_S);
	assert_int_equal(get(&s, 2), 1);
	assert_int_equal(get(&s, 0), 1);
	put(&s, B, 0x82);
	put(&s, 0x32, 0x20);
	put(&s, 9, 0x26);
	put(&s, 8, 0x02);
	put(&s, 7, 0x28);
	put(&s, 4, 0x23);
	put(&s, 2, 0x59);
	put(&s, 0, 0x58);
	fake_pass(&s.f, 10 * NS_PER_S);
	assert_int_equal(get(&s, 0), 0x58); /* held */
	put(&s, B, 0x02);
	fake_pass(&s.f, 2 * NS_PER_S);
	assert_int_equal(get(&s, 8), 0x03);
	assert_int_equal(get(&s, 7), 0x01);
	assert_int_equal(get(&s, 0), 0x00);
	put(&s, 2, 0x30); /* without SET, one register */
	assert_int_equal(get(&s, 2), 0x30);
}

static void update_in_progress_before_the_second_ends(void **state)
{
	struct set s;

	start(&s, 0);
	assert_int_equal(get(&s, A), 0x26);
	fake_pass(&s.f, 999000000);
	assert_int_equal(get(&s, A), 0xa6);
	fake_pass(&s.f, 1000000);
	assert_int_equal(get(&s, A), 0x26);
}

static void update_interrupt(void **state)
{
	struct set s;

	start(&s, 0);
	fake_pass(&s.f, NS_PER_S / 2);
	put(&s, B, 0x12);
	assert_int_equal(s.f.edges[8], 0);
	fake_pass(&s.f, NS_PER_S);
	assert_int_equal(s.f.edges[8], 1);
	fake_pass(&s.f, NS_PER_S);
	assert_int_equal(s.f.edges[8], 1); /* until C is read */
	assert_int_equal(get(&s, C) & 0x90, 0x90);
	assert_false(s.f.level[8]);
	assert_int_equal(get(&s, C), 0);
	fake_pass(&s.f, NS_PER_S);
	assert_int_equal(s.f.edges[8], 2);
}

static void alarm_interrupt(void **state)
{
	struct set s;

	start(&s, 0);
	put(&s, 1, 0x05);
	put(&s, 3, 0x01);
	put(&s, 5, 0xff); /* any hour */
	put(&s, B, 0x22);
	fake_pass(&s.f, 64 * NS_PER_S);
	assert_int_equal(s.f.edges[8], 0);
	fake_pass(&s.f, NS_PER_S);
	assert_int_equal(s.f.edges[8], 1);
	assert_int_equal(get(&s, C) & 0xa0, 0xa0);
	fake_pass(&s.f, 3599 * NS_PER_S);
	assert_int_equal(s.f.edges[8], 1);
	fake_pass(&s.f, NS_PER_S);
	assert_int_equal(s.f.edges[8], 2);
}

static void periodic_interrupt(void **state)
{
	struct set s;
	u32 n = 0;

	start(&s, 0);
	put(&s, A, 0x26); /* 1024 Hz */
	put(&s, B, 0x42);
	for (u32 i = 0; i < 10000; i++) {
		fake_pass(&s.f, 100000);
		n += !!(get(&s, C) & 0x40);
	}
	assert_in_range(n, 1022, 1025);
	put(&s, B, 0x02);
	s.f.edges[8] = 0;
	fake_pass(&s.f, NS_PER_S);
	assert_int_equal(s.f.edges[8], 0);
}

static void memory_sizes_and_memory(void **state)
{
	struct set s;

	start(&s, 0);
	assert_int_equal(get(&s, 0x15) | get(&s, 0x16) << 8, 640);
	assert_int_equal(get(&s, 0x17) | get(&s, 0x18) << 8, 0xffff);
	assert_int_equal(get(&s, 0x30) | get(&s, 0x31) << 8, 0xffff);
	assert_int_equal(get(&s, 0x34) | get(&s, 0x35) << 8, (GiB(3) - MiB(16)) >> 16);
	assert_int_equal(get(&s, 0x5b) | get(&s, 0x5c) << 8 | get(&s, 0x5d) << 16, GiB(5) >> 16);
	put(&s, 0x60, 0x5a);
	assert_int_equal(get(&s, 0xe0), 0x5a); /* bit 7 of the index is the NMI mask */
	put(&s, C, 0xff);
	put(&s, D, 0);
	assert_int_equal(get(&s, D), 0x80);
	assert_int_equal(fake_read(&s.r.dev, 0, 1), 0xff);
}

static void hostile_settings_do_no_harm(void **state)
{
	struct set s;

	start(&s, 0);
	for (u32 b = 0; b < 256; b++)
		for (u32 reg = 0; reg < 14; reg++) {
			put(&s, (u8)reg, (u8)(b * 37 + reg * 11));
			put(&s, 0x32, (u8)b);
			fake_pass(&s.f, 1500000000);
			for (u32 i = 0; i < 14; i++)
				get(&s, (u8)i);
		}
}

/* The fake's clock stands; a pause of the host's is what rtc_stood says. */
static void a_pause_moves_the_time_of_day_alone(void **state)
{
	struct set s;

	start(&s, 0);
	put(&s, A, 0x2f); /* 500 ms */
	put(&s, B, 0x42);
	fake_pass(&s.f, 1300 * NS_PER_MS);
	assert_int_equal(s.f.edges[8], 1);
	get(&s, C);
	rtc_stood(&s.r, 600 * NS_PER_MS);
	assert_int_equal(get(&s, 0), 0x01);
	rtc_stood(&s.r, 600 * NS_PER_MS); /* parts of seconds add up */
	assert_int_equal(get(&s, 0), 0x02);
	rtc_stood(&s.r, 3600 * NS_PER_S);
	assert_int_equal(get(&s, 4), 0x01);
	assert_int_equal(get(&s, C) & 0x40, 0); /* no period has passed */
	fake_pass(&s.f, 199 * NS_PER_MS);
	assert_false(s.f.level[8]);
	fake_pass(&s.f, 2 * NS_PER_MS);
	assert_true(s.f.level[8]);
}

static void an_alarm_that_a_pause_has_passed_comes_behind_it(void **state)
{
	struct set s;

	start(&s, 0);
	put(&s, 1, 0x30);
	put(&s, 3, 0x10);
	put(&s, 5, 0xff); /* each hour at 10:30 */
	put(&s, B, 0x22);
	rtc_stood(&s.r, 629 * NS_PER_S);
	assert_false(s.f.level[8]);
	rtc_stood(&s.r, 5 * NS_PER_S);
	assert_true(s.f.level[8]);
	assert_int_equal(get(&s, C), 0xa0);
	fake_pass(&s.f, 100 * NS_PER_S);
	assert_false(s.f.level[8]);
	rtc_stood(&s.r, 1000000 * NS_PER_S);
	assert_true(s.f.level[8]);
}

static void state_moves(void **state)
{
	struct set s, t;

	start(&s, 1234567890);
	start(&t, 0);
	fake_pass(&s.f, 1500000000);
	put(&s, B, 0x52);
	put(&s, 0x70, 0x77);
	put(&s, 9, 0x31);
	t.f.now = s.f.now;
	fake_check_state(&s.r.dev, &t.r.dev);
	assert_int_equal(get(&t, 9), 0x31);
	fake_pass(&t.f, NS_PER_S);
	assert_true(t.f.level[8]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_of_unix_times),
		cmocka_unit_test(encodings),
		cmocka_unit_test(time_goes_on_and_can_be_set),
		cmocka_unit_test(update_in_progress_before_the_second_ends),
		cmocka_unit_test(update_interrupt),
		cmocka_unit_test(alarm_interrupt),
		cmocka_unit_test(periodic_interrupt),
		cmocka_unit_test(memory_sizes_and_memory),
		cmocka_unit_test(hostile_settings_do_no_harm),
		cmocka_unit_test(a_pause_moves_the_time_of_day_alone),
		cmocka_unit_test(an_alarm_that_a_pause_has_passed_comes_behind_it),
		cmocka_unit_test(state_moves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
