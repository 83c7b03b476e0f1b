/* Machine checks. Intel SDM 3, "Machine-Check Architecture"; AMD APM 2, the same. */
#include "kernel/mce.h"

#include "arch/msr.h"
#include "hv/cpu.h"
#include "hv/facts.h"
#include "hv/up.h"
#include "hv/x86.h"

#define MCG_CAP_BANKS 0xff
#define MCG_CAP_CTL (1ull << 8)
#define MCG_CAP_SER (1ull << 24)
#define MCG_CAP_LMCE (1ull << 27)
#define MCG_RIPV (1ull << 0)
#define MCG_EIPV (1ull << 1)
#define MCE_BANKS_MAX 32 /* beyond, other MSRs stand at their places */
#define CPUID_1_EDX_MCA (1u << 14)

static bool others(const struct mce_bank *bank, const struct mce_context *at)
{
	return at->recoverable && at->resumable && !at->met &&
	       (bank->status & MCI_ACTION) == MCI_ACTION && !(bank->status & MCI_OVERFLOW);
}

enum mce_verdict mce_judge(const struct mce_bank *bank, const struct mce_context *at)
{
	bool valid = bank->status & MCI_VALID;
	bool lost = valid ? bank->status & MCI_UNCORRECTED : at->met;
	bool ours = bank->status & MCI_ADDRESS && bank->owner != FRAME_USER &&
		    bank->owner != FRAME_GUEST;

	if (valid && at->recoverable && !(bank->status & MCI_CORRUPT))
		lost = lost && (bank->status & MCI_ACTION) == MCI_ACTION && !others(bank, at);
	if (!lost && at->resumable)
		return MCE_GO_ON;
	if (at->in_kernel || (lost && (ours || bank->status & MCI_CORRUPT)))
		return MCE_PANIC;
	return MCE_END;
}

/* Bochs 2.7 promises the registers by CPUID and doesn't have them. */
static u64 capabilities(void)
{
	u64 cap = 0;

	if (cpuid(1, 0).edx & CPUID_1_EDX_MCA)
		rdmsr_safe(MSR_MCG_CAP, &cap);
	return cap;
}

static u32 bank_count(u64 cap) { return MIN(cap & MCG_CAP_BANKS, MCE_BANKS_MAX); }

u32 mce_first_control(u32 signature)
{
	return (signature & 0xf00) == 0x600 && (signature & 0xf00f0) < 0x100a0; /* model 1Ah */
}

void mce_init_cpu(void)
{
	const u64 local = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_LMCE;
	u64 cap = capabilities(), control;

	if (cap & MCG_CAP_CTL)
		wrmsr(MSR_MCG_CTL, ~0ull);
	if (cap & MCG_CAP_LMCE && rdmsr_safe(MSR_FEATURE_CONTROL, &control) &&
	    (control & local) == local)
		wrmsr(MSR_MCG_EXT_CTL, 1);
	for (u32 i = 0; i < bank_count(cap); i++) {
		if (i >= mce_first_control(cpu_facts.signature))
			wrmsr(MSR_MC0_CTL + 4 * i, ~0ull);
		wrmsr(MSR_MC0_CTL + 4 * i + 1, 0); /* it outlives a reset */
	}
}

bool mce_take(bool in_kernel)
{
	u64 cap = capabilities(), global = bank_count(cap) ? rdmsr(MSR_MCG_STATUS) : 0;
	const struct mce_context at = {in_kernel, global & MCG_RIPV, global & MCG_EIPV,
				       cap & MCG_CAP_SER};
	struct mce_bank bank = {0}, worst = {0};
	enum mce_verdict verdict = MCE_GO_ON, one;
	u32 number = 0, found = 0;

	for (u32 i = 0; i < bank_count(cap); i++) {
		bank.status = rdmsr(MSR_MC0_CTL + 4 * i + 1);
		if (!(bank.status & MCI_VALID))
			continue;
		bank.address = bank.status & MCI_ADDRESS ? rdmsr(MSR_MC0_CTL + 4 * i + 2) : 0;
		bank.owner = frame_owner_of(hpa(bank.address));
		one = mce_judge(&bank, &at);
		if (!found++ || one > verdict ||
		    (one == verdict && bank.status & ~worst.status & MCI_UNCORRECTED)) {
			worst = bank;
			number = i;
		}
		verdict = MAX(verdict, one);
		if (!others(&bank, &at))
			wrmsr(MSR_MC0_CTL + 4 * i + 1, 0);
	}
	if (!found)
		verdict = mce_judge(&worst, &at);
	if (verdict == MCE_PANIC)
		panic("machine check in %s: bank %u, status %#lx, address %#lx, global %#lx",
		      in_kernel ? "ring 0" : "a guest or ring 3", number, worst.status,
		      worst.address, global);
	if (bank_count(cap))
		wrmsr(MSR_MCG_STATUS, 0); /* the next one may come */
	if (verdict == MCE_END || (worst.status & MCI_UNCORRECTED && !in_kernel))
		log_error("mce: bank %u, status %#lx, address %#lx: what ran %s", number,
			  worst.status, worst.address, verdict == MCE_END ? "is ended" : "goes on");
	return verdict == MCE_END;
}
