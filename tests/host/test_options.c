// SOURCES: kernel/options.c lib/fmt.c lib/str_copy.c
/* Boot options: values, defaults, and a message for everything that is not understood. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "kernel/options.h"

static char reported[1024];

static void report(const char *message)
{
	strncat(reported, message, sizeof(reported) - strlen(reported) - 1);
	strncat(reported, "|", sizeof(reported) - strlen(reported) - 1);
}

static struct boot_options parse(const char *line)
{
	struct boot_options o;

	reported[0] = 0;
	options_parse(line, &o, report);
	return o;
}

static void empty_line_gives_the_defaults(void **state)
{
	struct boot_options o = parse("");

	assert_string_equal(o.console, "com1,115200,8n1");
	assert_true(o.vga);
	assert_int_equal(o.loglevel, LOG_INFO);
	assert_int_equal(o.maxcpus, 0);
	assert_int_equal(o.mem, 0);
	assert_int_equal(o.exit_port, 0);
	assert_false(o.noreboot);
	assert_int_equal(o.reboot, RESET_ACPI);
	assert_string_equal(reported, "");
}

static void every_option_is_read(void **state)
{
	struct boot_options o = parse(
		"  console=com2,9600 loglevel=debug maxcpus=3\tmem=1G tsc=off noreboot reboot=kbd "
		"exitport=0xf4 autostart=off exit=last-vm ");

	assert_string_equal(reported, "");
	assert_string_equal(o.console, "com2,9600");
	assert_int_equal(o.loglevel, LOG_DEBUG);
	assert_int_equal(o.maxcpus, 3);
	assert_int_equal(o.mem, GiB(1));
	assert_string_equal(o.tsc, "off");
	assert_true(o.noreboot);
	assert_int_equal(o.reboot, RESET_KBD);
	assert_int_equal(o.exit_port, 0xf4);
}

static void what_is_not_understood_is_reported(void **state)
{
	static const struct {
		const char *line, *message;
	} cases[] = {
		{"colour=blue", "boot option colour is unknown and ignored|"},
		{"loglevel=9",
		 "boot option loglevel=9 is ignored: expected error, warn, notice, info, debug or 0 to 4|"},
		{"maxcpus=0", "boot option maxcpus=0 is ignored: expected a number from 1|"},
		{"mem=12Q",
		 "boot option mem=12Q is ignored: expected a size of at least 64M, such as 2G|"},
		{"mem=1M",
		 "boot option mem=1M is ignored: expected a size of at least 64M, such as 2G|"},
		{"exitport", "boot option exitport= is ignored: expected a port such as 0xf4|"},
		{"exitport=0x10000",
		 "boot option exitport=0x10000 is ignored: expected a port such as 0xf4|"},
		{"noreboot=1", "boot option noreboot=1 is ignored: expected no value|"},
		{"reboot=bios",
		 "boot option reboot=bios is ignored: expected acpi, pci, kbd or triple|"},
		{"exit=never", "boot option exit=never is ignored: expected last-vm|"},
		{"autostart=maybe", "boot option autostart=maybe is ignored: expected on or off|"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(parse(cases[i].line).mem, 0);
		assert_string_equal(reported, cases[i].message);
	}
}

static void console_names_screen_serial_line_or_both(void **state)
{
	static const struct {
		const char *line, *serial;
		bool vga;
	} cases[] = {
		{"console=vga", "", true},
		{"console=com2", "com2", false},
		{"console=vga,com1,9600", "com1,9600", true},
		{"console=com1,9600,8n1,vga", "com1,9600,8n1", true},
		{"console=0x3e8,vga", "0x3e8", true},
		{"console=vgax", "vgax", false}, /* the UART's parser reports it */
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct boot_options o = parse(cases[i].line);

		assert_string_equal(reported, "");
		assert_string_equal(o.console, cases[i].serial);
		assert_int_equal(o.vga, cases[i].vga);
	}
}

static void overlong_word_is_reported_and_the_next_is_read(void **state)
{
	char line[400];
	struct boot_options o;

	memset(line, 'x', 300);
	strcpy(line + 300, " maxcpus=2");
	o = parse(line);
	assert_int_equal(o.maxcpus, 2);
	assert_string_equal(reported,
			    "a boot option is longer than 126 characters and is ignored|");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_line_gives_the_defaults),
		cmocka_unit_test(every_option_is_read),
		cmocka_unit_test(what_is_not_understood_is_reported),
		cmocka_unit_test(console_names_screen_serial_line_or_both),
		cmocka_unit_test(overlong_word_is_reported_and_the_next_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
