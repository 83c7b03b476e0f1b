/* Guest state in and out of the VMCS. Intel SDM 3, "Guest-State Area", "Checks on Guest State". */
#include "vmx/vmx.h"

#include "lib/string.h"

/* Fields of 8 bytes in the state; in the VMCS they have the width that their number tells. */
static const struct {
	u32 group; /* enum state_group */
	u16 state;
	u16 field;
} fields[] = {
/* clang-format off */
#define FIELD(group, name, field) {group, offsetof(struct vcpu_state, name), VMCS_ID_##field}
	/* clang-format on */
	FIELD(STATE_DR, dr7, GUEST_DR7),
	FIELD(STATE_SEG, gdtr.base, GUEST_GDTR_BASE),
	FIELD(STATE_SEG, idtr.base, GUEST_IDTR_BASE),
	FIELD(STATE_MSR, msr.sysenter_cs, GUEST_SYSENTER_CS),
	FIELD(STATE_MSR, msr.sysenter_esp, GUEST_SYSENTER_ESP),
	FIELD(STATE_MSR, msr.sysenter_eip, GUEST_SYSENTER_EIP),
	FIELD(STATE_MSR, msr.pat, GUEST_PAT),
	FIELD(STATE_CLOCK, clock.tsc_offset, TSC_OFFSET),
};

#define SHARED_BYTES sizeof(u64[SHARED_MSRS]) /* of msr, from its start on */
static_assert(offsetof(struct vcpu_state, msr.tsc_aux) ==
		      offsetof(struct vcpu_state, msr) + SHARED_TSC_AUX * sizeof(u64),
	      "the shared MSRs stand there in the order of enum vmx_shared_msr");

static u64 *at(const struct vcpu_state *st, u32 offset) { return (u64 *)((u8 *)st + offset); }

#define PDPTES ARRAY_SIZE(((struct vcpu_state *)NULL)->pdpte)
static bool pae_paging(const struct vcpu_state *st)
{
	return st->cr4 & CR4_PAE && !(st->efer & EFER_LMA);
}

/* The attributes stand apart in the VMCS: bits 8 to 11 at 12. */
static u32 attr_to_vmcs(u32 attr)
{
	return attr & SEG_ATTR_P ? (attr & 0xff) | (attr & 0xf00) << 4
				 : VMCS_ATTR_UNUSABLE | (attr & 0x6f);
}

static u16 attr_from_vmcs(u32 attr)
{
	u32 a = (attr & 0xff) | (attr >> 4 & 0xf00);

	return (u16)(attr & VMCS_ATTR_UNUSABLE ? a & ~SEG_ATTR_P : a);
}

/* As the guest sees them: bits that are not its own come from the shadow. */
static u64 cr0_get(void)
{
	return (vmcs_read64(VMCS_CR0_SHADOW) & ~VMX_CR0_GUEST_OWNED) |
	       (vmcs_read64(VMCS_GUEST_CR0) & VMX_CR0_GUEST_OWNED);
}

static u64 cr4_get(void)
{
	return (vmcs_read64(VMCS_CR4_SHADOW) & ~VMX_CR4_GUEST_OWNED) |
	       (vmcs_read64(VMCS_GUEST_CR4) & VMX_CR4_GUEST_OWNED);
}

static u64 cr3_get(const struct vmx_vcpu *s)
{
	return s->flat ? s->flat_cr3 : vmcs_read64(VMCS_GUEST_CR3);
}

static void cr3_put(struct vmx_vcpu *s, u64 value)
{
	if (s->flat)
		s->flat_cr3 = value;
	else
		vmcs_write64(VMCS_GUEST_CR3, value);
}

static void cr4_put(const struct vmx_vcpu *s, u64 value)
{
	vmcs_write64(VMCS_CR4_SHADOW, value);
	if (s->flat)
		value = (value & ~(u64)VMX_CR4_PAGING) | CR4_PSE;
	vmcs_write64(VMCS_GUEST_CR4, value | CR4_VMXE | CR4_MCE);
}

/*
 * Without "unrestricted guest" the CPU always pages: through a table that the monitor provides
 * while the guest does not. Then the guest's CR3 is not the CPU's.
 */
static void set_flat(struct vmx_vcpu *s, bool flat)
{
	u64 cr3 = cr3_get(s), cr4 = cr4_get();

	if (flat == s->flat)
		return;
	s->flat = flat;
	s->windows ^= PROC_CR3_LOAD_EXIT | PROC_CR3_STORE_EXIT;
	if (flat)
		vmcs_write64(VMCS_GUEST_CR3, VM_FLAT_TABLE);
	cr3_put(s, cr3);
	cr4_put(s, cr4);
}

/* VT-x wants NE; CD and NW of a guest would not reach the CPU. */
static void cr0_put(struct vmx_vcpu *s, u64 value)
{
	vmcs_write64(VMCS_CR0_SHADOW, value);
	if (!vmx_caps.unrestricted) {
		s->real = !(value & CR0_PE);
		set_flat(s, !(value & CR0_PG));
		value |= CR0_PE | CR0_PG;
	}
	vmcs_write64(VMCS_GUEST_CR0, (value & ~(u64)(CR0_CD | CR0_NW)) | CR0_NE);
}

/* LME without LMA would need CR0.PG clear. */
static void efer_put(struct vmx_vcpu *s, u64 value)
{
	u32 entry = vmx_caps.entry | (value & EFER_LMA ? ENTRY_LONG_MODE : 0);

	s->efer = value;
	if (!vmx_caps.unrestricted && !(value & EFER_LMA))
		value &= ~(u64)EFER_LME;
	vmcs_write64(VMCS_GUEST_EFER, value);
	vmcs_write32(VMCS_ENTRY_CONTROLS, entry);
}

