// SOURCES: kernel/options.c drivers/platform/uart_parse.c lib/fmt.c lib/str_copy.c
/* Boot options: values, defaults; what is not understood stays in the line. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/platform/acpi.h"
#include "drivers/platform/clock.h"
#include "hv/up.h"
#include "kernel/options.h"

static char left[1024]; /* of the line */

static struct boot_options parse(const char *line)
{
	struct boot_options o;

	strcpy(left, line);
	options_parse(left, &o);
	return o;
}

static void empty_line_gives_the_defaults(void **state)
{
	struct boot_options o = parse("");

	assert_int_equal(o.uart.port, 0x3f8);
	assert_int_equal(o.uart.divisor, 1);
	assert_true(o.serial && o.vga);
	assert_int_equal(o.loglevel, LOG_INFO);
	assert_int_equal(o.maxcpus, 0);
	assert_int_equal(o.mem, 0);
	assert_int_equal(o.exit_port, 0);
	assert_false(o.noreboot || o.noapicv || o.nounrestricted);
	assert_int_equal(o.reboot, RESET_ACPI);
	assert_string_equal(left, "");
}

static void every_option_is_read(void **state)
{
	struct boot_options o = parse(
		"  console=com2,9600 loglevel=debug maxcpus=3\tmem=1G tsc=off noreboot noapicv nounrestricted "
		"spec-ctrl=on coresched=on "
		"reboot=kbd "
		"exitport=0xf4 autostart=off exit=last-vm ");

	assert_string_equal(left, "              autostart=off exit=last-vm ");
	assert_int_equal(o.uart.port, 0x2f8);
	assert_int_equal(o.uart.divisor, 12);
	assert_false(o.vga);
	assert_int_equal(o.loglevel, LOG_DEBUG);
	assert_int_equal(o.maxcpus, 3);
	assert_int_equal(o.mem, GiB(1));
	assert_int_equal(o.tsc, TSC_OFF);
	assert_true(o.noreboot && o.noapicv && o.nounrestricted);
	assert_int_equal(o.reboot, RESET_KBD);
	assert_int_equal(o.spec, SPEC_ON);
	assert_int_equal(o.coresched, 1);
	assert_int_equal(o.exit_port, 0xf4);
}

static void what_is_not_understood_stays_and_changes_nothing(void **state)
{
	static const char *const lines[] = {
		"colour=blue",	"loglevel=9",	"loglevel=",	"loglevel",
		"maxcpus=0",	"maxcpus=",	"mem=12Q",	"mem=1M",
		"tsc=0",	"exitport",	"exitport=0",	"noreboot=1",
		"noapicv=1",	"spec-ctrl=1",	"coresched",	"coresched=1",
		"reboot=bios",	"reboot=0",	"exit=never",	"console=",
		"console=com9", "console=vgax", "console=,vga", "console=com1,9600,vga,",
	};
	struct boot_options none = parse(""), o;

	for (u32 i = 0; i < ARRAY_SIZE(lines); i++) {
		o = parse(lines[i]);
		assert_memory_equal(&o, &none, sizeof(o));
		assert_string_equal(left, lines[i]);
	}
}

static void the_words_between_stay_apart(void **state)
{
	struct boot_options o = parse("a=1\tmaxcpus=2 b noreboot");

	assert_string_equal(left, "a=1  b ");
	assert_true(o.maxcpus == 2 && o.noreboot);
}

static void console_names_screen_serial_line_or_both(void **state)
{
	static const struct {
		const char *line;
		u16 port; /* 0: no serial line */
		bool vga;
	} cases[] = {
		{"console=vga", 0, true},
		{"console=vga,", 0, true},
		{"console=com2", 0x2f8, false},
		{"console=vga,com1,9600", 0x3f8, true},
		{"console=com1,9600,8n1,vga", 0x3f8, true},
		{"console=0x3e8,vga", 0x3e8, true},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct boot_options o = parse(cases[i].line);

		assert_string_equal(left, "");
		assert_int_equal(o.serial ? o.uart.port : 0, cases[i].port);
		assert_int_equal(o.vga, cases[i].vga);
	}
}

static void an_overlong_word_stays_and_the_next_is_read(void **state)
{
	char line[400];
	struct boot_options o;

	memset(line, 'x', 300);
	strcpy(line + 300, " maxcpus=2");
	o = parse(line);
	assert_int_equal(o.maxcpus, 2);
	assert_int_equal(strlen(left), 301);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_line_gives_the_defaults),
		cmocka_unit_test(every_option_is_read),
		cmocka_unit_test(what_is_not_understood_stays_and_changes_nothing),
		cmocka_unit_test(the_words_between_stay_apart),
		cmocka_unit_test(console_names_screen_serial_line_or_both),
		cmocka_unit_test(an_overlong_word_stays_and_the_next_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
