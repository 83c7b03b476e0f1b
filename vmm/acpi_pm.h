/*
 * ACPI fixed hardware at the ports of a q35 board: PM1a event and control block, PM timer, and the
 * general-purpose events. ACPI 6.4, chapter 4.8.
 */
#pragma once

#include "vmm/device.h"

#define ACPI_PM_BASE 0x600u
#define ACPI_PM_BYTES 0x0cu
#define ACPI_GPE_BASE 0x620u /* status, then enable, each half of it */
#define ACPI_GPE_BYTES 0x10u
#define ACPI_GPE 0x20u	   /* the registers' offset in the device */
#define ACPI_SLP_TYP_S5 5u /* \_S5 in acpi/dsdt.asl says the same */
#define ACPI_PM_TIMER_HZ 3579545u

/* The events that there are; \_GPE in acpi/dsdt.asl has a method for each. */
enum acpi_gpe { GPE_CPU_HOTPLUG = 2 };

struct acpi_pm {
	struct device dev;
	u16 status, enable, control;
	u8 gpe_status, gpe_enable; /* events 0 to 7 */
	u64 carry;		   /* VM clock of the timer's next change of its high bit */
	struct vtimer timer;	   /* that change, while its interrupt is enabled */
};

void acpi_pm_init(struct acpi_pm *a, struct platform *plat);

/* The user presses the power button. Takes the device's lock. */
void acpi_pm_button(struct acpi_pm *a);

/* A general-purpose event happens. Takes the device's lock. */
void acpi_pm_gpe(struct acpi_pm *a, enum acpi_gpe event);
