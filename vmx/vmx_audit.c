/* Why VM entry would refuse the guest state: each rule names its field, as the CPU does not. */
#include "vmx/vmx.h"

#include "arch/cpu.h"
#include "arch/msr.h"
#include "hv/up.h"

#define DEBUGCTL_BTF (1ull << 1)

static u64 beyond_memory(void) { return ~(BIT(cpu_facts.phys_bits) - 1); }
static u64 fixed(u32 msr) { return cpu_facts.vmx_msr[msr - MSR_VMX_BASIC]; }
static bool long_mode(const struct vmx_fields *g) { return g->ENTRY_CONTROLS & ENTRY_LONG_MODE; }

/* ---- Segments ---- */

enum attr {
	ATTR_TYPE = 0xf,
	ATTR_ACCESSED = 1u << 0,
	ATTR_READABLE = 1u << 1, /* of code */
	ATTR_CODE = 1u << 3,
	ATTR_S = 1u << 4,
	ATTR_DPL_SHIFT = 5,
	ATTR_P = 1u << 7,
	ATTR_L = 1u << 13,
	ATTR_DB = 1u << 14,
	ATTR_G = 1u << 15,
	ATTR_RESERVED = 0xfffe0f00,
};

struct segment {
	u64 selector, base, limit, attr;
};
static_assert(offsetof(struct vmx_fields, GUEST_TR_ATTR) ==
		      offsetof(struct vmx_fields, GUEST_ES_SELECTOR) +
			      SEGS * sizeof(struct segment) - sizeof(u64),
	      "the segments' fields lie as struct segment, in the order of enum seg");

static const struct segment *segment(const struct vmx_fields *g, u32 i)
{
	return (const struct segment *)&g->GUEST_ES_SELECTOR + i;
}

static u32 dpl(const struct segment *s) { return s->attr >> ATTR_DPL_SHIFT & 3; }

/* Which of them the type of a segment may be, one bit each. */
static u32 types(const struct vmx_fields *g, u32 i)
{
	switch (i) {
	case SEG_CS: return BIT(3) | BIT(9) | BIT(11) | BIT(13) | BIT(15);
	case SEG_SS: return BIT(3) | BIT(7);
	case SEG_LDTR: return BIT(2);
	case SEG_TR: return long_mode(g) ? BIT(11) : BIT(3) | BIT(11);
	default: return 0xa0aa | BIT(11) | BIT(15); /* accessed, and code is readable */
	}
}

static bool dpl_wrong(const struct vmx_fields *g, u32 i)
{
	const struct segment *cs = segment(g, SEG_CS), *ss = segment(g, SEG_SS);
	u32 type = cs->attr & ATTR_TYPE;

	if (i == SEG_SS)
		return (type == 3 || !(g->GUEST_CR0 & CR0_PE)) && dpl(ss);
	if (i != SEG_CS)
		return false;
	return type == 3 ? dpl(cs) : type < 13 ? dpl(cs) != dpl(ss) : dpl(cs) > dpl(ss);
}

enum { SEG_RULES = 11 };
#define SEGMENT_TEXTS(name)                                                                        \
	{                                                                                          \
		"GUEST_" #name "_SELECTOR: TI is set",                                             \
			"GUEST_" #name "_BASE: not canonical, or bits 63:32 are not zero",         \
			"GUEST_" #name "_BASE: not 16 times the selector in virtual-8086 mode",    \
			"GUEST_" #name "_LIMIT: not 0xffff in virtual-8086 mode",                  \
			"GUEST_" #name "_ATTR: not 0xf3 in virtual-8086 mode",                     \
			"GUEST_" #name "_ATTR: a type that it can't have",                         \
			"GUEST_" #name "_ATTR: S is wrong for it",                                 \
			"GUEST_" #name "_ATTR: a DPL that does not fit CS and SS",                 \
			"GUEST_" #name "_ATTR: not present, or a reserved bit is set",             \
			"GUEST_" #name "_ATTR: L and D are both set",                              \
			"GUEST_" #name "_LIMIT: does not fit G of the attributes",                 \
	}
static const char *const segment_texts[SEGS][SEG_RULES] = {
	SEGMENT_TEXTS(ES), SEGMENT_TEXTS(CS), SEGMENT_TEXTS(SS),   SEGMENT_TEXTS(DS),
	SEGMENT_TEXTS(FS), SEGMENT_TEXTS(GS), SEGMENT_TEXTS(LDTR), SEGMENT_TEXTS(TR)};

