#include "hv/vcpu.h"
#include "kernel/domain.h"
#include "kernel/syscall.h"

static void revoke(struct object *o)
{
	while (!mem_unmap_step(container_of(o, struct mem, obj)))
		preempt_point();
}

const struct object_ops mem_object_ops = {.revoke = revoke, .destroy_step = mem_destroy_step};

/* The address space that a handle stands for: a domain's, or the memory of the caller's VM. */
static int space_of(handle_t h, struct object **obj, struct aspace **as)
{
	int r = handle_lookup(h, OBJ_DOMAIN, R_MANAGE, obj);
	struct vm *vm;

	if (!r)
		*as = &container_of(*obj, struct domain, obj)->aspace;
	if (r != -E_TYPE)
		return r;
	r = handle_lookup(h, OBJ_VM, R_MANAGE, obj);
	if (r)
		return r;
	vm = container_of(*obj, struct vm, obj);
	*as = &vm->space;
	return vm->owner == current_domain() ? 0 : -E_RIGHTS;
}

s64 sys_map(struct object *obj, const struct sys_args *args)
{
	u64 va = args->a[2], offset = args->a[3], bytes = args->a[4], prot = args->a[5];
	u32 rights = R_READ | (prot & PROT_W ? R_WRITE : 0) | (prot & PROT_X ? R_EXEC : 0);
	struct aspace *as;
	struct object *o;
	int r = space_of((handle_t)args->a[0], &o, &as);

	if (!r)
		r = handle_lookup((handle_t)args->a[1], OBJ_MEM, rights, &o);
	return r ? r : aspace_map(as, container_of(o, struct mem, obj), va, offset, bytes, prot);
}

s64 sys_unmap(struct object *obj, const struct sys_args *args)
{
	struct aspace *as;
	int r = space_of((handle_t)args->a[0], &obj, &as);

	if (r)
		return r;
	object_get(obj);
	while ((r = aspace_unmap_step(as, args->a[1], args->a[2])) > 0 && !thread_must_end())
		preempt_point();
	object_put(obj);
	return r;
}

s64 sys_mem_create(struct object *obj, const struct sys_args *args)
{
	struct domain *d = current_domain();
	struct mem *m;
	int r = mem_create(args->a[0], args->a[1], &d->quota, &m);

	return r ? r : handle_install(d, &m->obj, R_ALL);
}
