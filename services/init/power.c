/* ACPI power-off: ACPI 6.5, 4.8.3.2 "PM1 Control Registers", 4.8.3.7 "Sleep Control and Status". */
#include "services/init/power.h"

#include "user/rt.h"
#include "user/sys.h"

#define PM1_SCI_EN 1u
#define PM1_SLP_TYP_SHIFT 10
#define PM1_SLP_TYP_MASK (7u << PM1_SLP_TYP_SHIFT)
#define PM1_SLP_EN (1u << 13)
#define SLEEP_TYP_SHIFT 2
#define SLEEP_EN (1u << 5)

#define ENABLE_POLLS 1000u
#define POLL_NS 1000000ull
#define OFF_NS 1000000000ull /* a machine that is still there then does not go */

static bool reg_read(handle_t system, enum power_reg reg, u32 *value)
{
	struct sys_power p = {.reg = reg};

	if (sys_ctl(system, SYSOP_POWER, &p, sizeof(p)) < 0)
		return false;
	*value = p.value;
	return true;
}

static bool reg_write(handle_t system, enum power_reg reg, u32 value)
{
	struct sys_power p = {.reg = reg, .write = 1, .value = value};

	return sys_ctl(system, SYSOP_POWER, &p, sizeof(p)) >= 0;
}

/* Firmware owns the PM1 registers until ACPI mode is on. */
static void acpi_mode_enable(handle_t system, handle_t idle)
{
	u32 pm1 = 0;

	if ((reg_read(system, POWER_PM1A, &pm1) && pm1 & PM1_SCI_EN) ||
	    !reg_write(system, POWER_ACPI_ENABLE, 0))
		return;
	for (u32 i = 0; i < ENABLE_POLLS && !(pm1 & PM1_SCI_EN); i++) {
		event_wait(idle, rt_clock_ns() + POLL_NS);
		reg_read(system, POWER_PM1A, &pm1);
	}
}

static bool pm1_off(handle_t system, u8 typ_a, u8 typ_b)
{
	const u32 typ[] = {typ_a & 7u, typ_b & 7u};
	u32 value[2];
	bool there[2];

	for (u32 i = 0; i < 2; i++) {
		there[i] = reg_read(system, POWER_PM1A + i, &value[i]);
		value[i] =
			(there[i] ? value[i] & ~PM1_SLP_TYP_MASK : 0) | typ[i] << PM1_SLP_TYP_SHIFT;
	}
	for (u32 i = 0; i < 2; i++)
		if (there[i])
			reg_write(system, POWER_PM1A + i, value[i]);
	for (u32 i = 0; i < 2; i++)
		if (there[i])
			reg_write(system, POWER_PM1A + i, value[i] | PM1_SLP_EN);
	return there[0];
}

int power_off(handle_t system, handle_t idle, u8 typ_a, u8 typ_b)
{
	if (!reg_write(system, POWER_SLEEP, (typ_a & 7u) << SLEEP_TYP_SHIFT | SLEEP_EN)) {
		acpi_mode_enable(system, idle);
		if (!pm1_off(system, typ_a, typ_b))
			return -E_NODEV;
	}
	event_wait(idle, rt_clock_ns() + OFF_NS);
	return -E_STATE;
}
