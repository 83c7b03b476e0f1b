/*
 * The KVM paravirtual ABI, as far as it must be in ring 0: the MSRs, steal time, EOI without an
 * exit, hypercalls. What the clock's page holds is the monitor's (RUN_EXIT_CLOCK). Linux,
 * Documentation/virt/kvm/x86/msr.rst and hypercalls.rst. own (the vCPU's runner).
 */
#pragma once

#include "hv/vcpu.h"

/* Of the MSR with number MSR_KVM_BASE + i: false = #GP. */
bool pv_msr_read(struct vcpu *v, u32 i, u64 *value);
bool pv_msr_write(struct vcpu *v, u32 i, u64 value);
/* May the MSRs have these values (state group MSR)? pv_set takes them. */
bool pv_valid(const u64 msr[PV_MSRS]);
void pv_set(struct vcpu *v, const u64 msr[PV_MSRS]);
void pv_reset(struct vcpu *v);

/*
 * The monitor is to write the guest's clock; wall: the wall clock too, at this address, if not 0.
 * The run page is filled, and lapic.eoi_exit says so.
 */
void pv_clock_changed(struct vcpu *v, u64 wall);
#define PV_CLOCK_EXIT 0x200u

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
