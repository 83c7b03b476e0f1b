/*
 * Guest state in and out of the control block. AMD APM 2, "VMCB State Save Area", "Canonicalization
 * and Consistency Checks".
 */
#include "svm/svm.h"

#include "arch/msr.h"
#include "hv/x86.h"

/* Where each segment of enum seg is. */
/* clang-format off */
static const u16 seg_offset[SEGS] = {
	[SEG_ES] = offsetof(struct vmcb, es), [SEG_CS] = offsetof(struct vmcb, cs),
	[SEG_SS] = offsetof(struct vmcb, ss), [SEG_DS] = offsetof(struct vmcb, ds),
	[SEG_FS] = offsetof(struct vmcb, fs), [SEG_GS] = offsetof(struct vmcb, gs),
	[SEG_LDTR] = offsetof(struct vmcb, ldtr), [SEG_TR] = offsetof(struct vmcb, tr),
};
/* clang-format on */

static struct vmcb_seg *seg_of(struct vmcb *b, u32 seg)
{
	return (struct vmcb_seg *)((u8 *)b + seg_offset[seg]);
}

/* Fields of 8 bytes that are alike on both sides. */
static const struct {
	u32 group; /* enum state_group */
	u16 state, block;
} fields[] = {
/* clang-format off */
#define FIELD(group, name, member) \
	{group, offsetof(struct vcpu_state, name), offsetof(struct vmcb, member)}
	/* clang-format on */
	FIELD(STATE_CR, cr0, cr0),
	FIELD(STATE_CR, cr3, cr3),
	FIELD(STATE_CR, cr4, cr4),
	FIELD(STATE_CR, efer, efer),
	FIELD(STATE_DR, dr7, dr7),
	FIELD(STATE_SEG, gdtr.base, gdtr.base),
	FIELD(STATE_SEG, idtr.base, idtr.base),
	FIELD(STATE_MSR, msr.star, star),
	FIELD(STATE_MSR, msr.lstar, lstar),
	FIELD(STATE_MSR, msr.cstar, cstar),
	FIELD(STATE_MSR, msr.sfmask, sfmask),
	FIELD(STATE_MSR, msr.kernel_gs_base, kernel_gs_base),
	FIELD(STATE_MSR, msr.sysenter_cs, sysenter_cs),
	FIELD(STATE_MSR, msr.sysenter_esp, sysenter_esp),
	FIELD(STATE_MSR, msr.sysenter_eip, sysenter_eip),
	FIELD(STATE_MSR, msr.pat, g_pat),
	FIELD(STATE_CLOCK, clock.tsc_offset, tsc_offset),
};

static u64 *state_field(const struct vcpu_state *st, u32 i)
{
	return (u64 *)((u8 *)st + fields[i].state);
}

static u64 *block_field(const struct vmcb *b, u32 i) { return (u64 *)((u8 *)b + fields[i].block); }

/* With MCE clear a machine check would shut the CPU down, which looks like a triple fault. */
static u64 guest_cr4(const struct svm_vcpu *s) { return s->vmcb->cr4 & ~s->cr4_own; }

/* ---- Out ---- */

static void get_segments(struct svm_vcpu *s, struct vcpu_state *st)
{
	struct vmcb *b = s->vmcb;

	for (u32 i = 0; i < SEGS; i++) {
		const struct vmcb_seg *g = seg_of(b, i);

		st->seg[i] = (struct seg_state){g->selector, g->attrib, g->limit, g->base};
	}
	/* The CPU keeps the privilege level apart; SS.DPL may be stale. */
	st->seg[SEG_SS].attr = (u16)((b->ss.attrib & ~0x60u) | (u32)(b->cpl & 3) << 5);
	st->gdtr.limit = b->gdtr.limit;
	st->idtr.limit = b->idtr.limit;
}

void svm_get_state(struct vcpu *v, struct vcpu_state *st, u32 groups)
{
	struct svm_vcpu *s = to_svm(v);

	for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
		if (groups & fields[i].group)
			*state_field(st, i) = *block_field(s->vmcb, i);
	if (groups & STATE_SEG)
		get_segments(s, st);
	if (groups & STATE_CR) {
		st->cr4 = guest_cr4(s);
		st->efer &= ~(u64)EFER_SVME;
	}
	if (groups & STATE_MSR)
		st->msr.tsc_aux = cpu_facts.rdtscp ? rdmsr(MSR_TSC_AUX) : 0;
	if (groups & STATE_EVENT) {
		st->event.nmi_blocked = s->nmi != SVM_NMI_OPEN;
		st->event.sti_blocked = s->vmcb->int_state & INT_STATE_SHADOW;
		st->event.injecting = s->vmcb->event_inj & HV_EVENT_VALID ? s->vmcb->event_inj : 0;
		st->event.injecting_error = st->event.injecting ? s->vmcb->event_inj_error : 0;
	}
}

/* ---- In ---- */

static void set_segments(struct svm_vcpu *s, const struct vcpu_state *st)
{
	struct vmcb *b = s->vmcb;

	for (u32 i = 0; i < SEGS; i++)
		*seg_of(b, i) = (struct vmcb_seg){st->seg[i].selector, st->seg[i].attr,
						  st->seg[i].limit, st->seg[i].base};
	b->cpl = st->seg[SEG_SS].attr >> 5 & 3;
	b->gdtr.limit = st->gdtr.limit;
	b->idtr.limit = st->idtr.limit;
}

static void set_events(struct svm_vcpu *s, const struct vcpu_state *st)
{
	svm_nmi_block(s, st->event.nmi_blocked);
	s->vmcb->int_state = st->event.sti_blocked ? INT_STATE_SHADOW : 0;
	s->vmcb->event_inj = st->event.injecting;
	s->vmcb->event_inj_error = st->event.injecting_error;
}

void svm_set_state(struct vcpu *v, const struct vcpu_state *st, u32 groups)
{
	struct svm_vcpu *s = to_svm(v);
	struct vmcb *b = s->vmcb;

	if (groups & STATE_CR &&
	    state_flushes(st, b->cr0, b->cr3, guest_cr4(s), b->efer & ~(u64)EFER_SVME))
		svm_flush(s);
	for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
		if (groups & fields[i].group)
			*block_field(b, i) = *state_field(st, i);
	b->clean = 0;
	if (groups & STATE_CR) {
		s->cr4_own = ~b->cr4 & CR4_MCE;
		b->cr4 |= CR4_MCE;
	}
	if (groups & STATE_SEG)
		set_segments(s, st);
	b->efer |= EFER_SVME;
	if ((groups & STATE_MSR) && cpu_facts.rdtscp)
		wrmsr(MSR_TSC_AUX, st->msr.tsc_aux);
	if (groups & STATE_EVENT)
		set_events(s, st);
}

/* ---- Single steps of common code ---- */

void svm_read_mode(struct vcpu *v, struct hv_mode *m)
{
	const struct vmcb *b = to_svm(v)->vmcb;

	*m = (struct hv_mode){
		.cr3 = b->cr3,
		.cr4 = b->cr4,
		.efer = b->efer & ~(u64)EFER_SVME,
		.cs_attr = b->cs.attrib,
		.cpl = b->cpl,
	};
}

void svm_end_shadow(struct vcpu *v) { to_svm(v)->vmcb->int_state &= ~INT_STATE_SHADOW; }
