/*
 * The control area to the log, when a VM stops for a reason of the kernel's. The guest's registers
 * are dumped by common code.
 */
#include "svm/svm.h"

#include "hv/up.h"

void svm_dump(struct vcpu *v)
{
	const struct vmcb *b = to_svm(v)->vmcb;
	const u64 *control = (const u64 *)b;

	log_notice(
		"svm: EXITCODE %#lx EXITINFO1 %#lx EXITINFO2 %#lx EXITINTINFO %#x EVENTINJ %#x INTERRUPT_SHADOW %#lx",
		b->exit_code, b->exit_info1, b->exit_info2, b->exit_int_info, b->event_inj,
		b->int_state);
	for (u32 i = 0; i < VMCB_CONTROL_BYTES / sizeof(u64); i += 4)
		log_notice("svm: %03lx: %016lx %016lx %016lx %016lx", i * sizeof(u64), control[i],
			   control[i + 1], control[i + 2], control[i + 3]);
}