/* ---- Out ---- */

static void get_segments(struct vcpu_state *st)
{
	for (u32 i = 0; i < SEGS; i++)
		st->seg[i] = (struct seg_state){
			(u16)vmx_read_known(VMCS_ID_GUEST_ES_SELECTOR + 2 * i),
			attr_from_vmcs((u32)vmx_read_known(VMCS_ID_GUEST_ES_ATTR + 2 * i)),
			(u32)vmx_read_known(VMCS_ID_GUEST_ES_LIMIT + 2 * i),
			vmx_read_known(VMCS_ID_GUEST_ES_BASE + 2 * i),
		};
	st->gdtr.limit = vmcs_read32(VMCS_GUEST_GDTR_LIMIT);
	st->idtr.limit = vmcs_read32(VMCS_GUEST_IDTR_LIMIT);
}

static void get_events(struct vmx_vcpu *s, struct vcpu_state *st)
{
	u32 blocked = vmcs_read32(VMCS_GUEST_BLOCKING);

	st->event.nmi_blocked = (blocked & BLOCKED_NMI) != 0;
	st->event.sti_blocked = (blocked & BLOCKED_SHADOW) != 0;
	st->event.injecting = s->event;
	st->event.injecting_error = s->event ? s->error : 0;
}

void vmx_get_state(struct vcpu *v, struct vcpu_state *st, u32 groups)
{
	struct vmx_vcpu *s = to_vmx(v);

	for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
		if (groups & fields[i].group)
			*at(st, fields[i].state) = vmx_read_known(fields[i].field);
	if (groups & STATE_SEG)
		get_segments(st);
	if (groups & STATE_CR) {
		st->cr0 = cr0_get();
		st->cr3 = cr3_get(s);
		st->cr4 = cr4_get();
		st->efer = s->efer;
		for (u32 i = 0; i < PDPTES && pae_paging(st); i++)
			st->pdpte[i] = vmx_read_known(VMCS_ID_GUEST_PDPTE0 + 2 * i);
	}
	if (groups & STATE_MSR) {
		vmx_msrs_out(s);
		memcpy(&st->msr, vmx_private(s)->msr, SHARED_BYTES);
	}
	if (groups & STATE_EVENT)
		get_events(s, st);
}

/* ---- In ---- */

static void set_segments(const struct vcpu_state *st)
{
	for (u32 i = 0; i < SEGS; i++) {
		const struct seg_state *g = &st->seg[i];

		vmx_write(VMCS_ID_GUEST_ES_SELECTOR + 2 * i, g->selector);
		vmx_write(VMCS_ID_GUEST_ES_ATTR + 2 * i, attr_to_vmcs(g->attr));
		vmx_write(VMCS_ID_GUEST_ES_LIMIT + 2 * i, g->limit);
		vmx_write(VMCS_ID_GUEST_ES_BASE + 2 * i, g->base);
	}
	vmcs_write32(VMCS_GUEST_GDTR_LIMIT, st->gdtr.limit);
	vmcs_write32(VMCS_GUEST_IDTR_LIMIT, st->idtr.limit);
}

static void set_control(struct vmx_vcpu *s, const struct vcpu_state *st)
{
	if (state_flushes(st, cr0_get(), cr3_get(s), cr4_get(), s->efer))
		s->flush = true;
	cr0_put(s, st->cr0);
	cr3_put(s, st->cr3);
	cr4_put(s, st->cr4);
	efer_put(s, st->efer);
	for (u32 i = 0; i < PDPTES && pae_paging(st); i++)
		vmx_write(VMCS_ID_GUEST_PDPTE0 + 2 * i, st->pdpte[i]);
}

/* With IF clear only a shadow of MOV SS can be. */
static void set_events(struct vmx_vcpu *s, const struct vcpu_state *st)
{
	u32 shadow = s->vcpu.priv->regs.rflags & RFLAGS_IF ? BLOCKED_STI : BLOCKED_MOV_SS;

	vmx_block((st->event.sti_blocked ? shadow : 0) | (st->event.nmi_blocked ? BLOCKED_NMI : 0),
		  BLOCKED_SHADOW | BLOCKED_NMI);
	vmcs_write64(VMCS_GUEST_PENDING_DEBUG, 0); /* that of a step comes back from the shadow */
	s->event = st->event.injecting;
	s->error = st->event.injecting_error;
}

void vmx_set_state(struct vcpu *v, const struct vcpu_state *st, u32 groups)
{
	struct vmx_vcpu *s = to_vmx(v);

	for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
		if (groups & fields[i].group)
			vmx_write(fields[i].field, *at(st, fields[i].state));
	if (groups & STATE_SEG)
		set_segments(st);
	if (groups & STATE_CR)
		set_control(s, st);
	if (groups & STATE_DR)
		s->breakpoints = st->dr7 & DR7_ENABLE_MASK;
	if (groups & STATE_MSR) {
		vmx_msrs_out(s);
		memcpy(vmx_private(s)->msr, &st->msr, SHARED_BYTES);
	}
	if (groups & STATE_EVENT)
		set_events(s, st);
}

/* ---- Single steps of common code ---- */

void vmx_read_mode(struct vcpu *v, struct hv_mode *m)
{
	const struct vmx_vcpu *s = to_vmx(v);

	*m = (struct hv_mode){
		.cr3 = cr3_get(s),
		.cr4 = cr4_get(),
		.efer = s->efer,
		.cs_attr = attr_from_vmcs(vmcs_read32(VMCS_GUEST_CS_ATTR)),
		.cpl = vmcs_read32(VMCS_GUEST_SS_ATTR) >> 5 & 3,
	};
}

void vmx_end_shadow(struct vcpu *v) { vmx_block(0, BLOCKED_SHADOW); }
