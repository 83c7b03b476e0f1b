/* Debug builds: no entry with a state that the CPU would refuse. */
#pragma once

#include "audit/audit.h"
#include "hv/up.h"
#include "kernel/vcpu_run.h"

static inline void vcpu_audit(struct vcpu *v)
{
	const char *bad = audit_record(vcpu_record(v));

	if (bad)
		log_error("vm %u: vCPU %u is about to enter with %s", v->vm->id, v->index, bad);
}
