/*
 * The KVM paravirtual ABI, as far as it must be in ring 0: steal time, EOI without an exit,
 * hypercalls. The MSRs and the clock are the monitor's. Linux,
 * Documentation/virt/kvm/x86/msr.rst and hypercalls.rst. own (the vCPU's runner).
 */
#pragma once

#include "hv/vcpu.h"

/* May the MSRs have these values (state group MSR)? pv_set takes them. */
bool pv_valid(const u64 msr[PV_MSRS]);
void pv_set(struct vcpu *v, const u64 msr[PV_MSRS]);

/* The vCPU is loaded, and is to run: KICK_PV. */
void pv_running(struct vcpu *v);
/* It is about to be unloaded: empties the windows of this CPU. No lock is taken. */
void pv_unload(struct vcpu *v);

/*
 * PV EOI: the guest may end the interrupt in service, or the one offered, by clearing a flag in its
 * memory. offer: after vector was offered (0: none); withdraw: before the interrupts are looked at
 * again; taken: behind an exit, has the guest cleared it?
 */
void pv_eoi_offer(struct vcpu *v, u8 vector);
void pv_eoi_withdraw(struct vcpu *v);
void pv_eoi_taken(struct vcpu *v);

/* VMCALL or VMMCALL: the number and arguments are in the registers, so is the result. */
void pv_hypercall(struct vcpu *v);
