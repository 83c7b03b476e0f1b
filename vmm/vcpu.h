/* A vCPU's loop: enters the guest, and does what it came out for. */
#pragma once

#include "vmm/emul.h"
#include "vmm/machine.h"
#include "vmm/msr.h"

struct vcpu {
	struct machine *m;    /* [I] */
	handle_t handle;      /* [I] */
	u32 index;	      /* [I] in m->vcpu */
	struct vcpu_run *run; /* [I] shared with the kernel */
	struct emul emul;
	struct vcpu_state state;
	struct msr_state msr;
	struct vcpu_state held; /* of msr.c, for a moment */
	/* What could not be emulated: how often in a row, and what was found then. */
	u32 refusals;
	struct refused {
		u64 rip, gpr[GPRS];
		u8 bytes[INSN_MAX + 1];
	} refused;
};

/* Creates vCPU `index` of m->vm. Logs the error and returns it. */
int vcpu_init(struct vcpu *v, struct machine *m, u32 index);

/* Runs the guest until the machine has ended. */
void vcpu_loop(struct vcpu *v);

/* Reads groups of its state into v->state. 0 or a negative error. */
s64 vcpu_read(struct vcpu *v, u32 groups);
