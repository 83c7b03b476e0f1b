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

#define SYS_CALL_DECLARE(nr, fn, type, rights)                                                     \
	s64 fn(struct object *obj, const struct sys_args *args);
SYS_CALL_ROWS(SYS_CALL_DECLARE)
