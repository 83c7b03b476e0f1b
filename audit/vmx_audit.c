/*
 * Why VM entry would refuse the guest state: each rule names its field, as the CPU does not; and
 * the VMCS as text.
 */
#include "arch/cpu.h"
#include "arch/event.h"
#include "audit/vendor.h"
#include "audit/vmcs_fields.h"
#include "lib/fmt.h"
#include "lib/guest_rules.h"
#include "lib/string.h"

#define DEBUGCTL_BTF (1ull << 1)
enum { CR0_FIXED0, CR0_FIXED1, CR4_FIXED0, CR4_FIXED1 }; /* in vcpu_record.fixed */

static u64 beyond_memory(const struct vcpu_record *r) { return ~(BIT(r->phys_bits) - 1); }
static struct vmcs_guest_fields fields_of(const struct vcpu_record *r)
{
#define FIELD(name, number) .name = r->word[VMCS_WORD(number)],
	return (struct vmcs_guest_fields){RECORD_FIELDS(FIELD)};
}
static bool long_mode(const struct vmcs_guest_fields *g)
{
	return g->ENTRY_CONTROLS & ENTRY_LONG_MODE;
}

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
static_assert(offsetof(struct vmcs_guest_fields, GUEST_TR_ATTR) ==
		      offsetof(struct vmcs_guest_fields, GUEST_ES_SELECTOR) +
			      SEGS * sizeof(struct segment) - sizeof(u64),
	      "the segments' fields lie as struct segment, in the order of enum seg");

static const struct segment *segment(const struct vmcs_guest_fields *g, u32 i)
{
	return (const struct segment *)&g->GUEST_ES_SELECTOR + i;
}

static u32 dpl(const struct segment *s) { return s->attr >> ATTR_DPL_SHIFT & 3; }

/* Which of them the type of a segment may be, one bit each. */
static u32 types(const struct vmcs_guest_fields *g, u32 i)
{
	switch (i) {
	case SEG_CS: return BIT(3) | BIT(9) | BIT(11) | BIT(13) | BIT(15);
	case SEG_SS: return BIT(3) | BIT(7);
	case SEG_LDTR: return BIT(2);
	case SEG_TR: return long_mode(g) ? BIT(11) : BIT(3) | BIT(11);
	default: return 0xa0aa | BIT(11) | BIT(15); /* accessed, and code is readable */
	}
}

static bool dpl_wrong(const struct vmcs_guest_fields *g, u32 i)
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
static const char *segment_broken(const struct vmcs_guest_fields *g, u32 i)
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

static const char *control_broken(const struct vcpu_record *r, const struct vmcs_guest_fields *g)
{
	u64 cr0 = g->GUEST_CR0, cr4 = g->GUEST_CR4, unrestricted = CR0_PE | CR0_PG;
	const char *cr = cr_broken(&r->may, cr0, cr4 & ~(u64)CR4_VMXE, g->GUEST_EFER);
	const struct rule rules[] = {
		{(r->fixed[CR0_FIXED0] & ~unrestricted & ~cr0) || cr0 & ~r->fixed[CR0_FIXED1],
		 "GUEST_CR0: a bit is not as VT-x fixes it"},
		{(r->fixed[CR4_FIXED0] & ~cr4) || cr4 & ~r->fixed[CR4_FIXED1],
		 "GUEST_CR4: a bit is not as VT-x fixes it"},
		{cr, cr},
		{long_mode(g) && !(cr0 & CR0_PG), "GUEST_CR0: PG is clear in a 64-bit guest"},
		{long_mode(g) != !!(g->GUEST_EFER & EFER_LMA),
		 "GUEST_EFER: LMA is not the entry control \"IA-32e mode guest\""},
		{g->GUEST_CR3 & beyond_memory(r),
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

static const char *flow_broken(const struct vmcs_guest_fields *g)
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
		{event && !event_valid((u32)g->ENTRY_INTR_INFO, false),
		 "ENTRY_INTR_INFO: a type or vector that can't be injected"},
	};

	return FIRST_BROKEN(rules);
}

/* ---- Tables that the VMCS points to ---- */

static const char *tables_broken(const struct vcpu_record *r, const struct vmcs_guest_fields *g)
{
	u64 pdpte[] = {g->GUEST_PDPTE0, g->GUEST_PDPTE1, g->GUEST_PDPTE2, g->GUEST_PDPTE3};
	bool pae = g->GUEST_CR0 & CR0_PG && g->GUEST_CR4 & CR4_PAE && !long_mode(g), bad = false;
	u64 ept = EPTP_WRITE_BACK | EPTP_4_LEVELS, page = beyond_memory(r) | 0xfff;

	for (u32 i = 0; i < ARRAY_SIZE(pdpte); i++)
		bad |= pae && pdpte[i] & 1 && pdpte[i] & (beyond_memory(r) | 0x1e6);

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

/* Where the CPU can't do without protection and the guest does, no entry is made. */
static bool emulated(const struct vmcs_guest_fields *g)
{
	return g->GUEST_CR0 & ~g->CR0_SHADOW & CR0_PE;
}

const char *vmx_audit(const struct vcpu_record *r)
{
	const struct vmcs_guest_fields g = fields_of(r);
	const char *bad;

	if (emulated(&g))
		return NULL;
	bad = control_broken(r, &g);
	for (u32 i = 0; !bad && i < SEGS; i++)
		bad = segment_broken(&g, i);
	if (!bad)
		bad = flow_broken(&g);
	return bad ? bad : tables_broken(r, &g);
}

/* ---- As text ---- */

#define LINE_BYTES 120 /* longer than any field's name and value */

static const struct {
	const char *name;
	u32 word;
} fields[] = {
#define NAME(name, number) {#name, VMCS_WORD(number)},
	RECORD_FIELDS(NAME)};

/* Intel SDM 3, "VM-Instruction Error Numbers": those that an entry can end with. */
static const char *error_text(u64 error)
{
	switch (error) {
	case 4: return "VMLAUNCH with a VMCS that is not clear";
	case 5: return "VMRESUME with a VMCS that is not launched";
	case 7: return "a control field is invalid";
	case 8: return "a host-state field is invalid";
	case 26: return "events are blocked by MOV SS";
	default: return "see the SDM's VM-instruction error numbers";
	}
}

static void say_refusal(const struct vcpu_record *r, void (*say)(const char *line))
{
	const struct vmcs_guest_fields g = fields_of(r);
	char text[LINE_BYTES];

	audit_say(vmx_audit(r), say);
	if (g.EXIT_REASON & EXIT_ENTRY_FAILED)
		return; /* the guest's state was refused, not the instruction */
	fmt_snprintf(text, sizeof(text), "vmx: VMLAUNCH or VMRESUME failed, error %lu: %s",
		     g.VM_INSTRUCTION_ERROR, error_text(g.VM_INSTRUCTION_ERROR));
	say(text);
}

void vmx_report(const struct vcpu_record *r, bool refused, void (*say)(const char *line))
{
	char line[LINE_BYTES] = "vmx:", field[LINE_BYTES];
	u32 used = 4, n;

	if (refused)
		say_refusal(r, say);
	for (u32 i = 0; i < ARRAY_SIZE(fields); i++) {
		u64 value = r->word[fields[i].word];

		if (!value)
			continue;
		n = (u32)fmt_snprintf(field, sizeof(field), " %s %lx", fields[i].name, value);
		if (used + n >= sizeof(line)) {
			say(line);
			used = 4;
		}
		memcpy(line + used, field, n + 1);
		used += n;
	}
	say(line);
}
