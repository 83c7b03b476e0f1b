/*
 * Events into the guest. An interrupt goes in at an entry where the guest can take it; until then
 * the CPU is asked for an exit when that is so: when IF and the shadows allow it (interrupt window)
 * or when TPR sinks below its class (TPR threshold). Intel SDM 3, "Event Injection",
 * "Interrupt-Window Exiting", "TPR Virtualization".
 */
#include "vmx/vmx.h"

#include "arch/msr.h"

static u32 type_of(u32 event) { return event & EVENT_TYPE_MASK; }

static bool is_nmi(u32 event) { return type_of(event) == type_of(HV_EVENT_NMI); }

/* "Virtualize x2APIC mode", "virtualize APIC accesses" or neither, as the guest has its APIC. */
static u32 apic_mode(u64 base)
{
	if (base & APIC_BASE_X2APIC)
		return vmx_caps.proc2 & ~(u32)PROC2_APIC_ACCESSES;
	return vmx_caps.proc2 &
	       ~(u32)(PROC2_X2APIC |
		      ((base & ~(u64)APIC_BASE_BSP) == (APIC_DEFAULT_BASE | APIC_BASE_ENABLE)
			       ? 0
			       : PROC2_APIC_ACCESSES));
}

/* The CPU goes on from what the APIC's page holds now. SDM 3, "Virtual-Interrupt Delivery". */
void vmx_offer_irq(struct vcpu *v, u8 requested)
{
	struct vmx_vcpu *s = to_vmx(v);
	const struct vlapic *l = &v->lapic;
	u32 proc2 = apic_mode(s->vcpu.apic_base);

	vmcs_write16(VMCS_GUEST_INTERRUPT_STATUS,
		     (u16)(vlapic_highest(l, APIC_ISR) << 8 | requested));
	for (u32 i = 0; i < 4; i++) {
		const u32 *tmr = vlapic_word(l, APIC_TMR, (u8)(i * 64));
		u64 level = tmr[0] | (u64)tmr[4] << 32;

		if (level != s->eoi_exit[i])
			vmx_write(VMCS_ID_EOI_EXIT0 + 2 * i, s->eoi_exit[i] = level);
	}
	if (proc2 == s->proc2)
		return;
	vmcs_write32(VMCS_PROC2_CONTROLS, s->proc2 = proc2);
	vmcs_write64(VMCS_MSR_BITMAP, vmx_msr_bitmap(proc2 & PROC2_X2APIC).v);
	s->flush = s->moved = true; /* translations know the page */
	if (!(proc2 & PROC2_APIC_ACCESSES))
		s->vcpu.vm->apic_page_left = true;
}

void vmx_inject(struct vcpu *v, u32 event, u32 error)
{
	struct vmx_vcpu *s = to_vmx(v);

	s->event = (event & EVENT_DEFINED) | HV_EVENT_VALID;
	s->error = error;
	vmx_block(0, BLOCKED_SHADOW);
}

bool vmx_can_inject(struct vcpu *v, u32 event)
{
	u32 blocked;

	if (to_vmx(v)->event)
		return false;
	blocked = vmcs_read32(VMCS_GUEST_BLOCKING);
	if (type_of(event) == HV_EVENT_IRQ)
		return (v->priv->regs.rflags & RFLAGS_IF) && !(blocked & BLOCKED_SHADOW);
	/* the window of an NMI may open in the shadow of STI */
	return !(blocked & (BLOCKED_NMI | BLOCKED_MOV_SS));
}

void vmx_want_window(struct vcpu *v, u32 event)
{
	to_vmx(v)->windows |= is_nmi(event) ? PROC_NMI_WINDOW : PROC_IRQ_WINDOW;
}

/* The CPU wants an error code exactly where the exception has one: never in real mode. */
static void event_write(struct vmx_vcpu *s)
{
	u32 event = s->event;

	if (type_of(event) == HV_EVENT_EXCEPTION) {
		event &= ~(u32)HV_EVENT_ERROR;
		if (EXC_WITH_ERROR >> (event & 31) & 1 && /* the CPU refuses the others */
		    vmcs_read64(VMCS_GUEST_CR0) & CR0_PE)
			event |= HV_EVENT_ERROR;
	}
	vmcs_write32(VMCS_ENTRY_INTR_INFO, event);
	if (event & HV_EVENT_ERROR)
		vmcs_write32(VMCS_ENTRY_INTR_ERROR, s->error);
}

