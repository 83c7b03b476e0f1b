// SOURCES: drivers/platform/uart_parse.c lib/fmt.c
/* The console= option. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/platform/uart.h"

static void good_ones(void **state)
{
	static const struct {
		const char *spec;
		struct uart_config want;
	} cases[] = {
		{"com1", {0x3f8, 1, 4}},
		{"com2,115200", {0x2f8, 1, 3}},
		{"com3,9600,8n1", {0x3e8, 12, 4}},
		{"com4,50", {0x2e8, 2304, 3}},
		{"0x2f8,57600,8n1", {0x2f8, 2, 3}},
		{"0xe000", {0xe000, 1, 4}},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct uart_config c = {0};

		if (!uart_parse(cases[i].spec, &c))
			fail_msg("%s: refused", cases[i].spec);
		assert_int_equal(c.port, cases[i].want.port);
		assert_int_equal(c.divisor, cases[i].want.divisor);
		assert_int_equal(c.irq, cases[i].want.irq);
	}
}

static void bad_ones_change_nothing(void **state)
{
	static const char *const specs[] = {
		"",
		"com",
		"com0",
		"com5",
		"com1x",
		"tty",
		"0x",
		"0x10",
		"0xfff9",
		"1016",
		"com1,",
		"com1,0",
		"com1,110000",
		"com1,230400",
		"com1,9600,",
		"com1,9600,9n1",
		"com1,9600,8x1",
		"com1,9600,8",
		"com1,9600,8n",
		"com1,9600,7e1",
		"com1,9600,8n1x",
		"com1,9600,8n1,",
		"com1,99999999999999999999999",
	};

	for (u32 i = 0; i < ARRAY_SIZE(specs); i++) {
		struct uart_config c = {.port = 7};

		if (uart_parse(specs[i], &c))
			fail_msg("'%s' was accepted", specs[i]);
		assert_int_equal(c.port, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones),
		cmocka_unit_test(bad_ones_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
