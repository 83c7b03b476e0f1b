/*
 * Events into the guest. EVENTINJ is taken at the next entry. An interrupt for which the guest is
 * not ready waits as a virtual interrupt (V_IRQ), the end of whose wait is an exit: two engines
 * deliver it wrongly themselves (docs/testing.md, "Bochs", and below). AMD APM 2, "Event
 * Injection", "Virtual Interrupts", "Interrupt Shadows".
 */
#include "svm/svm.h"

static bool event_pending(const struct svm_vcpu *s) { return s->vmcb->event_inj & HV_EVENT_VALID; }

/* The CPU does not tell when a handler of an injected NMI ends: its IRET is intercepted. */
void svm_nmi_block(struct svm_vcpu *s, bool blocked)
{
	s->nmi = blocked ? SVM_NMI_BLOCKED : SVM_NMI_OPEN;
	svm_intercept(s, VMEXIT_IRET, blocked);
}

static void event_set(struct svm_vcpu *s, u32 event, u32 error)
{
	if (!(s->vmcb->cr0 & CR0_PE)) /* real mode's frames have none */
		event &= ~(u32)HV_EVENT_ERROR;
	s->vmcb->event_inj = (event & EVENT_DEFINED) | HV_EVENT_VALID;
	s->vmcb->event_inj_error = error;
	if ((event & EVENT_TYPE_MASK) == (HV_EVENT_NMI & EVENT_TYPE_MASK))
		svm_nmi_block(s, true);
}

void svm_inject(struct vcpu *v, u32 event, u32 error)
{
	event_set(to_svm(v), event, error);
	to_svm(v)->vmcb->int_state &= ~INT_STATE_SHADOW;
}

bool svm_can_inject(struct vcpu *v, u32 event)
{
	struct svm_vcpu *s = to_svm(v);

	if (event_pending(s) || s->vmcb->int_state & INT_STATE_SHADOW)
		return false;
	return event == HV_EVENT_IRQ ? v->priv->regs.rflags & RFLAGS_IF : s->nmi == SVM_NMI_OPEN;
}

/*
 * IRET is intercepted as long as NMIs are blocked. Else the NMI waits for one instruction, which
 * runs with TF set; not behind an injection, whose handler would find TF in its frame: that NMI
 * takes the next exit.
 */
void svm_want_window(struct vcpu *v, u32 event)
{
	struct svm_vcpu *s = to_svm(v);

	if ((event & EVENT_TYPE_MASK) == HV_EVENT_IRQ)
		s->irq_window = true;
	else
		s->step = s->nmi != SVM_NMI_BLOCKED && !event_pending(s);
}

/*
 * With QEMU's TCG all interrupts are virtual ones, since it delivers what is in EVENTINJ a second
 * time, whatever IF is, when another of its threads stops this CPU before the next exit
 * (exception_index stays set). Returns V_IRQ and its priority, with the vector; 0: none.
 */
static u32 virq_on_tcg(struct svm_vcpu *s, u32 *vector)
{
	if (s->vcpu.lapic.offered) {
		*vector = s->vcpu.lapic.offered;
		s->virq = SVM_VIRQ_OFFER;
		/* it delivers at V_TPR too, not only above */
		return V_IRQ | (u32)((s->vcpu.lapic.offered >> 4) - 1) << V_INTR_PRIO_SHIFT;
	}
	if (likely(!s->injected) || (s->injected & EVENT_TYPE_MASK) != HV_EVENT_IRQ)
		return 0;
	*vector = s->injected & EVENT_VECTOR_MASK;
	s->virq = SVM_VIRQ_EVENT;
	s->vmcb->event_inj = 0;
	return V_IRQ | V_IGN_TPR | 0xfu << V_INTR_PRIO_SHIFT;
}

/* The offered interrupt goes into EVENTINJ, or waits for the exit of its V_IRQ. */
static u32 virq_wait(struct svm_vcpu *s)
{
	if (!s->vcpu.lapic.offered)
		return 0;
	if (s->vcpu.lapic.offered >> 4 <= vlapic_cr8(&s->vcpu.lapic) ||
	    !svm_can_inject(&s->vcpu, HV_EVENT_IRQ))
		return V_IRQ | (u32)(s->vcpu.lapic.offered >> 4) << V_INTR_PRIO_SHIFT;
	s->injected = s->vmcb->event_inj = HV_EVENT_VALID | HV_EVENT_IRQ | s->vcpu.lapic.offered;
	s->virq = SVM_VIRQ_NONE;
	return 0;
}

/*
 * A window is a virtual interrupt with the highest priority and an intercept on its delivery; while
 * one is wanted the offered interrupt waits.
 */
void svm_event_prepare(struct svm_vcpu *s)
{
	struct vmcb *b = s->vmcb;
	u32 ctl = V_INTR_MASKING | vlapic_cr8(&s->vcpu.lapic);
	u32 vector = 0;
	bool vintr = s->irq_window;

	s->injected = b->event_inj;
	if (vintr) {
		s->irq_window = false;
		ctl |= V_IRQ | V_IGN_TPR | 0xfu << V_INTR_PRIO_SHIFT;
	} else if (cpu_facts.tcg) {
		ctl |= virq_on_tcg(s, &vector);
	} else {
		ctl |= virq_wait(s);
		vintr = ctl & V_IRQ;
	}
	if (s->vintr != vintr) {
		s->vintr = vintr;
		svm_intercept(s, VMEXIT_VINTR, vintr);
	}
	b->int_ctl = ctl;
	b->int_vector = vector;
	if (unlikely(s->step)) {
		s->step = false;
		s->stepping = !(s->vcpu.priv->regs.rflags & RFLAGS_TF);
		s->vcpu.priv->regs.rflags |= RFLAGS_TF;
	}
}

