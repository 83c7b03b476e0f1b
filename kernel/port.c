#include "kernel/domain.h"
#include "kernel/ipc.h"
#include "kernel/syscall.h"
#include "mm/ucopy.h"

#define WAIT_MAX 16	  /* packets a call returns at most */
#define BINDINGS_MAX 512u /* so that a call that looks at all of them is bounded */

void object_notify(struct object *o, u64 bits)
{
	struct port *p = __atomic_load_n(&o->port, __ATOMIC_ACQUIRE);

	if (!p)
		return;
	spin_lock(&p->obj.lock);
	if (o->port == p) {
		o->port_bits |= bits;
		if (list_empty(&o->port_link))
			list_push_back(&p->pending, &o->port_link);
		thread_wake_first(&p->obj.waiters);
	}
	spin_unlock(&p->obj.lock);
}

/*
 * p->obj.lock is held. Who has read o->port before finds it changed, or p at least still there: for
 * an epoch. From the store on another port may have o in its lists, under its own lock.
 */
static void unbind(struct port *p, struct object *o)
{
	list_del(&o->port_bound);
	list_del(&o->port_link);
	p->bindings--;
	__atomic_store_n(&o->port, NULL, __ATOMIC_RELEASE);
}

void port_unbind(struct object *o)
{
	struct port *p = __atomic_load_n(&o->port, __ATOMIC_ACQUIRE);

	if (!p)
		return;
	spin_lock(&p->obj.lock);
	if (o->port == p)
		unbind(p, o);
	spin_unlock(&p->obj.lock);
}

static void revoke(struct object *o)
{
	struct port *p = container_of(o, struct port, obj);

	spin_lock(&p->obj.lock);
	while (!list_empty(&p->bound))
		unbind(p, list_entry(p->bound.next, struct object, port_bound));
	spin_unlock(&p->obj.lock);
}

const struct object_ops port_object_ops = {.revoke = revoke};

s64 sys_port_create(struct object *obj, const struct sys_args *args)
{
	struct domain *d = current_domain();
	struct port *p = object_new(OBJ_PORT, sizeof(*p), &d->quota);

	if (!p)
		return -E_NOMEM;
	list_init(&p->bound);
	list_init(&p->pending);
	return handle_install(d, &p->obj, R_ALL);
}

static s64 bind(struct port *p, struct object *o, u64 key)
{
	struct port *none = NULL;
	s64 r = 0;

	spin_lock(&p->obj.lock);
	if (p->obj.dead)
		r = -E_DEAD;
	else if (p->bindings == BINDINGS_MAX)
		r = -E_NOMEM;
	else if (!__atomic_compare_exchange_n(&o->port, &none, p, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_SEQ_CST))
		r = -E_EXIST;
	if (!r) {
		o->port_key = key;
		o->port_bits = 0;
		p->bindings++;
		list_push_back(&p->bound, &o->port_bound);
	}
	spin_unlock(&p->obj.lock);
	return r;
}

s64 sys_port_bind(struct object *obj, const struct sys_args *args)
{
	struct object *o;
	s64 r = handle_lookup((handle_t)args->a[1], OBJ_ANY, R_WAIT, &o);

	if (r)
		return r;
	if (o->type != OBJ_EVENT && o->type != OBJ_DOMAIN && o->type != OBJ_SYSTEM)
		return -E_TYPE;
	object_get(o);
	r = bind(container_of(obj, struct port, obj), o, args->a[2]);
	/*
	 * What happened before the binding is delivered too; an event without bits sends no packet.
	 */
	if (!r && o->type == OBJ_EVENT)
		object_notify(o, 0);
	if (!r && o->type == OBJ_DOMAIN && container_of(o, struct domain, obj)->ended)
		object_notify(o, container_of(o, struct domain, obj)->status);
	object_put(o);
	return r;
}

struct wanted {
	struct port_packet packet[WAIT_MAX];
	u32 max;
};

/* Takes pending packets. */
static s64 take_packets(struct object *obj, void *arg)
{
	struct port *p = container_of(obj, struct port, obj);
	struct wanted *w = arg;
	u32 n = 0;

	while (n < w->max && !list_empty(&p->pending)) {
		struct object *o =
			list_entry(list_pop_front(&p->pending), struct object, port_link);
		u64 bits = o->port_bits;

		o->port_bits = 0;
		if (o->type == OBJ_EVENT) {
			bits = __atomic_exchange_n(&container_of(o, struct event, obj)->bits, 0,
						   __ATOMIC_SEQ_CST);
			if (!bits)
				continue; /* event_wait took them */
		}
		w->packet[n++] = (struct port_packet){.key = o->port_key, .bits = bits};
	}
	return n;
}

s64 sys_port_wait(struct object *obj, const struct sys_args *args)
{
	struct wanted w = {.max = (u32)MIN(args->a[2], WAIT_MAX)};
	s64 n;
	int r;

	if (!w.max)
		return -E_INVAL;
	n = ipc_wait(obj, args->a[3], take_packets, &w);
	if (n < 0)
		return n;
	r = ucopy_out(args->a[1], w.packet, (u64)n * sizeof(w.packet[0]));
	return r ? r : n;
}
