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

static void outb(u16 port, u8 v) { note("%x=%02x ", port, v); }

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

/* ---- The registers for power-off ---- */

static int access(u32 reg, u32 write, u32 *value)
{
	struct sys_power p = {.reg = reg, .write = write, .value = *value};
	int e = power_access(&p);

	*value = p.value;
	return e;
}

static void pm1_is_read_and_written_as_16_bits(void **state)
{
	u32 v = 0;

	machine((struct acpi_facts){
		.power = {[POWER_PM1A] = {ACPI_SPACE_IO, 0x604, NULL},
			  [POWER_PM1B] = {ACPI_SPACE_MEMORY, 0xfed00000, NULL}}});
	pm1[0] = 0x1c01;
	assert_int_equal(access(POWER_PM1A, 0, &v), 0);
	assert_int_equal(v, 0x1c01);
	v = 0xffff3401;
	assert_int_equal(access(POWER_PM1A, 1, &v), 0);
	assert_string_equal(trace, "604=3401 ");
	assert_int_equal(access(POWER_PM1B, 1, &v), 0);
	assert_memory_equal(memory, ((u8[]){0x01, 0x34, 0, 0}), 4);
	assert_int_equal(access(POWER_PM1B, 0, &v), 0);
	assert_int_equal(v, 0x3401);
}

static void the_sleep_register_is_written_as_8_bits(void **state)
{
	u32 v = 0x1234;

	machine((struct acpi_facts){
		.power = {[POWER_SLEEP] = {ACPI_SPACE_MEMORY, 0xfed00000, NULL}}});
	assert_int_equal(access(POWER_SLEEP, 1, &v), 0);
	assert_memory_equal(memory, ((u8[]){0x34, 0, 0, 0}), 4);
	assert_int_equal(access(POWER_SLEEP, 0, &v), 0);
	assert_int_equal(v, 0);
}

static void the_smi_handler_gets_no_command_but_the_firmwares(void **state)
{
	struct acpi_facts f = {.power = {[POWER_ACPI_ENABLE] = {ACPI_SPACE_IO, 0xb2, NULL}},
			       .acpi_enable = 0xf1};
	u32 v = 0x99;

	machine(f);
	assert_int_equal(access(POWER_ACPI_ENABLE, 1, &v), 0);
	assert_string_equal(trace, "b2=f1 ");
	assert_int_equal(access(POWER_ACPI_ENABLE, 0, &v), 0);
	assert_int_equal(v, 0);
}

static void what_the_machine_lacks_is_refused(void **state)
{
	u32 v = 0;

	machine((struct acpi_facts){
		.power = {[POWER_PM1A] = {ACPI_SPACE_MEMORY, 0xdead0000, NULL}}});
	for (u32 reg = 0; reg < POWER_REGS; reg++) /* PM1a could not be mapped */
		for (u32 write = 0; write < 2; write++)
			assert_int_equal(access(reg, write, &v), -E_NODEV);
	assert_int_equal(access(POWER_REGS, 1, &v), -E_INVAL);
	assert_int_equal(access(~0u, 0, &v), -E_INVAL);
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
	struct acpi_facts f = {.power[REG_RESET] = {ACPI_SPACE_IO, 0x92, NULL},
			       .reset_value = 0x0f};

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
	machine((struct acpi_facts){.power[REG_RESET] = {ACPI_SPACE_MEMORY, 0xfed00000, NULL},
				    .reset_value = 0x42});
	reset(RESET_ACPI);
	assert_int_equal(memory[0], 0x42);
	assert_int_equal(memory[1], 0);
	machine((struct acpi_facts){.power[REG_RESET] = {ACPI_SPACE_PCI, 0x1f000300ac, NULL},
				    .reset_value = 0x06});
	reset(RESET_ACPI);
	assert_ptr_equal(strstr(trace, "[register] pci fb ac=06 "), trace); /* 00:1f.3 */
	/* could not be mapped */
	machine((struct acpi_facts){.power[REG_RESET] = {ACPI_SPACE_MEMORY, 0xdead0000, NULL}});
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
		cmocka_unit_test(pm1_is_read_and_written_as_16_bits),
		cmocka_unit_test(the_sleep_register_is_written_as_8_bits),
		cmocka_unit_test(the_smi_handler_gets_no_command_but_the_firmwares),
		cmocka_unit_test(what_the_machine_lacks_is_refused),
		cmocka_unit_test(methods_follow_in_their_order),
		cmocka_unit_test(the_chosen_method_comes_first),
		cmocka_unit_test(the_reset_register_is_written_in_its_space),
		cmocka_unit_test(a_busy_keyboard_controller_is_waited_for_but_not_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
