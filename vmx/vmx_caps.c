/*
 * What the CPU's VT-x offers, and what of it is used. Intel SDM 3, Appendix A "VMX Capability
 * Reporting Facility".
 */
#include "vmx/vmx.h"

#include "arch/msr.h"
#include "lib/fmt.h"

struct vmx_caps vmx_caps;

/* The first four in the order of their MSRs. */
enum word { PIN, PROC, EXIT, ENTRY, PROC2, EPT, WORDS };

enum need {
	ON,	   /* required: it may be 1, and is */
	MAY_BE_1,  /* required: 1 at times */
	MAY_BE_0,  /* required: 0, at times at least */
	IF_RDTSCP, /* on, required where the CPU has the instruction, which guests are shown */
	IF_INVPCID,
	OPTION, /* on where offered */
};

/* clang-format off */
static const struct control {
	u8 word, need;
	u32 bit;
	const char *name, *instead; /* instead: what happens without an option */
} controls[] = {
	{PIN, ON, PIN_EXTINT_EXIT | PIN_NMI_EXIT, "external-interrupt or NMI exiting", 0},
	{PIN, ON, PIN_VIRTUAL_NMIS, "virtual NMIs", 0},
	{PROC, ON, PROC_SECONDARY, "secondary controls", 0},
	{PROC2, ON, PROC2_EPT, "EPT", 0},
	{EPT, MAY_BE_1, EPT_CAN_4_LEVELS | EPT_CAN_WRITE_BACK, "EPT in 4 levels, write-back", 0},
	{EPT, MAY_BE_1, EPT_CAN_INVEPT | EPT_CAN_INVEPT_ALL, "INVEPT of all contexts", 0},
	{PROC, MAY_BE_1, PROC_IRQ_WINDOW | PROC_NMI_WINDOW, "window exiting", 0},
	{PROC, ON,
	 PROC_HLT_EXIT | PROC_MWAIT_EXIT | PROC_MONITOR_EXIT | PROC_RDPMC_EXIT | PROC_MOV_DR_EXIT |
	 PROC_ALL_IO_EXIT, "HLT, MWAIT, MONITOR, RDPMC, MOV-DR or port exiting", 0},
	{PROC, ON, PROC_TSC_OFFSET, "TSC offsetting", 0},
	{PROC, ON, PROC_TPR_SHADOW, "TPR shadow", 0},
	{PROC, ON, PROC_MSR_BITMAP, "MSR bitmaps", 0},
	{PROC, MAY_BE_0, PROC_CR3_LOAD_EXIT | PROC_CR3_STORE_EXIT | PROC_CR8_LOAD_EXIT |
	 PROC_CR8_STORE_EXIT | PROC_INVLPG_EXIT, "CR3, CR8 or INVLPG without exits", 0},
	{EXIT, ON, EXIT_HOST_64, "64-bit host", 0},
	{EXIT, ON, EXIT_SAVE_DEBUG | EXIT_LOAD_PAT | EXIT_LOAD_EFER, "DR7, PAT or EFER at exit", 0},
	{EXIT, MAY_BE_0, EXIT_ACK_INTERRUPT, "exits without acknowledge", 0},
	{ENTRY, ON, ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER,
	 "DR7, PAT or EFER at entry", 0},
	{ENTRY, MAY_BE_1, ENTRY_LONG_MODE, "64-bit guests", 0},
	{ENTRY, MAY_BE_0, ENTRY_LONG_MODE, "32-bit guests", 0},
	{PROC2, IF_RDTSCP, PROC2_RDTSCP, "RDTSCP", 0},
	{PROC2, IF_INVPCID, PROC2_INVPCID, "INVPCID", 0},
	{PROC2, OPTION, PROC2_UNRESTRICTED, "unrestricted-guest", "real mode is emulated"},
	{PIN, OPTION, PIN_PREEMPTION_TIMER, "preemption-timer", "host interrupts alone end a run"},
	{PROC2, OPTION, PROC2_APICV, "apicv", "the local APIC's registers and interrupts cost exits"},
	{PIN, OPTION, PIN_POSTED_INTERRUPTS, "posted-interrupts", "an interrupt makes a guest exit"},
	{PROC2, OPTION, PROC2_VPID, "vpid", "each entry and exit flushes the TLB"},
	{EPT, OPTION, EPT_CAN_2M, "ept-2m", "guest memory is mapped in 4 KiB pages"},
	{EPT, OPTION, EPT_CAN_1G, "ept-1g", "no page of guest memory is larger than 2 MiB"},
	{EPT, OPTION, EPT_CAN_ACCESSED_DIRTY, "ept-ad", "tables tell no access"},
	{EPT, OPTION, EPT_CAN_INVEPT_SINGLE, "invept-single", "a flush reaches all VMs' entries"},
	{PROC2, OPTION, PROC2_PAUSE_LOOP, "pause-loop", "a spinning guest keeps its slice"},
	{PROC2, OPTION, PROC2_WBINVD_EXIT, "wbinvd-exiting", "a guest's WBINVD empties the caches"},
};
/* clang-format on */

