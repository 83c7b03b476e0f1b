// SOURCES: drivers/platform/uart_parse.c lib/fmt.c
/* The console= option. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/platform/uart_regs.h"

static void good_ones(void **state)
{
	static const struct {
		const char *spec;
		struct uart_config want;
	} cases[] = {
		{"com1", {0x3f8, 1, 3, 4}},
		{"com2,115200", {0x2f8, 1, 3, 3}},
		{"com3,9600,7e2", {0x3e8, 12, 2 | LCR_PARITY | LCR_EVEN | LCR_STOP_2, 4}},
		{"com4,50,5o1", {0x2e8, 2304, 0 | LCR_PARITY, 3}},
		{"0x2f8,57600,8n1", {0x2f8, 2, 3, 3}},
		{"0xe000", {0xe000, 1, 3, 4}},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct uart_config c = {0};
		const char *why = NULL;

		if (!uart_parse_config(cases[i].spec, &c, &why))
			fail_msg("%s: refused: %s", cases[i].spec, why);
		assert_int_equal(c.port, cases[i].want.port);
		assert_int_equal(c.divisor, cases[i].want.divisor);
		assert_int_equal(c.lcr, cases[i].want.lcr);
		assert_int_equal(c.irq, cases[i].want.irq);
	}
}

static void bad_ones_say_why_and_change_nothing(void **state)
{
	static const struct {
		const char *spec, *why;
	} cases[] = {
		{"", "port"},
		{"com", "port"},
		{"com0", "port"},
		{"com5", "port"},
		{"com1x", "port"},
		{"tty", "port"},
		{"0x", "port"},
		{"0x10", "port"},
		{"0xfff9", "port"},
		{"1016", "port"},
		{"com1,", "baud"},
		{"com1,0", "baud"},
		{"com1,110000", "baud"},
		{"com1,230400", "baud"},
		{"com1,9600,", "frame"},
		{"com1,9600,9n1", "frame"},
		{"com1,9600,8x1", "frame"},
		{"com1,9600,8", "frame"},
		{"com1,9600,8n", "frame"},
		{"com1,9600,8n3", "frame"},
		{"com1,9600,8n1x", "frame"},
		{"com1,9600,8n1,", "follow"},
		{"com1,99999999999999999999999", "baud"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct uart_config c = {.port = 7};
		const char *why = "";

		if (uart_parse_config(cases[i].spec, &c, &why))
			fail_msg("'%s' was accepted", cases[i].spec);
		if (!strstr(why, cases[i].why))
			fail_msg("'%s': expected '%s', got '%s'", cases[i].spec, cases[i].why, why);
		assert_int_equal(c.port, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones),
		cmocka_unit_test(bad_ones_say_why_and_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
