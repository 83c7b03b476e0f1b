#include "kernel/memcall.h"

#include "kernel/domain.h"
#include "kernel/syscall.h"

static void revoke(struct object *o)
{
	while (!mem_unmap_step(container_of(o, struct mem, obj)))
		preempt_point();
}

static bool destroy_step(struct object *o)
{
	return mem_destroy_step(container_of(o, struct mem, obj));
}

const struct object_ops mem_object_ops = {.name = "memory", .revoke = revoke, .destroy_step = destroy_step};

/* The domain that a MAP or UNMAP is about. */
static int target_domain(handle_t h, struct domain **out)
{
	struct object *o;
	int r;

	if (h == HANDLE_SELF) {
		*out = current_domain();
		return 0;
	}
	r = handle_lookup(h, OBJ_DOMAIN, R_MANAGE, &o);
	if (!r)
		*out = container_of(o, struct domain, obj);
	return r;
}

static bool user_range(u64 va, u64 bytes)
{
	return bytes && IS_ALIGNED(va | bytes, PAGE_SIZE) && va >= USER_VA_MIN && va < USER_VA_MAX &&
	       bytes <= USER_VA_MAX - va;
}

s64 sys_map(struct object *obj, const struct sys_args *args)
{
	u64 va = args->a[2], offset = args->a[3], bytes = args->a[4], prot = args->a[5];
	struct domain *d;
	struct object *o;
	struct mem *m;
	int r = target_domain((handle_t)args->a[0], &d);

	if (r)
		return r;
	if (!prot || prot & ~(u64)(PROT_R | PROT_W | PROT_X) || (prot & (PROT_W | PROT_X)) == (PROT_W | PROT_X))
		return -E_INVAL;
	r = handle_lookup((handle_t)args->a[1], OBJ_MEM,
			  R_READ | (prot & PROT_W ? R_WRITE : 0) | (prot & PROT_X ? R_EXEC : 0), &o);
	if (r)
		return r;
	m = container_of(o, struct mem, obj);
	if (!user_range(va, bytes) || !IS_ALIGNED(offset, PAGE_SIZE) || offset > m->bytes || bytes > m->bytes - offset)
		return -E_INVAL;
	return aspace_map(&d->aspace, m, va, offset, bytes, (u32)prot);
}

s64 sys_unmap(struct object *obj, const struct sys_args *args)
{
	struct domain *d;
	int r = target_domain((handle_t)args->a[0], &d);

	if (r)
		return r;
	if (!user_range(args->a[1], args->a[2]))
		return -E_INVAL;
	return aspace_unmap(&d->aspace, args->a[1], args->a[2]);
}

/* 2 MiB at a time; the creator's own reference keeps m over the preemption points. */
static int populate(struct mem *m)
{
	u64 offset = 0;

	while (offset < m->bytes) {
		int r = mem_populate_step(m, &offset);

		if (r)
			return r;
		preempt_point();
		if (thread_must_leave())
			return -E_INTR;
	}
	return 0;
}

s64 sys_mem_create(struct object *obj, const struct sys_args *args)
{
	struct domain *d = current_domain();
	struct mem *m;
	int r;

	if (args->a[1] & ~(u64)(MEM_POPULATE | MEM_GUEST))
		return -E_INVAL;
	r = mem_create(args->a[0], (u32)args->a[1], &d->quota, &m);
	if (r)
		return r;
	if (args->a[1] & MEM_POPULATE)
		r = populate(m);
	if (r) {
		object_put(&m->obj);
		return r;
	}
	return handle_install(d, &m->obj, R_ALL);
}
