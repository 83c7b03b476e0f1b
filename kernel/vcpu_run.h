/*
 * Between the files of the run loop: loading, exits, faults. Interrupts off, own vCPU, loaded here.
 */
#pragma once

#include "hv/vendor.h"
#include "kernel/vcpu.h"

/* What an exit's handler wants next. */
enum vcpu_step {
	STEP_CONTINUE, /* back into the guest */
	STEP_USER,     /* the run page is filled: return 0 to the monitor */
};

/* Handles the exit in v->exit (kernel/vcpu_exit.c). */
enum vcpu_step vcpu_exit_handle(struct vcpu *v);
/* What the monitor's answer to RUN_EXIT_EMULATE leaves to the kernel. */
enum vcpu_step vcpu_carry_out(struct vcpu *v);

/* Its control block now; in v->scratch. */
const struct vcpu_record *vcpu_record(struct vcpu *v);

/* Injects an exception; the error code is 0 where the vector has one. STEP_CONTINUE. */
enum vcpu_step vcpu_fault(struct vcpu *v, u8 vector);
enum vcpu_step vcpu_single_step(struct vcpu *v);
u64 vcpu_beyond_4g(struct vcpu *v, u64 rip); /* rip of other than 64-bit code has 32 bits */
/*
 * Steps over an instruction that was carried out; raises the single-step trap that is due behind
 * it. STEP_CONTINUE.
 */
static inline enum vcpu_step vcpu_skip(struct vcpu *v, u32 length)
{
	struct vcpu_regs *r = &v->priv->regs;
	u64 next = r->rip + length;

	if (unlikely((next ^ r->rip) >> 32))
		next = vcpu_beyond_4g(v, next);
	r->rip = next;
	r->rflags &= ~(u64)RFLAGS_RF;
	hv_ops->end_shadow(v);
	return unlikely(r->rflags & RFLAGS_TF) ? vcpu_single_step(v) : STEP_CONTINUE;
}
/*
 * Length of the instruction that caused the exit: the CPU's or the monitor's word, or as it was
 * decoded there before; 0: it must be decoded (kernel/guest_walk.c).
 */
u32 vcpu_insn_length(struct vcpu *v);

/*
 * Makes v this CPU's vCPU; waits for another CPU that has it. A preemption point. The owner's
 * address space is active.
 */
void vcpu_load(struct vcpu *v);

/*
 * Marks the vCPU busy, takes a reference and loads it. -E_RIGHTS: not the owner. -E_BUSY: in use. A
 * preemption point. vcpu_release undoes it.
 */
int vcpu_claim(struct vcpu *v) __must_check;
void vcpu_release(struct vcpu *v);

/*
 * ---- Guest code, read through the guest's page tables (kernel/guest_walk.c), for the length and
 * operands of the instruction at rip. Reads, never sets accessed bits: the CPU has fetched the
 * instruction already. ----
 */
/*
 * The instruction at rip. NULL, and the monitor has to look: not readable or not decodable, beyond
 * the page, not 64-bit code. Good until the next call.
 */
const struct exit_insn *guest_decode(struct vcpu *v);

/* Forgets the windows: another CPU, or other frames in them. At load and unload. */
void guest_walk_reset(struct vcpu *v);
/* Empties the windows of this CPU. */
void guest_walk_unload(struct vcpu *v);

/*
 * ---- The guest's FPU state (kernel/fpu.c). It stays in the CPU from vcpu_load to vcpu_unload;
 * CR0.TS is set outside the functions there, so neither the kernel nor ring 3 can touch it. hv/up.h
 * declares what back-ends call. ----
 */
void fpu_load(struct vcpu *v);	    /* at vcpu_load: the guest's FPU state and XCR0 into the CPU */
void fpu_unload(struct vcpu *v);    /* at unload: back into v->priv->fpu */
void fpu_init_area(struct vcpu *v); /* reset state */
/*
 * vcpu_get and vcpu_set of the FPU group: FPU_STATE_BYTES in the standard XSAVE format. The area
 * may be hostile: fpu_set takes a copy of it that no XRSTOR refuses. Interrupts off; if v is
 * loaded, it is on this CPU.
 */
void fpu_get(struct vcpu *v, u8 *area);
void fpu_set(struct vcpu *v, const u8 *area);
