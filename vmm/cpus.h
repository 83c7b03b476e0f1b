/*
 * Which of the VM's prepared vCPUs its guest has. The others' threads stand here, outside of the
 * kernel's run loop, so that no interrupt message of the guest starts them; they take part in
 * pauses. `cpu_hotplug.h` is what the guest sees of it.
 */
#pragma once

#include "services/proto.h"

struct machine;
struct vcpu;

/* [I] immutable once the first vCPU runs, [a] atomic */
struct cpus {
	/* masks, a bit for each vCPU */
	u64 on;	  /* [a] the guest has it, or gets it as soon as its thread has seen that */
	u64 gone; /* [a] its thread shall stand, or does */
	struct vm_shared *shared; /* [I] tells manager */
	struct vcpu_state *reset; /* [I] of a vCPU that waits for SIPI */
};

/* How many CPUs the guest begins with: as before, when it has only restarted. */
u32 cpus_at_start(const struct vm_def *def, struct vm_shared *shared);

/* Once the vCPUs are created; ap: one that is not the boot CPU, or NULL. 0, or a logged error. */
int cpus_init(struct machine *m, struct vm_shared *shared, struct vcpu *ap);

/* The event thread's: the guest shall have so many. What can't be is not done. */
void cpus_set(struct machine *m, u32 count);

/* platform_ops.cpu_answer. */
void cpus_answer(struct machine *m, u32 cpu, u32 status);

/* At RUN_EXIT_INTR: v stands until the guest gets it. 0 or a negative error. */
s64 cpus_stand(struct vcpu *v);
