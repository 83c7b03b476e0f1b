/*
 * The guest's clock in its own memory, as KVM has it ("kvmclock"): the VM's clock as a function of
 * the time-stamp counter, and the wall time at its start. Only where the TSC is the host's clock:
 * then what is written holds for as long as the guest's TSC is not moved. Linux,
 * Documentation/virt/kvm/x86/msr.rst.
 */
#pragma once

#include "uapi/run.h"
#include "vmm/ram.h"

struct pvclock {
	const struct ram *ram;
	const struct kinfo *host;
	/* when the VM's clock was 0: the host's TSC and clock */
	u64 start_tsc, start_ns;
	u64 unix_s; /* wall time at the host clock's 0 */
};

static inline bool pvclock_usable(const struct kinfo *host) { return host->flags & KINFO_TSC; }

/* RUN_EXIT_CLOCK. An address that is not RAM is ignored. */
void pvclock_write(const struct pvclock *c, const struct vcpu_run *run);