/* A single step that is due behind a shadow is due behind the entry too. */
static void shadow_step(struct vmx_vcpu *s)
{
	if (s->vcpu.priv->regs.rflags & RFLAGS_TF &&
	    vmcs_read32(VMCS_GUEST_BLOCKING) & BLOCKED_SHADOW)
		vmcs_write64(VMCS_GUEST_PENDING_DEBUG,
			     vmcs_read64(VMCS_GUEST_PENDING_DEBUG) | PENDING_DEBUG_BS);
}

static bool tpr_allows(const struct vmx_vcpu *s)
{
	return s->vcpu.lapic.offered >> 4 > vlapic_cr8(&s->vcpu.lapic);
}

bool vmx_event_take(struct vmx_vcpu *s)
{
	if (!s->vcpu.lapic.offered || !tpr_allows(s) || !vmx_can_inject(&s->vcpu, HV_EVENT_IRQ))
		return false;
	s->event = HV_EVENT_VALID | HV_EVENT_IRQ | s->vcpu.lapic.offered;
	return true;
}

void vmx_event_prepare(struct vmx_vcpu *s)
{
	u32 windows = s->windows, threshold = 0;

	s->offer_in = false;
	if (s->vcpu.lapic.offered && !tpr_allows(s)) {
		threshold = s->vcpu.lapic.offered >> 4;
	} else if (s->vcpu.lapic.offered && vmx_can_inject(&s->vcpu, HV_EVENT_IRQ)) {
		s->event = HV_EVENT_VALID | HV_EVENT_IRQ | s->vcpu.lapic.offered;
		s->offer_in = true;
	} else if (s->vcpu.lapic.offered) {
		windows |= PROC_IRQ_WINDOW;
	}
	if (threshold != s->threshold)
		vmcs_write32(VMCS_TPR_THRESHOLD, s->threshold = threshold);
	if ((windows | vmx_caps.proc) != s->proc)
		vmcs_write32(VMCS_PROC_CONTROLS, s->proc = windows | vmx_caps.proc);
	if (s->event)
		event_write(s);
	shadow_step(s);
}

/*
 * The exit came while the CPU delivered `event`: it is delivered again, unless an intercepted
 * exception takes its place; an interrupt waits then, offered as before or as one that was already
 * acknowledged. False: it was not delivered.
 */
static __attribute__((noinline)) bool requeue(struct vmx_vcpu *s, u32 event, u32 reason)
{
	if (reason == EXIT_EXCEPTION &&
	    (vmcs_read32(VMCS_EXIT_INTR_INFO) & EVENT_VECTOR_MASK) != EXC_MC) {
		if (type_of(event) != HV_EVENT_IRQ)
			return true;
		if (!s->offer_in)
			s->vcpu.ext_vector = event & EVENT_VECTOR_MASK;
		return false;
	}
	if (is_nmi(event))
		vmx_block(0, BLOCKED_NMI);
	/* What began with an instruction (INT n, INT3, INTO) begins again by running that again. */
	if (type_of(event) >= HV_EVENT_SOFT_INT)
		return true;
	s->event = event & EVENT_DEFINED;
	s->error = event & HV_EVENT_ERROR ? vmcs_read32(VMCS_IDT_VECTORING_ERROR) : 0;
	return true;
}

/* An IRET that ended the blocking by NMI faulted then: NMIs are still blocked. */
static bool nmi_unblocked(u32 reason)
{
	if (reason == EXIT_EXCEPTION)
		return vmcs_read32(VMCS_EXIT_INTR_INFO) & EVENT_NMI_UNBLOCKED;
	return reason == EXIT_EPT_VIOLATION &&
	       vmcs_read64(VMCS_EXIT_QUALIFICATION) & EPT_VIOLATION_NMI_UNBLOCKED;
}

bool vmx_event_complete(struct vmx_vcpu *s, u32 reason)
{
	bool taken = s->offer_in;
	u32 event;

	/* what was to go in waits; an offer is offered again */
	if (unlikely(reason & EXIT_ENTRY_FAILED)) {
		s->event = taken ? 0 : s->event;
		vmcs_write32(VMCS_ENTRY_INTR_INFO, 0); /* the CPU has left it there */
		return false;
	}
	s->launched = true;
	s->event = 0;
	s->windows &= ~(u32)(PROC_IRQ_WINDOW | PROC_NMI_WINDOW);
	if (vmx_exit_in_delivery(reason)) {
		event = vmcs_read32(VMCS_IDT_VECTORING_INFO);
		if (event & HV_EVENT_VALID)
			taken &= requeue(s, event, reason);
		else if (nmi_unblocked(reason))
			vmx_block(BLOCKED_NMI, 0);
	}
	return taken;
}