static u64 vmx_msr(const struct cpu_facts *f, u32 msr) { return f->vmx_msr[msr - MSR_VMX_BASIC]; }

/* Low half: bits that must be 1; high half: bits that may be. */
static u64 settings(const struct cpu_facts *f, u32 word)
{
	bool truth = vmx_msr(f, MSR_VMX_BASIC) & VMX_BASIC_TRUE_CONTROLS;
	u64 cap = vmx_msr(f, MSR_VMX_EPT_VPID_CAP), s;

	if (word == EPT)
		return cap << 32;
	if (word < PROC2) {
		s = vmx_msr(f, (truth ? MSR_VMX_TRUE_PINBASED_CTLS : MSR_VMX_PINBASED_CTLS) + word);
		if (word == PIN && (~(settings(f, PROC2) >> 32) & PROC2_APICV ||
				    ~(settings(f, EXIT) >> 32) & EXIT_ACK_INTERRUPT))
			s &= ~((u64)PIN_POSTED_INTERRUPTS << 32);
		return s;
	}
	s = vmx_msr(f, MSR_VMX_PROCBASED_CTLS2);
	if (f->nounrestricted)
		s &= ~((u64)PROC2_UNRESTRICTED << 32);
	/* The emulator of real mode takes its interrupts from the kernel. */
	if (f->noapicv || !(s >> 32 & PROC2_UNRESTRICTED))
		s &= ~((u64)PROC2_APICV << 32);
	/* Tags are of use only with a way to throw all of them away. */
	if (!(cap & VPID_CAN_INVVPID) || !(cap & VPID_CAN_INVVPID_ALL))
		s &= ~((u64)PROC2_VPID << 32);
	return s;
}

static bool offered(const struct cpu_facts *f, const struct control *c)
{
	u64 s = settings(f, c->word);

	return c->need == MAY_BE_0 ? !((u32)s & c->bit) : (s >> 32 & c->bit) == c->bit;
}

static bool required(const struct cpu_facts *f, const struct control *c)
{
	return c->need != OPTION && (c->need != IF_RDTSCP || f->rdtscp) &&
	       (c->need != IF_INVPCID || f->invpcid);
}

