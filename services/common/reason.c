#include "services/common/reason.h"

static const char *const reason_text[] = {
	[VM_REASON_NONE] = "none",
	[VM_REASON_EXIT_PORT] = "exit port",
	[VM_REASON_POWEROFF] = "power-off",
	[VM_REASON_RESET] = "reset",
	[VM_REASON_TRIPLE_FAULT] = "triple fault",
	[VM_REASON_INTERNAL] = "internal error",
	[VM_REASON_LOAD] = "not loadable",
	[VM_REASON_MONITOR_DIED] = "monitor died",
	[VM_REASON_DESTROYED] = "destroyed",
};
static_assert(ARRAY_SIZE(reason_text) == VM_REASONS, "a text for each reason");

const char *vm_reason_text(u32 reason)
{
	return reason < VM_REASONS ? reason_text[reason] : "unknown";
}

enum vm_end vm_end_of(u32 reason)
{
	switch (reason) {
	case VM_REASON_POWEROFF: return VM_END_POWEROFF;
	case VM_REASON_RESET: return VM_END_REBOOT;
	case VM_REASON_TRIPLE_FAULT:
	case VM_REASON_INTERNAL:
	case VM_REASON_MONITOR_DIED: return VM_END_CRASH;
	case VM_REASON_EXIT_PORT: return VM_END_OTHER;
	default: return VM_ENDS; /* by the user; or it would not load the next time either */
	}
}
