/*
 * The table of system calls. The dispatcher resolves the first argument when the row names a type, so a
 * handler finds its object in `obj`. A handler checks everything first and changes nothing until all checks
 * are done.
 */
#pragma once

#include "kernel/object.h"

struct sys_args {
	u64 a[6];
};

typedef s64 (*sys_fn)(struct object *obj, const struct sys_args *args);

struct sys_row {
	const char *name;
	enum obj_type type; /* of argument 0; OBJ_NONE: no handle */
	u32 rights;
	sys_fn fn;
};

/* Handlers by file; the obj is of the row's type. */
s64 sys_vm_create(struct object *obj, const struct sys_args *args);
s64 sys_vm_slot_set(struct object *obj, const struct sys_args *args);
s64 sys_vm_msi(struct object *obj, const struct sys_args *args);
s64 sys_vcpu_create(struct object *obj, const struct sys_args *args);
s64 sys_vcpu_run(struct object *obj, const struct sys_args *args);
s64 sys_vcpu_kick(struct object *obj, const struct sys_args *args);
s64 sys_vcpu_get(struct object *obj, const struct sys_args *args);
s64 sys_vcpu_set(struct object *obj, const struct sys_args *args);
s64 sys_handle_dup(struct object *obj, const struct sys_args *args);
s64 sys_handle_close(struct object *obj, const struct sys_args *args);
s64 sys_handle_info(struct object *obj, const struct sys_args *args);
s64 sys_handle_revoke(struct object *obj, const struct sys_args *args);
s64 sys_domain_create(struct object *obj, const struct sys_args *args);
s64 sys_domain_exit(struct object *obj, const struct sys_args *args);
s64 sys_thread_create(struct object *obj, const struct sys_args *args);
s64 sys_thread_set(struct object *obj, const struct sys_args *args);
s64 sys_map(struct object *obj, const struct sys_args *args);
s64 sys_unmap(struct object *obj, const struct sys_args *args);
s64 sys_mem_create(struct object *obj, const struct sys_args *args);
s64 sys_event_create(struct object *obj, const struct sys_args *args);
s64 sys_event_signal(struct object *obj, const struct sys_args *args);
s64 sys_event_wait(struct object *obj, const struct sys_args *args);
s64 sys_port_create(struct object *obj, const struct sys_args *args);
s64 sys_port_bind(struct object *obj, const struct sys_args *args);
s64 sys_port_wait(struct object *obj, const struct sys_args *args);
s64 sys_timer_set(struct object *obj, const struct sys_args *args);
s64 sys_clock_get(struct object *obj, const struct sys_args *args);
s64 sys_channel_create(struct object *obj, const struct sys_args *args);
s64 sys_channel_call(struct object *obj, const struct sys_args *args);
s64 sys_channel_reply_wait(struct object *obj, const struct sys_args *args);
s64 sys_ctl(struct object *obj, const struct sys_args *args);
