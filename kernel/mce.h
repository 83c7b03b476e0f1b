/* Machine checks: errors that the processor reports by #MC and in banks of registers. */
#pragma once

#include "mm/frame.h"

/* Bits of a bank's status. Intel SDM 3, "IA32_MCi_STATUS MSRS". */
#define MCI_VALID (1ull << 63)
#define MCI_UNCORRECTED (1ull << 61)
#define MCI_ADDRESS (1ull << 58)     /* the bank's address is valid */
#define MCI_CORRUPT (1ull << 57)     /* the processor's state may be wrong */
#define MCI_RECOVERABLE (1ull << 56) /* "S", where MCG_CAP has SER_P: software may recover */

struct mce_bank {
	u64 status;
	u64 address;
	enum frame_owner owner; /* of the frame at that address */
};

enum mce_verdict {
	MCE_GO_ON, /* corrected, found before its use, or of another CPU that all are told of */
	MCE_END,   /* what was interrupted is lost, nothing else */
	MCE_PANIC
};

/*
 * What one bank means. in_kernel: ring 0 was interrupted, not ring 3 or a guest; resumable: it may
 * go on where it was (RIPV); elsewhere: the CPU knows recoverable errors, and this one is not of
 * what was interrupted (no EIPV). Pure. Intel SDM 3, "Machine-Check Architecture", SRAO and SRAR.
 */
enum mce_verdict mce_judge(const struct mce_bank *bank, bool in_kernel, bool resumable,
			   bool elsewhere);

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
