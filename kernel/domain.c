#include "kernel/domain.h"

#include "kernel/sched.h"
#include "kernel/syscall.h"
#include "kernel/vcpu.h"
#include "lib/string.h"
#include "mm/ucopy.h"

struct domain kernel_domain = {
	.name = "kernel",
	.group = &kernel_domain.own_group, /* the log asks for it before domain_init */
	.obj = {.type = OBJ_DOMAIN, .refs = 1, .quota = &kernel_domain.quota},
	.quota = {.limit = ~0ull}};
struct quota *const kernel_quota = &kernel_domain.quota;
struct kinfo *kernel_kinfo;

static void fields_init(struct domain *d, const struct domain *parent, const char *name)
{
	d->own_group = (struct sched_group){.cpus = ~0ull, .weight = WEIGHT_DEFAULT};
	/* of init's domains each has one of its own */
	d->group = parent->obj.quota == kernel_quota ? &d->own_group : parent->group;
	str_copy(d->name, name, sizeof(d->name));
	list_init(&d->threads);
	list_init(&d->children);
	list_init(&d->sibling);
	d->handle_top = 1; /* handle index 0 names nothing */
}

void domain_init(void)
{
	fields_init(&kernel_domain, &kernel_domain, "kernel");
	kernel_kinfo = kmem_alloc(kernel_quota, PAGE_SIZE);
	system_object = object_new(OBJ_SYSTEM, sizeof(*system_object), kernel_quota);
	ASSERT(kernel_kinfo && system_object);
}

/* -E_DEAD when the parent is ending: nothing would end the child. */
static int join_parent(struct domain *parent, struct domain *d)
{
	bool ok;

	spin_lock(&parent->lock);
	ok = !parent->dying;
	if (ok)
		list_push_back(&parent->children, &d->sibling);
	spin_unlock(&parent->lock);
	return ok ? 0 : -E_DEAD;
}

int domain_create(struct domain *parent, u64 quota_bytes, const char *name, struct domain **out)
{
	struct quota *q = &parent->quota;
	struct domain *d;
	int r;

	if (!quota_charge(q, quota_bytes))
		return -E_NOMEM;
	d = object_new(OBJ_DOMAIN, sizeof(*d), q);
	if (!d) {
		quota_uncharge(q, quota_bytes);
		return -E_NOMEM;
	}
	d->quota.limit = quota_bytes;
	fields_init(d, parent, name);
	r = aspace_init(&d->aspace, &d->quota);
	if (!r)
		r = aspace_map_kernel_page(&d->aspace, KINFO_VA, kernel_kinfo, PROT_R);
	if (!r)
		r = join_parent(parent, d);
	if (r)
		object_put(&d->obj);
	*out = d;
	return r;
}

/* The last thread is gone, or there never was one. */
static void ended(struct domain *d)
{
	if (d->obj.quota == kernel_quota)
		panic("init has ended with status %u: nothing can go on without it", d->status);
	__atomic_store_n(&d->ended, true, __ATOMIC_SEQ_CST); /* before it looks for a port */
	object_notify(&d->obj, d->status);
	reaper_add_domain(d);
}

void domain_kill(struct domain *d, u32 status)
{
	bool empty;

	spin_lock(&d->lock);
	empty = !d->dying && !d->thread_count;
	if (!d->dying)
		d->status = status;
	__atomic_store_n(&d->dying, true, __ATOMIC_SEQ_CST);
	list_for_each (n, &d->threads)
		thread_end(list_entry(n, struct thread, domain_link));
	if (d->vm)
		vcpu_stop_all(d->vm);
	spin_unlock(&d->lock);
	if (empty)
		ended(d);
}

void domain_thread_ended(struct thread *t)
{
	struct domain *d = t->domain;
	bool last;

	spin_lock(&d->lock);
	list_del(&t->domain_link);
	last = --d->thread_count == 0;
	if (last)
		d->dying = true;
	spin_unlock(&d->lock);
	if (last)
		ended(d);
}

bool domain_kill_child(struct domain *d)
{
	struct domain *child = NULL;
	struct list *n;

	spin_lock(&d->lock);
	n = list_pop_front(&d->children);
	if (n) {
		child = list_entry(n, struct domain, sibling);
		object_get(&child->obj);
	}
	spin_unlock(&d->lock);
	if (!child)
		return true;
	domain_kill(child, DOMAIN_STATUS_REVOKED);
	object_put(&child->obj);
	return false;
}

void domain_revoke_vm(struct domain *d)
{
	struct vm *vm;

	spin_lock(&d->lock);
	vm = d->vm;
	if (vm)
		object_get(&vm->obj);
	spin_unlock(&d->lock);
	if (!vm)
		return;
	object_revoke(&vm->obj);
	object_put(&vm->obj);
}

static void revoke(struct object *o)
{
	domain_kill(container_of(o, struct domain, obj), DOMAIN_STATUS_REVOKED);
}

static bool destroy_step(struct object *o)
{
	struct domain *d = container_of(o, struct domain, obj);
	struct quota *q = o->quota;
	struct domain *parent = container_of(q, struct domain, quota);

	if (!aspace_destroy_step(&d->aspace))
		return false;
	spin_lock(&parent->lock);
	list_del(&d->sibling);
	spin_unlock(&parent->lock);
	for (u32 i = 0; i < ARRAY_SIZE(d->chunk); i++)
		if (d->chunk[i])
			kmem_free(&d->quota, d->chunk[i],
				  HANDLE_CHUNK * sizeof(struct handle_slot));
	if (d->quota.used)
		log_error("domain: %s: %lu bytes of its quota are still charged at its end",
			  d->name, d->quota.used);
	quota_uncharge(q, d->quota.limit);
	return true;
}

const struct object_ops domain_object_ops = {.revoke = revoke, .destroy_step = destroy_step};

s64 sys_domain_create(struct object *obj, const struct sys_args *args)
{
	char name[32];
	struct domain *d;
	int r = ucopy_in(name, args->a[1], sizeof(name));

	if (r)
		return r;
	name[sizeof(name) - 1] = 0;
	if (args->a[0] < DOMAIN_MIN_QUOTA || args->a[0] > DOMAIN_MAX_QUOTA)
		return -E_INVAL;
	r = domain_create(current_domain(), args->a[0], name, &d);
	return r ? r : handle_install(current_domain(), &d->obj, R_ALL);
}

s64 sys_domain_exit(struct object *obj, const struct sys_args *args)
{
	domain_kill(current_domain(), (u32)args->a[0] & 0x7f);
	return 0; /* the return path ends the thread */
}

/* ---- handle_info: of every object its type, of a domain what it uses ---- */

static void fill_domain(const struct object *o, struct domain_info *i)
{
	struct domain *d = container_of(o, struct domain, obj);

	sched_settle();
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
		vm_stats(d->vm, i);
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
