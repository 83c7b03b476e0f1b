/* Machine checks: errors that the processor reports by #MC and in banks of registers. */
#pragma once

#include "lib/types.h"
#include "mm/frame.h"

/* Bits of a bank's status. Intel SDM 3, "IA32_MCi_STATUS MSRS". */
#define MCI_VALID (1ull << 63)
#define MCI_UNCORRECTED (1ull << 61)
#define MCI_ADDRESS (1ull << 58) /* the bank's address is valid */
#define MCI_CORRUPT (1ull << 57) /* the processor's state may be wrong */

struct mce_bank {
	u64 status;
	u64 address;
	enum frame_owner owner; /* of the frame at that address */
};

/*
 * Is what was interrupted all that is lost? in_kernel: ring 0 was interrupted, not ring 3 or a
 * guest. Pure. False: the machine cannot go on.
 */
bool mce_survivable(const struct mce_bank *bank, u32 banks, bool in_kernel);

/* On each CPU: all errors are reported. */
void mce_init_cpu(void);

/*
 * At a #MC, interrupts off: logs the banks and clears them. Returns when only the guest or the
 * domain that was interrupted is lost, which the caller ends; else panics.
 */
void mce_take(bool in_kernel);
