// SOURCES: services/init/wall_clock.c
/* The CMOS clock: encodings, values that are no time, and a reading that an update spoils. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "services/init/wall_clock.h"
#include "user/rt.h"
#include "user/sys.h"

static struct {
	u8 reg[12];
	u32 reads, updating_until, changes_at; /* in reads of a register */
	bool absent;
} cmos;
static u64 up_ns;

u64 rt_clock_ns(void) { return up_ns; }

s64 sys_call6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	assert_int_equal(nr, SYS_CTL);
	assert_int_equal(b, SYSOP_CMOS_READ);
	assert_in_range(d, 0, 11);
	if (cmos.absent)
		return -E_RIGHTS;
	cmos.reg[10] = cmos.reads++ < cmos.updating_until ? 0x80 : 0;
	if (cmos.reads == cmos.changes_at)
		cmos.reg[0]++;
	return cmos.reg[d];
}

static void cmos_registers(void **state)
{
	static const struct {
		u8 reg[10];
		u8 b;
		u64 unix_s;
	} cases[] = {
		/* BCD, 24 hours */
		{{0x56, 0, 0x34, 0, 0x12, 0, 0, 0x29, 0x02, 0x24}, 2, 1709210096},
		{{56, 0, 34, 0, 12, 0, 0, 29, 2, 24}, 6, 1709210096},		   /* binary */
		{{0x56, 0, 0x34, 0, 0x92, 0, 0, 0x29, 0x02, 0x24}, 0, 1709210096}, /* 12 p.m. */
		{{0x56, 0, 0x34, 0, 0x12, 0, 0, 0x29, 0x02, 0x24}, 0, 1709166896}, /* 12 a.m. */
		{{0, 0, 0, 0, 0, 0, 0, 1, 1, 70}, 6, 0},
	};
	static const u8 bad[][10] = {
		{60, 0, 0, 0, 0, 0, 0, 1, 1, 1},
		{0, 0, 60, 0, 0, 0, 0, 1, 1, 1},
		{0, 0, 0, 0, 24, 0, 0, 1, 1, 1},
		{0, 0, 0, 0, 0, 0, 0, 0, 1, 1},
		{0, 0, 0, 0, 0, 0, 0, 1, 0, 1},
		{0, 0, 0, 0, 0, 0, 0, 1, 13, 1},
		{255, 255, 255, 255, 255, 255, 255, 255, 255, 255},
	};
	struct wall_time t;

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(wall_clock_decode(cases[i].reg, cases[i].b, &t));
		assert_int_equal(wall_clock_unix(&t), cases[i].unix_s);
	}
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(wall_clock_decode(bad[i], 6, &t));
}

static void start(u64 ns)
{
	static const u8 now[12] = {56, 0, 34, 0, 12, 0, 0, 29, 2, 24, 0, 6};

	memset(&cmos, 0, sizeof(cmos));
	memcpy(cmos.reg, now, sizeof(now));
	up_ns = ns;
}

static void the_time_since_the_start_is_taken_off(void **state)
{
	start(5999999999);
	assert_int_equal(wall_clock_at_boot(7), 1709210096 - 5);
}

static void an_update_is_waited_for(void **state)
{
	start(0);
	cmos.updating_until = 1000;
	assert_int_equal(wall_clock_at_boot(7), 1709210096);
	assert_true(cmos.reads > 1000);
}

static void a_time_that_changes_meanwhile_is_read_again(void **state)
{
	start(0);
	cmos.changes_at = 13; /* after the first reading of the first pair */
	assert_int_equal(wall_clock_at_boot(7), 1709210097);
}

static void a_machine_without_clock_has_no_time(void **state)
{
	start(0);
	cmos.absent = true;
	assert_int_equal(wall_clock_at_boot(7), 0);
	start(0);
	memset(cmos.reg, 0xff, sizeof(cmos.reg));
	assert_int_equal(wall_clock_at_boot(7), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cmos_registers),
		cmocka_unit_test(the_time_since_the_start_is_taken_off),
		cmocka_unit_test(an_update_is_waited_for),
		cmocka_unit_test(a_time_that_changes_meanwhile_is_read_again),
		cmocka_unit_test(a_machine_without_clock_has_no_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
