/*
 * The table of system calls. The dispatcher resolves the first argument when the row names a type,
 * so a handler finds its object in `obj`. A handler checks everything first and changes nothing
 * until all checks are done.
 */
#pragma once

#include "kernel/object.h"

struct sys_args {
	u64 a[6];
};

typedef s64 (*sys_fn)(struct object *obj, const struct sys_args *args);

/*
 * Every call: number, type of argument 0 (OBJ_NONE: no handle), the rights it needs, handler; its
 * obj is of that type.
 */
#define SYS_CALL_ROWS(ROW)                                                                         \
	ROW(SYS_HANDLE_DUP, OBJ_NONE, 0, sys_handle_dup)                                           \
	ROW(SYS_HANDLE_CLOSE, OBJ_NONE, 0, sys_handle_close)                                       \
	ROW(SYS_HANDLE_INFO, OBJ_NONE, 0, sys_handle_info)                                         \
	ROW(SYS_HANDLE_REVOKE, OBJ_NONE, 0, sys_handle_revoke)                                     \
	ROW(SYS_DOMAIN_CREATE, OBJ_NONE, 0, sys_domain_create)                                     \
	ROW(SYS_DOMAIN_EXIT, OBJ_NONE, 0, sys_domain_exit)                                         \
	ROW(SYS_THREAD_CREATE, OBJ_NONE, 0, sys_thread_create)                                     \
	ROW(SYS_THREAD_SET, OBJ_THREAD, R_MANAGE, sys_thread_set)                                  \
	ROW(SYS_MAP, OBJ_NONE, 0, sys_map)                                                         \
	ROW(SYS_UNMAP, OBJ_NONE, 0, sys_unmap)                                                     \
	ROW(SYS_MEM_CREATE, OBJ_NONE, 0, sys_mem_create)                                           \
	ROW(SYS_EVENT_CREATE, OBJ_NONE, 0, sys_event_create)                                       \
	ROW(SYS_EVENT_SIGNAL, OBJ_EVENT, R_SIGNAL, sys_event_signal)                               \
	ROW(SYS_EVENT_WAIT, OBJ_EVENT, R_WAIT, sys_event_wait)                                     \
	ROW(SYS_PORT_CREATE, OBJ_NONE, 0, sys_port_create)                                         \
	ROW(SYS_PORT_BIND, OBJ_PORT, R_MANAGE, sys_port_bind)                                      \
	ROW(SYS_PORT_WAIT, OBJ_PORT, R_WAIT, sys_port_wait)                                        \
	ROW(SYS_TIMER_SET, OBJ_EVENT, R_SIGNAL, sys_timer_set)                                     \
	ROW(SYS_CLOCK_GET, OBJ_NONE, 0, sys_clock_get)                                             \
	ROW(SYS_CHANNEL_CREATE, OBJ_NONE, 0, sys_channel_create)                                   \
	ROW(SYS_CHANNEL_CALL, OBJ_CHANNEL, R_CALL, sys_channel_call)                               \
	ROW(SYS_CHANNEL_REPLY_WAIT, OBJ_CHANNEL, R_SERVE, sys_channel_reply_wait)                  \
	ROW(SYS_VM_CREATE, OBJ_NONE, 0, sys_vm_create)                                             \
	ROW(SYS_VM_SLOT_SET, OBJ_VM, R_MANAGE, sys_vm_slot_set)                                    \
	ROW(SYS_VM_MSI, OBJ_VM, R_MANAGE, sys_vm_msi)                                              \
	ROW(SYS_VM_POLICY, OBJ_VM, R_MANAGE, sys_vm_policy)                                        \
	ROW(SYS_VCPU_CREATE, OBJ_VM, R_MANAGE, sys_vcpu_create)                                    \
	ROW(SYS_VCPU_RUN, OBJ_VCPU, R_RUN, sys_vcpu_run)                                           \
	ROW(SYS_VCPU_KICK, OBJ_VCPU, R_RUN, sys_vcpu_kick)                                         \
	ROW(SYS_VCPU_GET, OBJ_VCPU, R_RUN, sys_vcpu_get)                                           \
	ROW(SYS_VCPU_SET, OBJ_VCPU, R_RUN, sys_vcpu_set)                                           \
	ROW(SYS_CTL, OBJ_SYSTEM, 0, sys_ctl)

#define SYS_CALL_DECLARE(nr, type, rights, fn)                                                     \
	s64 fn(struct object *obj, const struct sys_args *args);
SYS_CALL_ROWS(SYS_CALL_DECLARE)