/* With "unrestricted guest": rules about RPL do not hold. */
static const char *segment_broken(const struct vmx_fields *g, u32 i)
{
	const struct segment *s = segment(g, i);
	bool system = i >= SEG_LDTR, usable = !(s->attr & VMCS_ATTR_UNUSABLE);
	bool v86 = g->GUEST_RFLAGS & RFLAGS_VM && !system;
	bool needed = i == SEG_TR || i == SEG_CS, based = needed || i == SEG_FS || i == SEG_GS;
	bool wide = system || i == SEG_FS || i == SEG_GS, check = !v86 && (usable || needed);
	const bool broken[SEG_RULES] = {
		system && (usable || needed) && s->selector & 4,
		(based || usable) && (wide ? !canonical(s->base) : s->base >> 32 != 0),
		v86 && s->base != s->selector << 4,
		v86 && s->limit != 0xffff,
		v86 && s->attr != 0xf3,
		check && !(types(g, i) >> (s->attr & ATTR_TYPE) & 1),
		check && !(s->attr & ATTR_S) != system,
		!v86 && dpl_wrong(g, i),
		check && (!(s->attr & ATTR_P) || s->attr & ATTR_RESERVED ||
			  (i == SEG_TR && !usable)),
		check && i == SEG_CS && long_mode(g) && s->attr & ATTR_L && s->attr & ATTR_DB,
		check && (s->attr & ATTR_G ? (s->limit & 0xfff) != 0xfff : s->limit >> 20 != 0),
	};

	for (u32 r = 0; r < SEG_RULES; r++)
		if (broken[r])
			return segment_texts[i][r];
	return NULL;
}

/* ---- Registers ---- */

static const char *control_broken(const struct vmx_fields *g)
{
	u64 cr0 = g->GUEST_CR0, cr4 = g->GUEST_CR4, unrestricted = CR0_PE | CR0_PG;
	const char *cr = cr_broken(cr0, cr4 & ~(u64)CR4_VMXE, g->GUEST_EFER);
	const struct rule rules[] = {
		{(fixed(MSR_VMX_CR0_FIXED0) & ~unrestricted & ~cr0) ||
			 cr0 & ~fixed(MSR_VMX_CR0_FIXED1),
		 "GUEST_CR0: a bit is not as VT-x fixes it"},
		{(fixed(MSR_VMX_CR4_FIXED0) & ~cr4) || cr4 & ~fixed(MSR_VMX_CR4_FIXED1),
		 "GUEST_CR4: a bit is not as VT-x fixes it"},
		{cr, cr},
		{long_mode(g) && !(cr0 & CR0_PG), "GUEST_CR0: PG is clear in a 64-bit guest"},
		{long_mode(g) != !!(g->GUEST_EFER & EFER_LMA),
		 "GUEST_EFER: LMA is not the entry control \"IA-32e mode guest\""},
		{g->GUEST_CR3 & beyond_memory(),
		 "GUEST_CR3: a bit beyond the physical address width is set"},
		{g->GUEST_DR7 >> 32, "GUEST_DR7: bits 63:32 are not zero"},
		{g->GUEST_DEBUGCTL & ~0xdfc3ull, "GUEST_DEBUGCTL: a reserved bit is set"},
		{!canonical(g->GUEST_SYSENTER_ESP), "GUEST_SYSENTER_ESP: not canonical"},
		{!canonical(g->GUEST_SYSENTER_EIP), "GUEST_SYSENTER_EIP: not canonical"},
		{!pat_valid(g->GUEST_PAT), "GUEST_PAT: a memory type that does not exist"},
		{!canonical(g->GUEST_GDTR_BASE), "GUEST_GDTR_BASE: not canonical"},
		{!canonical(g->GUEST_IDTR_BASE), "GUEST_IDTR_BASE: not canonical"},
		{g->GUEST_GDTR_LIMIT >> 16, "GUEST_GDTR_LIMIT: bits 31:16 are not zero"},
		{g->GUEST_IDTR_LIMIT >> 16, "GUEST_IDTR_LIMIT: bits 31:16 are not zero"},
	};

	return FIRST_BROKEN(rules);
}

/* ---- What is neither: instruction pointer, blocking, pending events ---- */

