/*
 * Power-off and reset: which registers are written, in which order, on machines with made-up ACPI
 * facts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The port instructions of hv/x86.h give way to the ones below. */
#define inb x86_inb
#define inw x86_inw
#define outb x86_outb
#define outw x86_outw
#define irq_disable x86_irq_disable
#include "hv/x86.h"
#undef inb
#undef inw
#undef outb
#undef outw
#undef irq_disable

static char trace[2048]; /* every write, as text */
static u16 pm1[2];	 /* the control registers at ports 0x604 and 0x704 */
static u32 kbd_busy;	 /* reads of 0x64 that say so */
static u64 us;
static u8 memory[8];

static void note(const char *fmt, ...)
{
	size_t n = strlen(trace);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(trace + n, sizeof(trace) - n, fmt, ap);
	va_end(ap);
}

static u8 inb(u16 port)
{
	us += port == 0x80;
	return port == 0x64 && kbd_busy && kbd_busy-- ? 2 : 0;
}

static u16 inw(u16 port) { return port == 0x604 ? pm1[0] : port == 0x704 ? pm1[1] : 0xffff; }

static void outb(u16 port, u8 v)
{
	note("%x=%02x ", port, v);
	if (port == 0xb2)
		pm1[0] |= 1;
}

static void outw(u16 port, u16 v)
{
	note("%x=%04x ", port, v);
	if (port == 0x604 || port == 0x704)
		pm1[port == 0x704] = v;
}

static void irq_disable(void) {}

#include "drivers/platform/power.c"

struct acpi_facts acpi_facts;
void *acpi_map(hpa_t a, u64 bytes, u32 prot_flags)
{
	return a.v == 0xfed00000 && bytes <= 8 ? memory : NULL;
}
void pci_write8(u32 f, u32 offset, u8 v) { note("pci %x %x=%02x ", f, offset, v); }

static void machine(struct acpi_facts f)
{
	acpi_facts = f;
	trace[0] = 0;
	pm1[0] = pm1[1] = 0;
	kbd_busy = 0;
	us = 0;
	memset(memory, 0, sizeof(memory));
	power_init();
}

/* ---- Power-off ---- */

static void both_pm1_registers_get_their_sleep_type_and_then_the_enable_bit(void **state)
{
	machine((struct acpi_facts){.pm1a_control = {ACPI_SPACE_IO, 0x604, NULL},
				    .pm1b_control = {ACPI_SPACE_IO, 0x704, NULL}});
	pm1[0] = 0x1c01; /* SCI_EN, and an old sleep type */
	pm1[1] = 0x0002;
	acpi_poweroff(5, 6);
	assert_string_equal(trace, "604=1401 704=1802 604=3401 704=3802 ");
}

static void a_machine_without_pm1b_has_one_register_written(void **state)
{
	machine((struct acpi_facts){.pm1a_control = {ACPI_SPACE_IO, 0x604, NULL}});
	acpi_poweroff(0, 7);
	assert_string_equal(trace, "604=0000 604=2000 ");
}

static void acpi_mode_is_switched_on_first_where_firmware_holds_it(void **state)
{
	struct acpi_facts f = {.pm1a_control = {ACPI_SPACE_IO, 0x604, NULL},
			       .smi_command = 0xb2,
			       .acpi_enable = 0xf1};

	machine(f);
	acpi_poweroff(1, 1);
	assert_string_equal(trace, "b2=f1 604=0401 604=2401 ");
	machine(f);
	pm1[0] = 1; /* it is on already */
	acpi_poweroff(1, 1);
	assert_string_equal(trace, "604=0401 604=2401 ");
}

static void firmware_that_never_switches_acpi_mode_on_is_waited_for_one_second_at_most(void **state)
{
	machine((struct acpi_facts){.pm1a_control = {ACPI_SPACE_IO, 0x604, NULL},
				    .smi_command = 0xb3,
				    .acpi_enable = 1});
	acpi_poweroff(5, 5);
	assert_string_equal(trace, "b3=01 604=1400 604=3400 ");
	assert_in_range(us, 2000000, 2000100); /* and a second for the machine to go off */
}

static void pm1_may_lie_in_memory(void **state)
{
	machine((struct acpi_facts){.pm1a_control = {ACPI_SPACE_MEMORY, 0xfed00000, NULL}});
	acpi_poweroff(5, 5);
	assert_string_equal(trace, "");
	assert_int_equal(memory[0] | memory[1] << 8, 0x3400);
}

