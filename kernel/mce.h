/* Machine checks: errors that the processor reports by #MC and in banks of registers. */
#pragma once

#include "mm/frame.h"

/* Bits of a bank's status. Intel SDM 3, "IA32_MCi_STATUS MSRS". */
#define MCI_VALID (1ull << 63)
#define MCI_UNCORRECTED (1ull << 61)
#define MCI_ADDRESS (1ull << 58)  /* the bank's address is valid */
#define MCI_CORRUPT (1ull << 57)  /* the processor's state may be wrong */
#define MCI_OVERFLOW (1ull << 62) /* an error before was lost */
#define MCI_ACTION (3ull << 55)	  /* S and AR, where MCG_CAP has SER_P: what met it can't go on */

struct mce_bank {
	u64 status;
	u64 address;
	enum frame_owner owner; /* of the frame at that address */
};

enum mce_verdict {
	MCE_GO_ON, /* corrected, not used yet, or of another CPU that all are told of */
	MCE_END,   /* what was interrupted is lost, nothing else */
	MCE_PANIC
};

struct mce_context {
	bool in_kernel;	  /* ring 0 was interrupted, not ring 3 or a guest */
	bool resumable;	  /* it may go on where it was: RIPV */
	bool met;	  /* it has met the error: EIPV */
	bool recoverable; /* the CPU tells errors apart that not all have met: SER_P */
};

/*
 * What one bank means; no valid one: that what was interrupted met an error whose bank a sibling
 * has taken, or did not. Pure. Intel SDM 3, "Machine-Check Error Codes": UCNA, SRAO, SRAR.
 */
enum mce_verdict mce_judge(const struct mce_bank *bank, const struct mce_context *at);

/*
 * The first bank whose control register may be written, by CPUID's signature: from P6 to Core 2 the
 * first one is another register. Intel SDM 3, "IA32_MCi_CTL MSRs".
 */
u32 mce_first_control(u32 signature);

/* On each CPU: all errors are reported. */
void mce_init_cpu(void);

/*
 * At a #MC, interrupts off: clears all banks but another CPU's, and logs the worst one, in ring 0
 * only by a panic: what was interrupted may hold the log's locks. True: the guest or the domain
 * that was interrupted is lost, and the caller ends it. Panics when that is not enough.
 */
bool mce_take(bool in_kernel);
