/* ACPI power-off by the registers that the kernel hands out one access at a time. */
#pragma once

#include "uapi/abi.h"

/*
 * typ_a, typ_b: SLP_TYPa and SLP_TYPb of _S5_. idle: an event that nobody signals. Returns only if
 * it fails: -E_NODEV: the machine has no register for it, -E_STATE: it is still on after a second.
 */
int power_off(handle_t system, handle_t idle, u8 typ_a, u8 typ_b);
