/*
 * A pause of the VM: its vCPUs stand in the monitor, then its clock does. The event thread begins
 * and ends it; each vCPU's thread parks at its next RUN_EXIT_INTR, where its state is complete.
 */
#pragma once

#include "services/proto.h"
#include "user/rt.h"

struct machine;
struct vcpu;

struct pause {
	struct rt_mutex lock; /* below it no other is taken */
	bool wanted;	      /* [a] written under the lock */
	u32 parked;	      /* vCPUs that stand; under the lock */
	/* [I] events that parked threads wait at, of the first vcpus */
	handle_t gate[VM_VCPUS_MAX];
};

/*
 * The event thread's part, as often as it likes: brings the VM nearer to standing (want) or
 * running. True: `shared` has just been told that it does.
 */
bool pause_step(struct machine *m, bool want, struct vm_shared *shared);

/* At RUN_EXIT_INTR: v stands for as long as a pause lasts. 0 or a negative error. */
s64 pause_here(struct vcpu *v);

/* The machine has ended: whoever is parked goes on to see that. */
void pause_open(struct machine *m);
