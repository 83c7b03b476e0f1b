// SOURCES: services/init/power.c
/*
 * ACPI power-off by init: what is written in which order, on machines with these registers or
 * those.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "services/init/power.h"
#include "user/sys.h"

#define ABSENT -1

static struct {
	s64 reg[POWER_REGS]; /* its value, or ABSENT */
	bool deaf;	     /* the firmware never hands over PM1 */
} machine;
static char trace[512];
static u64 now;

u64 rt_clock_ns(void) { return now; }

static s64 power(struct sys_power *p)
{
	static const char *const name[POWER_REGS] = {"a", "b", "sleep", "enable"};

	assert_in_range(p->reg, 0, POWER_REGS - 1);
	if (machine.reg[p->reg] == ABSENT)
		return -E_NODEV;
	if (!p->write) {
		p->value = (u32)machine.reg[p->reg];
		return 0;
	}
	sprintf(trace + strlen(trace), "%s=%04x ", name[p->reg], p->value);
	machine.reg[p->reg] = p->value;
	if (p->reg == POWER_ACPI_ENABLE && !machine.deaf)
		machine.reg[POWER_PM1A] |= 1;
	return 0;
}

s64 sys_call6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	if (nr == SYS_EVENT_WAIT) {
		assert_true(b >= now && b <= now + 1000000000);
		now = b;
		return -E_TIMEOUT;
	}
	assert_int_equal(nr, SYS_CTL);
	assert_int_equal(b, SYSOP_POWER);
	assert_int_equal(d, sizeof(struct sys_power));
	return power((struct sys_power *)c);
}

static void registers(s64 a, s64 b, s64 sleep, s64 enable)
{
	const s64 reg[] = {a, b, sleep, enable};

	memcpy(machine.reg, reg, sizeof(reg));
	machine.deaf = false;
	trace[0] = 0;
	now = 5;
}

static void both_pm1_registers_get_their_sleep_type_and_then_the_enable_bit(void **state)
{
	registers(0x1c01, 0x0002, ABSENT, ABSENT);
	assert_int_equal(power_off(1, 2, 5, 6), -E_STATE);
	assert_string_equal(trace, "a=1401 b=1802 a=3401 b=3802 ");
	assert_int_equal(now, 1000000005); /* it had a second to go off */
}

static void a_machine_without_pm1b_has_one_register_written(void **state)
{
	registers(1, ABSENT, ABSENT, ABSENT);
	assert_int_equal(power_off(1, 2, 0, 7), -E_STATE);
	assert_string_equal(trace, "a=0001 a=2001 ");
}

static void acpi_mode_is_switched_on_first_where_firmware_holds_it(void **state)
{
	registers(0, ABSENT, ABSENT, 0);
	power_off(1, 2, 1, 1);
	assert_string_equal(trace, "enable=0000 a=0401 a=2401 ");
	registers(1, ABSENT, ABSENT, 0); /* it is on already */
	power_off(1, 2, 1, 1);
	assert_string_equal(trace, "a=0401 a=2401 ");
}

static void firmware_that_never_hands_over_is_waited_for_a_second(void **state)
{
	registers(0, ABSENT, ABSENT, 0);
	machine.deaf = true;
	assert_int_equal(power_off(1, 2, 5, 5), -E_STATE);
	assert_string_equal(trace, "enable=0000 a=1400 a=3400 ");
	assert_int_equal(now, 2000000005);
}

static void hardware_reduced_machines_have_one_sleep_register(void **state)
{
	registers(ABSENT, ABSENT, 0, ABSENT);
	assert_int_equal(power_off(1, 2, 5, 3), -E_STATE);
	assert_string_equal(trace, "sleep=0034 ");
}

static void without_registers_it_fails_at_once(void **state)
{
	registers(ABSENT, ABSENT, ABSENT, ABSENT);
	assert_int_equal(power_off(1, 2, 5, 5), -E_NODEV);
	registers(ABSENT, 0, ABSENT, ABSENT); /* PM1b alone switches nothing off */
	assert_int_equal(power_off(1, 2, 5, 5), -E_NODEV);
	assert_int_equal(now, 5);
}

static void no_value_reaches_beyond_the_sleep_type(void **state)
{
	registers(0xe3ff, ABSENT, ABSENT, ABSENT);
	power_off(1, 2, 0xff, 0xff);
	assert_string_equal(trace, "a=ffff a=ffff ");
	registers(1, ABSENT, ABSENT, ABSENT);
	power_off(1, 2, 0xf8, 0xf8);
	assert_string_equal(trace, "a=0001 a=2001 ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_pm1_registers_get_their_sleep_type_and_then_the_enable_bit),
		cmocka_unit_test(a_machine_without_pm1b_has_one_register_written),
		cmocka_unit_test(acpi_mode_is_switched_on_first_where_firmware_holds_it),
		cmocka_unit_test(firmware_that_never_hands_over_is_waited_for_a_second),
		cmocka_unit_test(hardware_reduced_machines_have_one_sleep_register),
		cmocka_unit_test(without_registers_it_fails_at_once),
		cmocka_unit_test(no_value_reaches_beyond_the_sleep_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
