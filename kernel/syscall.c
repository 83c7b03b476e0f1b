#include "kernel/syscall.h"

#include "hv/up.h"
#include "kernel/domain.h"
#include "kernel/trap.h"

#define ROW(nr, ty, ri, function) [nr] = {.name = #nr, .type = ty, .rights = ri, .fn = function}

static const struct sys_row sys_table[] = {
	ROW(SYS_HANDLE_DUP, OBJ_NONE, 0, sys_handle_dup),
	ROW(SYS_HANDLE_CLOSE, OBJ_NONE, 0, sys_handle_close),
	ROW(SYS_HANDLE_INFO, OBJ_NONE, 0, sys_handle_info),
	ROW(SYS_HANDLE_REVOKE, OBJ_NONE, 0, sys_handle_revoke),
	ROW(SYS_DOMAIN_CREATE, OBJ_NONE, 0, sys_domain_create),
	ROW(SYS_DOMAIN_EXIT, OBJ_NONE, 0, sys_domain_exit),
	ROW(SYS_THREAD_CREATE, OBJ_NONE, 0, sys_thread_create),
	ROW(SYS_THREAD_SET, OBJ_THREAD, R_MANAGE, sys_thread_set),
	ROW(SYS_MAP, OBJ_NONE, 0, sys_map),
	ROW(SYS_UNMAP, OBJ_NONE, 0, sys_unmap),
	ROW(SYS_MEM_CREATE, OBJ_NONE, 0, sys_mem_create),
	ROW(SYS_EVENT_CREATE, OBJ_NONE, 0, sys_event_create),
	ROW(SYS_EVENT_SIGNAL, OBJ_EVENT, R_SIGNAL, sys_event_signal),
	ROW(SYS_EVENT_WAIT, OBJ_EVENT, R_WAIT, sys_event_wait),
	ROW(SYS_PORT_CREATE, OBJ_NONE, 0, sys_port_create),
	ROW(SYS_PORT_BIND, OBJ_PORT, R_MANAGE, sys_port_bind),
	ROW(SYS_PORT_WAIT, OBJ_PORT, R_WAIT, sys_port_wait),
	ROW(SYS_TIMER_SET, OBJ_EVENT, R_SIGNAL, sys_timer_set),
	ROW(SYS_CLOCK_GET, OBJ_NONE, 0, sys_clock_get),
	ROW(SYS_CHANNEL_CREATE, OBJ_NONE, 0, sys_channel_create),
	ROW(SYS_CHANNEL_CALL, OBJ_CHANNEL, R_CALL, sys_channel_call),
	ROW(SYS_CHANNEL_REPLY_WAIT, OBJ_CHANNEL, R_SERVE, sys_channel_reply_wait),
	ROW(SYS_VM_CREATE, OBJ_NONE, 0, sys_vm_create),
	ROW(SYS_VM_SLOT_SET, OBJ_VM, R_MANAGE, sys_vm_slot_set),
	ROW(SYS_VM_MSI, OBJ_VM, R_MANAGE, sys_vm_msi),
	ROW(SYS_VCPU_CREATE, OBJ_VM, R_MANAGE, sys_vcpu_create),
	ROW(SYS_VCPU_RUN, OBJ_VCPU, R_RUN, sys_vcpu_run),
	ROW(SYS_VCPU_KICK, OBJ_VCPU, R_RUN, sys_vcpu_kick),
	ROW(SYS_VCPU_GET, OBJ_VCPU, R_RUN, sys_vcpu_get),
	ROW(SYS_VCPU_SET, OBJ_VCPU, R_RUN, sys_vcpu_set),
	ROW(SYS_CTL, OBJ_SYSTEM, 0, sys_ctl),
};
static_assert(ARRAY_SIZE(sys_table) == SYS_CALLS, "every call has a row");

s64 syscall_dispatch(u32 nr, const struct sys_args *args);
s64 syscall_dispatch(u32 nr, const struct sys_args *args)
{
	const struct sys_row *row = &sys_table[nr];
	struct object *obj = NULL;
	s64 r = 0;

	if (unlikely(nr >= SYS_CALLS))
		return -E_NOSYS;
	if (row->type != OBJ_NONE)
		r = handle_lookup((handle_t)args->a[0], row->type, row->rights, &obj);
	if (likely(r == 0))
		r = row->fn(obj, args);
	if (unlikely(return_work_pending()))
		return_to_user();
	return r;
}
