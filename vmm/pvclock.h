/*
 * The guest's clock in its own memory, as KVM has it ("kvmclock"): the VM's clock as a function of
 * the time-stamp counter, and the wall time at its start. Only where the TSC is the host's clock:
 * then what is written holds for as long as the guest's TSC is not moved. Linux,
 * Documentation/virt/kvm/x86/msr.rst.
 */
#pragma once

#include "uapi/run.h"
#include "vmm/ram.h"
#include "vmm/vm_clock.h"

struct pvclock {
	const struct ram *ram;
	const struct kinfo *host;
	const struct vm_clock *clock;
	u64 unix_s; /* wall time at the host clock's 0 */
};

static inline bool pvclock_usable(const struct kinfo *host) { return host->flags & KINFO_TSC; }

/*
 * A vCPU's MSRs: wall_clock 0: it was not written just now; system_time: address, bit 0 = on. Guest
 * TSC = host TSC + tsc_offset. An address that is not RAM is ignored.
 */
void pvclock_write(const struct pvclock *c, u64 wall_clock, u64 system_time, u64 tsc_offset);

/*
 * The VM has stood: the page of a vCPU whose MSR is system_time says so, once, to the guest's
 * watchdogs. The line that it holds is as before.
 */
void pvclock_stood(const struct pvclock *c, u64 system_time, u64 tsc_offset);
