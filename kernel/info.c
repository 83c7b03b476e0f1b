/* handle_info: one filler per type. */
#include "kernel/domain.h"
#include "kernel/syscall.h"
#include "kernel/vcpu.h"
#include "lib/string.h"
#include "mm/ucopy.h"

union any_info {
	struct object_info base;
	struct domain_info domain;
	struct mem_info mem;
};

static u32 fill_domain(const struct object *o, union any_info *out)
{
	struct domain *d = container_of(o, struct domain, obj);
	struct domain_info *i = &out->domain;

	str_copy(i->name, d->name, sizeof(i->name));
	i->quota_bytes = d->quota.limit;
	i->used_bytes = d->quota.used;
	i->table_bytes = d->quota.tables;
	i->populated_bytes = d->quota.populated;
	i->cpu_ns = d->cpu_ns;
	i->threads = d->thread_count;
	i->dead = d->dying;
	i->status = d->status;
	spin_lock(&d->lock);
	if (d->vm)
		i->vcpus = vm_stats(d->vm, i->exits);
	spin_unlock(&d->lock);
	return sizeof(*i);
}

static u32 fill_mem(const struct object *o, union any_info *out)
{
	const struct mem *m = container_of(o, struct mem, obj);

	out->mem.bytes = m->bytes;
	out->mem.populated_bytes = m->populated;
	return sizeof(out->mem);
}

s64 sys_handle_info(struct object *obj, const struct sys_args *args)
{
	union any_info info;
	struct object *o;
	u32 rights, size = sizeof(info.base);
	int r = handle_lookup((handle_t)args->a[0], OBJ_NONE, R_INFO, &o);

	if (r)
		return r;
	if (args->a[2] < sizeof(info.base))
		return -E_INVAL;
	memset(&info, 0, sizeof(info));
	rights = handle_rights((handle_t)args->a[0]);
	if (o->type == OBJ_DOMAIN)
		size = fill_domain(o, &info);
	else if (o->type == OBJ_MEM)
		size = fill_mem(o, &info);
	info.base = (struct object_info){.type = o->type, .rights = rights};
	size = (u32)MIN(size, args->a[2]);
	r = ucopy_out(args->a[1], &info, size);
	return r ? r : (s64)size;
}
