/*
 * The control area to the log, when a VM stops for a reason of the kernel's. The guest's registers
 * are dumped by common code.
 */
#include "svm/svm.h"

#include "hv/up.h"

bool svm_dump(struct vcpu *v, u32 line)
{
	const struct vmcb *b = to_svm(v)->vmcb;
	const u64 *control = (const u64 *)b + line * 4;

	if (!line)
		log_notice(
			"svm: EXITCODE %#lx EXITINFO1 %#lx EXITINFO2 %#lx EXITINTINFO %#x EVENTINJ %#x INTERRUPT_SHADOW %#lx",
			b->exit_code, b->exit_info1, b->exit_info2, b->exit_int_info, b->event_inj,
			b->int_state);
	log_notice("svm: %03lx: %016lx %016lx %016lx %016lx", line * 4 * sizeof(u64), control[0],
		   control[1], control[2], control[3]);
	return (line + 1) * 4 * sizeof(u64) < VMCB_CONTROL_BYTES;
}