static const char *flow_broken(const struct vmx_fields *g)
{
	u64 flags = g->GUEST_RFLAGS, blocked = g->GUEST_BLOCKING, debug = g->GUEST_PENDING_DEBUG;
	bool event = g->ENTRY_INTR_INFO & HV_EVENT_VALID, active = !g->GUEST_ACTIVITY;
	u32 type = g->ENTRY_INTR_INFO & EVENT_TYPE_MASK;
	bool irq = event && type == HV_EVENT_IRQ;
	bool nmi = event && type == (HV_EVENT_NMI & EVENT_TYPE_MASK);
	bool wide = long_mode(g) && g->GUEST_CS_ATTR & ATTR_L;
	bool step = flags & RFLAGS_TF && !(g->GUEST_DEBUGCTL & DEBUGCTL_BTF);
	const struct rule rules[] = {
		{wide ? !canonical(g->GUEST_RIP) : g->GUEST_RIP >> 32 != 0,
		 "GUEST_RIP: not canonical, or bits 63:32 are not zero outside of 64-bit code"},
		{flags & ~0x3f7fd7ull || !(flags & RFLAGS_FIXED),
		 "GUEST_RFLAGS: a reserved bit is not as it must be"},
		{flags & RFLAGS_VM && (long_mode(g) || !(g->GUEST_CR0 & CR0_PE)),
		 "GUEST_RFLAGS: VM in a 64-bit guest or in real mode"},
		{irq && !(flags & RFLAGS_IF),
		 "GUEST_RFLAGS: IF is clear and an interrupt is injected"},
		{g->GUEST_ACTIVITY > 3, "GUEST_ACTIVITY: a state that does not exist"},
		{g->GUEST_ACTIVITY == 1 && dpl(segment(g, SEG_SS)),
		 "GUEST_ACTIVITY: HLT outside of ring 0"},
		{!active && blocked & BLOCKED_SHADOW,
		 "GUEST_ACTIVITY: not active behind STI or MOV SS"},
		{blocked & ~0xfull, "GUEST_BLOCKING: a reserved bit or SMI is set"},
		{(blocked & BLOCKED_SHADOW) == BLOCKED_SHADOW,
		 "GUEST_BLOCKING: by STI and by MOV SS"},
		{blocked & BLOCKED_STI && !(flags & RFLAGS_IF),
		 "GUEST_BLOCKING: by STI without IF"},
		{irq && blocked & BLOCKED_SHADOW,
		 "GUEST_BLOCKING: by STI or MOV SS, and an interrupt is injected"},
		{nmi && blocked & (BLOCKED_MOV_SS | BLOCKED_NMI),
		 "GUEST_BLOCKING: by MOV SS or NMI, and an NMI is injected"},
		{debug & ~0x1500full, "GUEST_PENDING_DEBUG: a reserved bit is set"},
		{(blocked & BLOCKED_SHADOW || g->GUEST_ACTIVITY == 1) &&
			 !!(debug & PENDING_DEBUG_BS) != step,
		 "GUEST_PENDING_DEBUG: BS is not TF without BTF"},
		{event && !vmx_event_valid((u32)g->ENTRY_INTR_INFO),
		 "ENTRY_INTR_INFO: a type or vector that can't be injected"},
	};

	return FIRST_BROKEN(rules);
}

/* ---- Tables that the VMCS points to ---- */

static const char *tables_broken(const struct vmx_fields *g)
{
	u64 pdpte[] = {g->GUEST_PDPTE0, g->GUEST_PDPTE1, g->GUEST_PDPTE2, g->GUEST_PDPTE3};
	bool pae = g->GUEST_CR0 & CR0_PG && g->GUEST_CR4 & CR4_PAE && !long_mode(g), bad = false;
	u64 ept = EPTP_WRITE_BACK | EPTP_4_LEVELS, page = beyond_memory() | 0xfff;

	for (u32 i = 0; i < ARRAY_SIZE(pdpte); i++)
		bad |= pae && pdpte[i] & 1 && pdpte[i] & (beyond_memory() | 0x1e6);

	const struct rule rules[] = {
		{bad, "GUEST_PDPTE0-3: a reserved bit is set in one"},
		{(g->EPT_POINTER & page & ~(u64)EPTP_ACCESSED_DIRTY) != ept,
		 "EPT_POINTER: not write-back with 4 levels, or beyond the physical address width"},
		{g->PROC2_CONTROLS & PROC2_VPID && !g->VPID, "VPID: zero"},
		{g->MSR_BITMAP & page,
		 "MSR_BITMAP: unaligned or beyond the physical address width"},
		{g->VIRTUAL_APIC_PAGE & page,
		 "VIRTUAL_APIC_PAGE: unaligned or beyond the physical address width"},
		{g->LINK_POINTER != ~0ull, "LINK_POINTER: not all ones"},
	};

	return FIRST_BROKEN(rules);
}

const char *vmx_audit_fields(const struct vmx_fields *g)
{
	const char *bad = control_broken(g);

	for (u32 i = 0; !bad && i < SEGS; i++)
		bad = segment_broken(g, i);
	if (!bad)
		bad = flow_broken(g);
	return bad ? bad : tables_broken(g);
}

/* What is written at entry is of the last one, or not there yet. */
const char *vmx_audit(struct vcpu *v)
{
#define VMX_FIELD_NUMBER(bits, name, number) number,
	static const u32 numbers[] = {VMCS_FIELDS(VMX_FIELD_NUMBER)};
	struct vmx_fields g = {0};

	for (u32 i = 0; i < ARRAY_SIZE(numbers); i++)
		vmx_read(numbers[i], &((u64 *)&g)[i]);
	g.GUEST_RIP = v->priv->regs.rip;
	g.GUEST_RFLAGS = v->priv->regs.rflags;
	g.VPID = MAX(g.VPID, 1ull);
	return vmx_audit_fields(&g);
}
