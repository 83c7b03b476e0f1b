#include "kernel/domain.h"
#include "kernel/ipc.h"
#include "kernel/syscall.h"
#include "kernel/vlapic.h"

s64 ipc_wait(struct object *o, u64 deadline, s64 (*take)(struct object *o, void *arg), void *arg)
{
	struct thread *t = thread_current();
	s64 got;
	int r = 0;

	object_get(o);
	for (;;) {
		thread_block_prepare();
		spin_lock(&o->lock);
		list_del(&t->wait_link);
		got = !r || r == -E_TIMEOUT ? take(o, arg) : 0;
		if (!got && !r && !o->dead)
			list_push_back(&o->waiters, &t->wait_link);
		if (!got && r) /* perhaps it was woken for what it leaves to another */
			thread_wake_first(&o->waiters);
		spin_unlock(&o->lock);
		if (got || r)
			break;
		r = o->dead ? -E_DEAD : thread_block(deadline);
	}
	thread_block_cancel();
	object_put(o);
	return got ? got : r;
}

/* Any context with interrupts off. */
static void event_signal(struct event *e, u64 bits)
{
	spin_lock(&e->obj.lock);
	if (e->vm) {
		vlapic_msi(e->vm, e->msi_address, e->msi_data);
	} else {
		__atomic_fetch_or(&e->bits, bits, __ATOMIC_SEQ_CST);
		thread_wake_first(&e->obj.waiters); /* it takes all bits */
	}
	spin_unlock(&e->obj.lock);
	object_notify(&e->obj, 0); /* a port finds no bits of a bound one */
}

static void timer_fired(struct timer *t)
{
	event_signal(container_of(t, struct event, timer), EVENT_TIMER_BIT);
}

/* Two calls at once must not put the timer into two trees. */
static void set_timer(struct event *e, u64 deadline)
{
	spin_lock(&e->timer_lock);
	if (deadline)
		timer_arm(&e->timer, deadline);
	else
		timer_cancel(&e->timer);
	spin_unlock(&e->timer_lock);
}

static void bind(struct event *e, struct vm *vm, u64 address, u32 data)
{
	struct vm *before;

	if (vm)
		object_get(&vm->obj);
	spin_lock(&e->obj.lock);
	before = e->vm;
	e->vm = vm;
	e->msi_address = address;
	e->msi_data = data;
	if (vm && __atomic_exchange_n(&e->bits, 0, __ATOMIC_SEQ_CST))
		vlapic_msi(vm, address, data);
	spin_unlock(&e->obj.lock);
	if (before)
		object_put(&before->obj);
}

s64 sys_vm_irq_bind(struct object *obj, const struct sys_args *args)
{
	struct vm *vm = container_of(obj, struct vm, obj);
	struct object *o;
	int r = handle_lookup((handle_t)args->a[1], OBJ_EVENT, R_WAIT, &o);

	if (r)
		return r;
	if (args->a[3] >= MSI_DATA_LEVEL)
		return -E_INVAL;
	bind(container_of(o, struct event, obj), args->a[2] ? vm : NULL, args->a[2],
	     (u32)args->a[3]);
	return 0;
}

static void revoke(struct object *o) { set_timer(container_of(o, struct event, obj), 0); }

static bool destroy_step(struct object *o)
{
	struct event *e = container_of(o, struct event, obj);

	set_timer(e, 0); /* armed while it was revoked */
	bind(e, NULL, 0, 0);
	return true;
}

const struct object_ops event_object_ops = {.revoke = revoke, .destroy_step = destroy_step};

s64 sys_event_create(struct object *obj, const struct sys_args *args)
{
	struct domain *d = current_domain();
	struct event *e = object_new(OBJ_EVENT, sizeof(*e), &d->quota);

	if (!e)
		return -E_NOMEM;
	e->timer.fn = timer_fired;
	return handle_install(d, &e->obj, R_ALL);
}

s64 sys_event_signal(struct object *obj, const struct sys_args *args)
{
	if (args->a[1] >> 62)
		return -E_INVAL;
	event_signal(container_of(obj, struct event, obj), args->a[1]);
	return 0;
}

static s64 take(struct object *o, void *arg)
{
	return (s64)__atomic_exchange_n(&container_of(o, struct event, obj)->bits, 0,
					__ATOMIC_SEQ_CST);
}

s64 sys_event_wait(struct object *obj, const struct sys_args *args)
{
	return ipc_wait(obj, args->a[1], take, NULL);
}

s64 sys_timer_set(struct object *obj, const struct sys_args *args)
{
	set_timer(container_of(obj, struct event, obj), args->a[1]);
	return 0;
}

s64 sys_clock_get(struct object *obj, const struct sys_args *args) { return (s64)clock_ns(); }
