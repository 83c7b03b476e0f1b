/*
 * The values that ACPI wants in SLP_TYPa and SLP_TYPb for power-off, from the \_S5_ package in AML.
 */
#pragma once

#include "lib/types.h"

/*
 * Searches n bytes of a DSDT or SSDT for a definition `Name (\_S5_, Package () { a, b, ... })`;
 * there is no interpreter: the bytes of the definition are recognised. Source: ACPI 6.4, 7.4.2
 * (\_Sx) and 20.2 (AML).
 */
bool s5_find(const u8 *aml, size_t n, u8 *slp_typa, u8 *slp_typb);
