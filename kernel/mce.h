/* Machine checks: errors that the processor reports by #MC and in banks of registers. */
#pragma once

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

enum mce_verdict {
	MCE_GO_ON, /* corrected, or an error of another CPU that all are told of */
	MCE_END,   /* what was interrupted is lost, nothing else */
	MCE_PANIC
};

/*
 * What one bank means. in_kernel: ring 0 was interrupted, not ring 3 or a guest; resumable: it may
 * go on where it was (RIPV). Pure.
 */
enum mce_verdict mce_judge(const struct mce_bank *bank, bool in_kernel, bool resumable);

/*
 * The first bank whose control register may be written, by CPUID's signature: from P6 to Core 2 the
 * first one is another register. Intel SDM 3, "IA32_MCi_CTL MSRs".
 */
u32 mce_first_control(u32 signature);

/* On each CPU: all errors are reported. */
void mce_init_cpu(void);

/*
 * At a #MC, interrupts off: logs the worst bank and clears all. True: the guest or the domain that
 * was interrupted is lost, and the caller ends it. Panics when that is not enough.
 */
bool mce_take(bool in_kernel);
