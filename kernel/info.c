/* handle_info: of every object its type, of a domain what it uses. */
#include "kernel/domain.h"
#include "kernel/syscall.h"
#include "kernel/vcpu.h"
#include "lib/string.h"
#include "mm/ucopy.h"

static void fill_domain(const struct object *o, struct domain_info *i)
{
	struct domain *d = container_of(o, struct domain, obj);

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
}

s64 sys_handle_info(struct object *obj, const struct sys_args *args)
{
	struct domain_info info = {.base.rights = handle_rights((handle_t)args->a[0])};
	u64 size = MIN(args->a[2], sizeof(info.base));
	int r;

	if (args->a[2] < sizeof(info.base))
		return -E_INVAL;
	info.base.type = obj->type;
	if (obj->type == OBJ_DOMAIN) {
		fill_domain(obj, &info);
		size = MIN(args->a[2], sizeof(info));
	}
	r = ucopy_out(args->a[1], &info, size);
	return r ? r : (s64)size;
}
