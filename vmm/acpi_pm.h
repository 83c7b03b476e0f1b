/*
 * ACPI fixed hardware at the ports of a q35 board: PM1a event and control block, PM timer. ACPI
 * 6.4, chapter 4.8.
 */
#pragma once

#include "vmm/device.h"

#define ACPI_PM_BASE 0x600u
#define ACPI_PM_BYTES 0x0cu
#define ACPI_SLP_TYP_S5 5u /* \_S5 in acpi/dsdt.asl says the same */
#define ACPI_PM_TIMER_HZ 3579545u

struct acpi_pm {
	struct device dev;
	u16 status, enable, control;
	u64 carry;	     /* VM clock of the timer's next change of its high bit */
	struct vtimer timer; /* that change, while its interrupt is enabled */
};

void acpi_pm_init(struct acpi_pm *a, struct platform *plat);

/* The user presses the power button. Takes the device's lock. */
void acpi_pm_button(struct acpi_pm *a);
