/*
 * Between the files of the run loop: loading, exits, faults. Interrupts off, own vCPU, loaded here.
 */
#pragma once

#include "hv/vcpu.h"
#include "kernel/vcpu.h"

/* What an exit's handler wants next. */
enum vcpu_step {
	STEP_CONTINUE, /* back into the guest */
	STEP_USER,     /* the run page is filled: return 0 to the monitor */
};

/* Handles the exit in v->exit (kernel/vcpu_exit.c). */
enum vcpu_step vcpu_exit_handle(struct vcpu *v);

/* Injects an exception; the error code is 0 where the vector has one. STEP_CONTINUE. */
enum vcpu_step vcpu_fault(struct vcpu *v, u8 vector);
/*
 * Steps over an instruction that was carried out; raises the single-step trap that is due behind
 * it. STEP_CONTINUE.
 */
enum vcpu_step vcpu_skip(struct vcpu *v, u32 length);
/*
 * Length of the instruction that caused the exit: the CPU's word, else it is read through the
 * guest's page tables (kernel/guest_walk.c). 0: it can't be read now, run it again.
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

/* State after reset or INIT, and the start by SIPI (kernel/vcpu_state.c). */
void vcpu_state_init(struct vcpu *v, bool init);
void vcpu_state_sipi(struct vcpu *v, u8 vector);

/* Keys of messages that are logged once a VM; MSR numbers are the other keys. */
enum log_key { LOG_KEY_APIC = 0xf0000001, LOG_KEY_LENGTH };

/* True the first time for a key and VM: for messages that a guest can cause at will. */
bool vm_log_once(struct vm *vm, u32 key);
