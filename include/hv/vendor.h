/*
 * The contract between kernel/ and a vendor back-end (svm/, vmx/), bound once at boot. Unless said
 * otherwise a callback runs with interrupts off, on the CPU where the vCPU is loaded, with the
 * owner's address space active.
 */
#pragma once

#include "hv/facts.h"
#include "hv/vcpu.h"

struct cpu;

struct hv_ops {
	const char *name; /* "svm", "vmx" */
	size_t vcpu_size; /* of the structure that embeds struct vcpu first */
	const struct pt_format *nested_format;

	/*
	 * True when usable; else *why says why not, in one line for a person. Pure function of the
	 * facts.
	 */
	bool (*probe)(const struct cpu_facts *f, const char **why);
	void (*features)(char *buf, size_t size); /* names of the optional features in use */
	int (*cpu_enable)(struct cpu *c);	  /* on each CPU; -E_NOMEM, -E_NODEV */

	/*
	 * Memory of v; vm->space exists. The first vcpu_load follows, then set_state makes the
	 * state after reset. -E_NOMEM
	 */
	int (*vcpu_init)(struct vcpu *v);
	void (*vcpu_fini)(struct vcpu *v); /* any CPU; the vCPU is loaded nowhere */
	void (*vcpu_load)(struct vcpu *v); /* makes v current on this CPU: host state, ASID */
	void (*vcpu_unload)(struct vcpu *v);
	/*
	 * Ring 3 is about to run while v stays loaded: what it can see is the host's. NULL: it is.
	 */
	void (*vcpu_rest)(struct vcpu *v);

	/*
	 * One entry, one exit, decoded into v->exit. The caller has tested v->kick with interrupts
	 * off. Host interrupts stay pending until the caller enables them. Handles the flush that
	 * v->npt_seen asks for, re-queues an event whose delivery the exit interrupted, and copies
	 * registers from and to v->priv->regs. Sets *irq_taken when the offered interrupt was
	 * delivered during this run.
	 */
	void (*enter)(struct vcpu *v, bool *irq_taken);

	/*
	 * Groups of struct vcpu_state that the vendor holds: GPR SEG CR DR MSR EVENT. get never
	 * fails.
	 */
	void (*get_state)(struct vcpu *v, struct vcpu_state *s, u32 groups);
	/*
	 * Checks everything first, then takes it: -E_INVAL changes nothing. No accepted state can
	 * harm the host.
	 */
	int (*set_state)(struct vcpu *v, const struct vcpu_state *s, u32 groups);
	void (*read_mode)(struct vcpu *v, struct hv_mode *m);
	/*
	 * Guest CR0, CR3, CR4, EFER, XCR0 writes by common code after its checks
	 * (kernel/vcpu_cr.c). cr: 0, 3, 4; or CR_EFER
	 */
	void (*set_cr)(struct vcpu *v, u32 cr, u64 value);

	/*
	 * Interrupts. offer_irq: deliver `vector` as soon as the guest can take it, without an exit
	 * if the CPU can (0 withdraws); where lapic.by_cpu is set, vector is the highest in IRR and
	 * ISR and TMR may have changed too. inject: an event to be delivered at the next entry,
	 * whatever was offered; the caller has checked can_inject.
	 */
	void (*offer_irq)(struct vcpu *v, u8 vector);
	/* enum hv_event | vector, see below */
	void (*inject)(struct vcpu *v, u32 event, u32 error);
	bool (*can_inject)(struct vcpu *v, u32 event);
	/* exit when such an event can be injected */
	void (*want_window)(struct vcpu *v, u32 event, bool on);

	/* rip += length, clears the interrupt shadow */
	void (*skip_insn)(struct vcpu *v, u32 length);
	void (*set_tsc)(struct vcpu *v, u64 offset); /* guest TSC = host TSC + offset */

	/*
	 * Checks the guest state against the manual. NULL = good; else the name of the field and
	 * the rule.
	 */
	const char *(*audit)(struct vcpu *v);
	/* A line of the vendor's own fields to the log, as a notice. False: it was the last one. */
	bool (*dump)(struct vcpu *v, u32 line);
};

#define CR_EFER 0x100u

/*
 * What guests may set in CR4, EFER, XCR0: what the CPU has and the kernel handles, whatever the
 * monitor's CPUID tells them. [I] before the first VM.
 */
struct guest_bits {
	u64 cr4, efer;
	u64 xcr0; /* 1: no XSAVE */
};
extern struct guest_bits guest_bits;
struct guest_bits guest_bits_of(const struct cpu_facts *f); /* pure */

/* Events: bits 0-7 vector, 8-10 type, 11 error code valid, 31 valid: the layout of both vendors. */
enum hv_event {
	HV_EVENT_IRQ = 0u << 8,
	HV_EVENT_NMI = 2u << 8 | 2,
	HV_EVENT_EXCEPTION = 3u << 8,
	HV_EVENT_SOFT_INT = 4u << 8,
	HV_EVENT_ERROR = 1u << 11,
	HV_EVENT_VALID = 1u << 31,
};

extern const struct hv_ops svm_ops, vmx_ops;
extern const struct hv_ops *hv_ops; /* the chosen back-end; NULL = this machine can't run VMs */