/* The guest sees neither TF nor the trap, which becomes the exit of a window. */
static void step_end(struct svm_vcpu *s)
{
	struct vcpu_regs *r = &s->vcpu.priv->regs;
	struct vmcb *b = s->vmcb;

	s->stepping = false;
	/* IRET has loaded the guest's own TF */
	if (s->nmi != SVM_NMI_IRET || b->rip == s->nmi_iret_rip)
		r->rflags &= ~(u64)RFLAGS_TF;
	/* Bochs 2.7 has no cause in DR6 at the exit: of a breakpoint neither, but that is rarer */
	if (b->exit_code != VMEXIT_EXCP0 + EXC_DB ||
	    (!(r->dr6 & DR6_BS) && r->dr6 & (DR6_HITS | DR6_BD)))
		return;
	r->dr6 &= ~(u64)DR6_BS;
	if (!(r->dr6 & DR6_HITS))
		b->exit_code = VMEXIT_IRET;
}

/* A software interrupt was not begun by us: rip is still at the INT, which the guest runs again. */
static bool reexecuted(const struct svm_vcpu *s, u32 event)
{
	u32 type = event & EVENT_TYPE_MASK, vector = event & EVENT_VECTOR_MASK;

	if (event == s->injected)
		return false;
	return type == HV_EVENT_SOFT_INT ||
	       (type == HV_EVENT_EXCEPTION && (vector == EXC_BP || vector == EXC_OF));
}

/* The exit came while the CPU delivered `event`: it is delivered again. True: it was the offer. */
static __attribute__((noinline)) bool requeue(struct svm_vcpu *s, u32 event)
{
	u64 code = s->vmcb->exit_code;
	bool offered;

	event &= EVENT_DEFINED;
	/* QEMU's TCG calls an interrupted virtual interrupt an exception, and keeps its V_IRQ. */
	if (s->virq == SVM_VIRQ_EVENT && (s->vmcb->int_ctl & V_IRQ))
		event = s->injected;
	else if ((event & EVENT_TYPE_MASK) == HV_EVENT_EXCEPTION &&
		 (event & EVENT_VECTOR_MASK) >= 32)
		event &= ~(u32)(EVENT_TYPE_MASK | HV_EVENT_ERROR);
	offered = s->virq == SVM_VIRQ_OFFER && (event & EVENT_TYPE_MASK) == HV_EVENT_IRQ &&
		  (event & EVENT_VECTOR_MASK) == s->vcpu.lapic.offered && event != s->injected;
	offered |= s->virq == SVM_VIRQ_NONE && event == s->injected;
	/* An intercepted exception takes its place; an interrupt stays offered. */
	if (code == VMEXIT_EXCP0 + EXC_DB || code == VMEXIT_EXCP0 + EXC_AC) {
		if (offered)
			s->virq = SVM_VIRQ_OTHER;
		return false;
	}
	if (!reexecuted(s, event))
		event_set(s, event, s->vmcb->exit_int_error);
	return offered;
}

/* Blocked until the IRET of the handler, which is intercepted and then runs, is over. */
static __attribute__((noinline)) void nmi_progress(struct svm_vcpu *s)
{
	const struct vmcb *b = s->vmcb;

	if (s->nmi == SVM_NMI_IRET && b->rip != s->nmi_iret_rip)
		s->nmi = SVM_NMI_OPEN;
	if (b->exit_code == VMEXIT_IRET && s->nmi == SVM_NMI_BLOCKED) {
		svm_nmi_block(s, false);
		s->nmi = SVM_NMI_IRET;
		s->nmi_iret_rip = b->rip;
	}
}

bool svm_event_complete(struct svm_vcpu *s)
{
	struct vmcb *b = s->vmcb;
	bool taken;

	b->event_inj = 0;
	if (unlikely(s->stepping))
		step_end(s);
	if (unlikely(s->nmi != SVM_NMI_OPEN))
		nmi_progress(s);
	/* what was to go in waits; an offer is offered again */
	if (unlikely(svm_refused(b->exit_code))) {
		b->event_inj = s->virq == SVM_VIRQ_NONE ? 0 : s->injected;
		s->virq = SVM_VIRQ_OTHER;
		s->cpu->next_asid = svm_max_asid() + 1; /* nothing was flushed either */
		return false;
	}
	taken = (b->exit_int_info & HV_EVENT_VALID) && requeue(s, b->exit_int_info);
	if (s->virq == SVM_VIRQ_OTHER)
		return taken;
	if (s->virq == SVM_VIRQ_NONE)
		taken = true;
	else if (s->virq == SVM_VIRQ_OFFER)
		taken |= !(b->int_ctl & V_IRQ);
	else if ((b->int_ctl & V_IRQ) && !(b->exit_int_info & HV_EVENT_VALID))
		b->event_inj = s->injected;
	s->virq = SVM_VIRQ_OTHER;
	return taken;
}
