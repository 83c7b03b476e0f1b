/* Power-off and reset; see acpi.h for acpi_poweroff and platform_reset. */
#pragma once

/* Maps the registers that lie in memory, so that a panic needs no mapping. Called by acpi_init. */
void power_init(void);
