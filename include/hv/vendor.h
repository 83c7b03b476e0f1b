/*
 * The contract between kernel/ and a vendor back-end (svm/, vmx/), bound once at boot. Unless said
 * otherwise a callback runs with interrupts off, on the CPU where the vCPU is loaded, with the
 * owner's address space active.
 */
#pragma once

#include "arch/event.h"
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
	 * v->block, of zeros, and vm->space exist. No entry comes before set_state of all that it
	 * needs. -E_NOMEM
	 */
	int (*vcpu_init)(struct vcpu *v);
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
	 * registers from and to v->priv->regs. True: the offered interrupt was
	 * delivered during this run.
	 */
	bool (*enter)(struct vcpu *v);

	/*
	 * Groups of struct vcpu_state of which the control block holds something: SEG CR DR MSR
	 * CLOCK EVENT.
	 */
	void (*get_state)(struct vcpu *v, struct vcpu_state *s, u32 groups);
	/* s was checked and has no reserved bit set; of the vCPU, v->priv->regs is new already. */
	void (*set_state)(struct vcpu *v, const struct vcpu_state *s, u32 groups);
	void (*read_mode)(struct vcpu *v, struct hv_mode *m);

	/*
	 * Interrupts. enter delivers lapic.offered as soon as the guest can take it, without an
	 * exit if the CPU can. offer_irq, only where lapic.by_cpu is set, whose offered stays 0:
	 * vector is the highest in IRR, and ISR and TMR may have changed too. inject: an event to
	 * be delivered at the next entry, whatever was offered; the caller has checked can_inject.
	 */
	void (*offer_irq)(struct vcpu *v, u8 vector);
	/* enum hv_event | vector */
	void (*inject)(struct vcpu *v, u32 event, u32 error);
	bool (*can_inject)(struct vcpu *v, u32 event);
	/* the next entry asks for an exit when such an event can be injected */
	void (*want_window)(struct vcpu *v, u32 event);

	void (*end_shadow)(struct vcpu *v); /* of STI or MOV SS */

	/*
	 * The control block, but no address of a page of the kernel; and what its rules depend on.
	 */
	void (*record)(struct vcpu *v, struct vcpu_record *r);
};

/* Whatever the monitor's CPUID tells a guest. [I] before the first VM. */
extern struct guest_bits guest_bits;
struct guest_bits guest_bits_of(const struct cpu_facts *f); /* pure */

extern const struct hv_ops svm_ops, vmx_ops;
extern const struct hv_ops *hv_ops; /* the chosen back-end; NULL = this machine can't run VMs */
