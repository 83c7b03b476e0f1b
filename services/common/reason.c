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