static void hardware_reduced_machines_have_one_sleep_register(void **state)
{
	machine((struct acpi_facts){.hw_reduced = true,
				    .sleep_control = {ACPI_SPACE_MEMORY, 0xfed00000, NULL}});
	acpi_poweroff(5, 5);
	assert_int_equal(memory[0], 0x34);
	assert_int_equal(memory[1], 0);
	machine((struct acpi_facts){.hw_reduced = true,
				    .sleep_control = {ACPI_SPACE_IO, 0x600, NULL}});
	acpi_poweroff(7, 0);
	assert_string_equal(trace, "600=3c ");
}

static void without_registers_nothing_is_written(void **state)
{
	machine((struct acpi_facts){0});
	acpi_poweroff(5, 5);
	machine((struct acpi_facts){.hw_reduced = true});
	acpi_poweroff(5, 5);
	/* could not be mapped */
	machine((struct acpi_facts){.pm1a_control = {ACPI_SPACE_MEMORY, 0xdead0000, NULL}});
	acpi_poweroff(5, 5);
	assert_string_equal(trace, "");
}

/* ---- Reset ---- */

static jmp_buf at_triple_fault;

static void say(const char *line)
{
	note("[%s] ", strrchr(line, ' ') + 1);
	if (strstr(line, "triple"))
		longjmp(at_triple_fault, 1); /* the instruction can't be tried here */
}

static void reset(enum reset_method first)
{
	if (!setjmp(at_triple_fault))
		platform_reset(first, say);
}

#define CF9 "[0xcf9] cf9=02 cf9=06 "
#define KBD "[controller] 64=fe "
#define TRIPLE "[fault] "

static void methods_follow_in_their_order(void **state)
{
	struct acpi_facts f = {.reset_register = {ACPI_SPACE_IO, 0x92, NULL}, .reset_value = 0x0f};

	machine(f);
	reset(RESET_ACPI);
	assert_string_equal(trace, "[register] 92=0f [register] 92=0f " CF9 KBD TRIPLE);
	machine((struct acpi_facts){0}); /* without a register the method is left out */
	reset(RESET_ACPI);
	assert_string_equal(trace, CF9 KBD TRIPLE);
}

static void the_chosen_method_comes_first(void **state)
{
	/* clang-format off */
	static const char *const expected[RESET_METHODS] = {
		[RESET_ACPI] = CF9 KBD TRIPLE, [RESET_PCI] = CF9 CF9 KBD TRIPLE,
		[RESET_KBD] = KBD CF9 KBD TRIPLE, [RESET_TRIPLE] = TRIPLE,
	};
	/* clang-format on */

	for (u32 i = 0; i < RESET_METHODS; i++) {
		machine((struct acpi_facts){0});
		reset(i);
		assert_string_equal(trace, expected[i]);
	}
}

static void the_reset_register_is_written_in_its_space(void **state)
{
	machine((struct acpi_facts){.reset_register = {ACPI_SPACE_MEMORY, 0xfed00000, NULL},
				    .reset_value = 0x42});
	reset(RESET_ACPI);
	assert_int_equal(memory[0], 0x42);
	assert_int_equal(memory[1], 0);
	machine((struct acpi_facts){.reset_register = {ACPI_SPACE_PCI, 0x1f000300ac, NULL},
				    .reset_value = 0x06});
	reset(RESET_ACPI);
	assert_ptr_equal(strstr(trace, "[register] pci fb ac=06 "), trace); /* 00:1f.3 */
	/* could not be mapped */
	machine((struct acpi_facts){.reset_register = {ACPI_SPACE_MEMORY, 0xdead0000, NULL}});
	reset(RESET_ACPI);
	assert_non_null(strstr(trace, CF9));
}

static void a_busy_keyboard_controller_is_waited_for_but_not_for_ever(void **state)
{
	machine((struct acpi_facts){0});
	kbd_busy = 7;
	reset(RESET_KBD);
	assert_int_equal(kbd_busy, 0);
	machine((struct acpi_facts){0});
	kbd_busy = ~0u;
	reset(RESET_KBD);
	assert_string_equal(trace, KBD CF9 KBD TRIPLE);
	assert_in_range(us, 0, 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_pm1_registers_get_their_sleep_type_and_then_the_enable_bit),
		cmocka_unit_test(a_machine_without_pm1b_has_one_register_written),
		cmocka_unit_test(acpi_mode_is_switched_on_first_where_firmware_holds_it),
		cmocka_unit_test(
			firmware_that_never_switches_acpi_mode_on_is_waited_for_one_second_at_most),
		cmocka_unit_test(pm1_may_lie_in_memory),
		cmocka_unit_test(hardware_reduced_machines_have_one_sleep_register),
		cmocka_unit_test(without_registers_nothing_is_written),
		cmocka_unit_test(methods_follow_in_their_order),
		cmocka_unit_test(the_chosen_method_comes_first),
		cmocka_unit_test(the_reset_register_is_written_in_its_space),
		cmocka_unit_test(a_busy_keyboard_controller_is_waited_for_but_not_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
