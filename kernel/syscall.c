#include "kernel/syscall.h"

#include "kernel/trap.h"

#define ROW(nr, fn, type, rights) [nr] = {type, rights, fn},

static const struct {
	enum obj_type type;
	u32 rights;
	sys_fn fn;
} sys_table[] = {SYS_CALL_ROWS(ROW)};

s64 syscall_dispatch(u32 nr, const struct sys_args *args);
s64 syscall_dispatch(u32 nr, const struct sys_args *args)
{
	struct object *obj = NULL;
	s64 r = 0;

	if (unlikely(nr >= SYS_CALLS))
		return -E_NOSYS;
	if (sys_table[nr].type != OBJ_NONE)
		r = handle_lookup((handle_t)args->a[0], sys_table[nr].type, sys_table[nr].rights,
				  &obj);
	if (likely(r == 0))
		r = sys_table[nr].fn(obj, args);
	if (unlikely(return_work_pending()))
		return_to_user();
	return r;
}
