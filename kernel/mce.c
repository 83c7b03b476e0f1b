/* Machine checks. Intel SDM 3, "Machine-Check Architecture"; AMD APM 2, the same. */
#include "kernel/mce.h"

#include "arch/msr.h"
#include "hv/cpu.h"
#include "hv/up.h"
#include "hv/x86.h"

#define MCG_CAP_BANKS 0xff
#define MCG_CAP_CTL (1ull << 8)
#define CPUID_1_EDX_MCA (1u << 14)

bool mce_survivable(const struct mce_bank *bank, u32 banks, bool in_kernel)
{
	for (u32 i = 0; i < banks; i++) {
		bool lost = bank[i].status & MCI_VALID && bank[i].status & MCI_UNCORRECTED;
		bool ours = bank[i].status & MCI_ADDRESS && bank[i].owner != FRAME_USER &&
			    bank[i].owner != FRAME_GUEST;

		if (lost && (ours || bank[i].status & MCI_CORRUPT))
			return false;
	}
	return !in_kernel;
}

/* Bochs 2.7 promises the registers by CPUID and doesn't have them. */
static u64 capabilities(void)
{
	u64 cap = 0;

	if (cpuid(1, 0).edx & CPUID_1_EDX_MCA)
		rdmsr_safe(MSR_MCG_CAP, &cap);
	return cap;
}

void mce_init_cpu(void)
{
	u64 cap = capabilities();
	u32 banks = cap & MCG_CAP_BANKS;

	if (banks && cap & MCG_CAP_CTL)
		wrmsr(MSR_MCG_CTL, ~0ull);
	for (u32 i = 0; i < banks; i++)
		wrmsr(MSR_MC0_CTL + 4 * i, ~0ull);
}

void mce_take(bool in_kernel)
{
	struct mce_bank bank = {0}, worst = {0};
	u32 banks = capabilities() & MCG_CAP_BANKS, number = 0;
	bool good = !in_kernel;

	for (u32 i = 0; i < banks; i++) {
		bank.status = rdmsr(MSR_MC0_CTL + 4 * i + 1);
		if (!(bank.status & MCI_VALID))
			continue;
		bank.address = bank.status & MCI_ADDRESS ? rdmsr(MSR_MC0_CTL + 4 * i + 2) : 0;
		bank.owner = frame_owner_of(hpa(bank.address));
		if (!worst.status || !mce_survivable(&bank, 1, false)) {
			worst = bank;
			number = i;
		}
		good &= mce_survivable(&bank, 1, in_kernel);
		wrmsr(MSR_MC0_CTL + 4 * i + 1, 0);
	}
	if (!good)
		panic("machine check in %s: bank %u, status %#lx, address %#lx, global %#lx",
		      in_kernel ? "ring 0" : "a guest or ring 3", number, worst.status,
		      worst.address, banks ? rdmsr(MSR_MCG_STATUS) : 0);
	log_error("mce: bank %u, status %#lx, address %#lx: what ran is ended", number,
		  worst.status, worst.address);
	if (banks)
		wrmsr(MSR_MCG_STATUS, 0); /* the next one may come */
}
