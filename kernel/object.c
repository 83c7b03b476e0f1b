#include "kernel/object.h"

#include "kernel/domain.h"
#include "kernel/ipc.h"

/* clang-format off */
static const struct object_ops *const object_ops[OBJ_TYPES] = {
	[OBJ_DOMAIN] = &domain_object_ops, [OBJ_THREAD] = &thread_object_ops,
	[OBJ_MEM] = &mem_object_ops,       [OBJ_EVENT] = &event_object_ops,
	[OBJ_PORT] = &port_object_ops,     [OBJ_CHANNEL] = &channel_object_ops,
	[OBJ_VM] = &vm_object_ops,         [OBJ_VCPU] = &vcpu_object_ops,
	[OBJ_SYSTEM] = &(const struct object_ops){},
};
/* clang-format on */

u32 object_count[OBJ_TYPES];

/* The domain that a quota is part of stays until the last object charged to it is gone. */
static struct domain *payer(struct quota *q) { return container_of(q, struct domain, quota); }

void *object_new(enum obj_type type, size_t bytes, struct quota *q)
{
	struct object *o = kmem_alloc(q, bytes);

	if (!o)
		return NULL;
	o->type = (u16)type;
	o->refs = 1;
	o->bytes = (u32)bytes;
	o->quota = q;
	__atomic_fetch_add(&object_count[type], 1, __ATOMIC_RELAXED);
	list_init(&o->reap);
	list_init(&o->waiters);
	list_init(&o->port_bound);
	list_init(&o->port_link);
	object_get(&payer(q)->obj);
	return o;
}

void object_get(struct object *o) { __atomic_fetch_add(&o->refs, 1, __ATOMIC_RELAXED); }

/* The last reference is held until the object is revoked and unbound. */
void object_put(struct object *o)
{
	u64 refs = __atomic_load_n(&o->refs, __ATOMIC_RELAXED);

	ASSERT(refs > 0);
	while (refs > 1)
		if (__atomic_compare_exchange_n(&o->refs, &refs, refs - 1, false, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			return;
	object_revoke(o);
	port_unbind(o);
	reaper_put(o);
}

/* Wakes one who waits there, and no other comes; false: there is none. */
static bool wake_one(struct object *o)
{
	bool any;

	spin_lock(&o->lock);
	any = thread_wake_first(&o->waiters);
	spin_unlock(&o->lock);
	return any;
}

void object_revoke(struct object *o)
{
	if (__atomic_exchange_n(&o->dead, true, __ATOMIC_SEQ_CST))
		return;
	if (object_ops[o->type]->revoke)
		object_ops[o->type]->revoke(o);
	while (wake_one(o))
		preempt_point();
}

bool object_destroy_step(struct object *o)
{
	const struct object_ops *ops = object_ops[o->type];
	struct quota *q = o->quota;

	port_unbind(o); /* who had looked it up before could bind it behind the last reference */
	if (ops->destroy_step && !ops->destroy_step(o))
		return false;
	__atomic_fetch_sub(&object_count[o->type], 1, __ATOMIC_RELAXED);
	kmem_free(q, o, o->bytes);
	object_put(&payer(q)->obj);
	return true;
}