/* What contradicts itself or what the kernel was built on; NULL = nothing. */
static const char *absurd(const struct cpu_facts *f)
{
	u64 basic = vmx_msr(f, MSR_VMX_BASIC), bytes = basic >> 32 & 0x1fff;
	u64 cr0_1 = vmx_msr(f, MSR_VMX_CR0_FIXED0), cr0_0 = ~vmx_msr(f, MSR_VMX_CR0_FIXED1);
	u64 cr4_1 = vmx_msr(f, MSR_VMX_CR4_FIXED0), cr4_0 = ~vmx_msr(f, MSR_VMX_CR4_FIXED1);

	for (u32 w = 0; w <= PROC2; w++)
		if ((u32)settings(f, w) & ~(settings(f, w) >> 32))
			return "VT-x's registers want controls that they forbid";
	if (!bytes || bytes > PAGE_SIZE || basic & BIT(48))
		return "VT-x wants control structures beyond 4 KiB or below 4 GiB";
	if ((basic >> 50 & 15) != 6)
		return "VT-x wants control structures in memory that is not write-back";
	if (cr0_1 & ~(u64)(CR0_PE | CR0_PG | CR0_NE) || cr0_0 & CR0_DEFINED)
		return "VT-x fixes bits of CR0 beside PE, PG and NE";
	if (cr4_1 != CR4_VMXE || cr4_0 & (CR4_VMXE | CR4_PAE))
		return "VT-x fixes bits of CR4 beside VMXE";
	return NULL;
}

const char *vmx_negotiate(const struct cpu_facts *f, struct vmx_caps *caps)
{
	static char why[96];
	u32 on[WORDS] = {0};
	size_t n = 0;

	for (u32 w = 0; w <= PROC2; w++)
		on[w] = (u32)settings(f, w);
	for (const struct control *c = controls; c < controls + ARRAY_SIZE(controls); c++)
		if (!offered(f, c) && required(f, c) && n < sizeof(why))
			n += (size_t)fmt_snprintf(why + n, sizeof(why) - n, "%s%s",
						  n ? ", " : "the CPU's VT-x lacks ", c->name);
		else if (offered(f, c) && c->need != MAY_BE_0 && c->need != MAY_BE_1)
			on[c->word] |= c->bit;
	*caps = (struct vmx_caps){
		.pin = on[PIN],
		.proc = on[PROC],
		.proc2 = on[PROC2],
		.exit = on[EXIT] | (on[PIN] & PIN_POSTED_INTERRUPTS ? EXIT_ACK_INTERRUPT : 0),
		.entry = on[ENTRY],
		.timer_rate = vmx_msr(f, MSR_VMX_MISC) & VMX_MISC_TIMER_RATE,
		.apicv = !(~on[PROC2] & PROC2_APICV),
		.posted = on[PIN] & PIN_POSTED_INTERRUPTS,
		.vpid = on[PROC2] & PROC2_VPID,
		.unrestricted = on[PROC2] & PROC2_UNRESTRICTED,
		.ept_ad = on[EPT] & EPT_CAN_ACCESSED_DIRTY,
		.ept_leaf = !(on[EPT] & EPT_CAN_2M) ? 1
			    : on[EPT] & EPT_CAN_1G  ? 3
						    : 2,
		.invept = on[EPT] & EPT_CAN_INVEPT_SINGLE ? INV_SINGLE : INV_ALL,
	};
	return n ? why : absurd(f);
}

bool vmx_probe(const struct cpu_facts *f, const char **why)
{
	struct vmx_caps c;

	*why = !f->vmx		   ? "the CPU does not offer VT-x"
	       : f->vmx_locked_off ? "VT-x is switched off by the firmware; enable it in its set-up"
				   : vmx_negotiate(f, &c);
	return !*why;
}

void vmx_features(char *buf, size_t size)
{
	size_t n = (size_t)fmt_snprintf(buf, size, "ept");

	for (const struct control *c = controls; c < controls + ARRAY_SIZE(controls); c++)
		if (c->need == OPTION && offered(&cpu_facts, c) && n < size)
			n += (size_t)fmt_snprintf(buf + n, size - n, " %s", c->name);
}

void vmx_fallbacks(void)
{
	for (const struct control *c = controls; c < controls + ARRAY_SIZE(controls); c++)
		if (c->need == OPTION && !offered(&cpu_facts, c))
			log_notice("vmx: without %s: %s", c->name, c->instead);
}
