/* What the rest of the kernel needs to know of VMs and vCPUs. kernel/vm.c, kernel/vcpu.c. */
#pragma once

#include "hv/cpu.h"
#include "hv/vcpu.h"

/* Unloads what this CPU has loaded (c->vcpu may be NULL); the owner's address space is active. */
void vcpu_drop(struct cpu *c);

/* A running vCPU is told to leave the guest: the domain is dying. Any CPU. */
void vcpu_stop_all(struct vm *vm);

/* What struct domain_info has of vCPUs; it holds zeros before. */
void vm_stats(struct vm *vm, struct domain_info *i);

/* Bit n: CPU n enters guests. A thread that runs a vCPU moves to one of these, for good. */
extern u64 vcpu_cpus;
