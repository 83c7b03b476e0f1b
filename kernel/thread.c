#include "kernel/thread.h"

#include "kernel/domain.h"
#include "kernel/sched.h"
#include "kernel/syscall.h"
#include "kernel/vcpu.h"
#include "mm/ucopy.h"

static u32 next_id = 1;

static struct thread *alloc(struct domain *d)
{
	struct thread *t = object_new(OBJ_THREAD, sizeof(*t), &d->quota);

	if (!t)
		return NULL;
	t->domain = d;
	t->id = __atomic_fetch_add(&next_id, 1, __ATOMIC_RELAXED);
	t->state = THREAD_STOPPED;
	t->cpu = this_cpu()->id;
	t->weight = WEIGHT_DEFAULT;
	t->affinity = ~0ull;
	t->owed_ns = SCHED_SLICE_NS; /* what threads before it have had ended with them */
	list_init(&t->wait_link);
	list_init(&t->domain_link);
	return t;
}

/* Kernel threads' stacks are the kernel's own; a domain's lie in its private slot. */
struct thread *thread_create_kernel(void (*fn)(void))
{
	void *stack = kmem_alloc(kernel_quota, KPRIV_BYTES);
	struct thread *t = stack ? alloc(&kernel_domain) : NULL;

	if (!t) /* the machine is short of memory at its start: a stack more makes no difference */
		return NULL;
	t->kstack = stack;
	t->kstack_top = (u64)t->kstack + KPRIV_BYTES;
	t->kernel_fn = fn;
	t->state = THREAD_BLOCKED;
	return t;
}

static int join_domain(struct domain *d, struct thread *t)
{
	int r = 0;

	spin_lock(&d->lock);
	if (d->dying)
		r = -E_DEAD;
	else if (d->thread_count == DOMAIN_THREADS)
		r = -E_NOMEM;
	if (!r) {
		d->thread_count++;
		list_push_back(&d->threads, &t->domain_link);
		object_get(&t->obj); /* the thread's own reference, dropped after its last switch */
	}
	spin_unlock(&d->lock);
	return r;
}

/* Its stack and message page; what was made before an error goes with the thread. */
static int prepare(struct thread *t, const struct thread_args *a)
{
	struct domain *d = t->domain;
	hpa_t stack_hpa;
	int r = 0;

	t->kstack = kpriv_alloc(&d->aspace, &stack_hpa);
	if (!t->kstack)
		return -E_NOMEM;
	t->kstack_top = (u64)t->kstack + KPRIV_BYTES;
	if (a->msg_va) {
		t->msg = kmem_alloc(&d->quota, PAGE_SIZE);
		r = t->msg ? aspace_map_kernel_page(&d->aspace, a->msg_va, t->msg, PROT_R | PROT_W)
			   : -E_NOMEM;
	}
	if (!r)
		t->start = *a;
	return r;
}

int thread_create(struct domain *d, const struct thread_args *a, struct thread **out)
{
	struct thread *t = alloc(d);
	int r;

	if (!t)
		return -E_NOMEM;
	r = prepare(t, a);
	if (!r)
		r = join_domain(d, t);
	if (r) {
		t->state = THREAD_EXITED; /* it never runs */
		object_put(&t->obj);
	}
	*out = t;
	return r;
}

bool thread_must_leave(void) { return thread_must_end() || thread_current()->stop; }

bool thread_must_end(void)
{
	struct thread *t = thread_current();

	return t->domain->dying || t->obj.dead;
}

static bool destroy_step(struct object *o)
{
	struct thread *t = container_of(o, struct thread, obj);
	struct domain *d = t->domain;

	if (t->start.msg_va)
		aspace_unmap_kernel_page(&d->aspace, t->start.msg_va);
	if (t->msg)
		kmem_free(o->quota, t->msg, PAGE_SIZE);
	if (t->kstack)
		kpriv_free(&d->aspace, t->kstack);
	return true;
}

static void revoke(struct object *o) { thread_end(container_of(o, struct thread, obj)); }

/*
 * A running thread holds a reference on itself: losing the last handle does not end it, revoking
 * does.
 */
const struct object_ops thread_object_ops = {.revoke = revoke, .destroy_step = destroy_step};

s64 sys_thread_create(struct object *obj, const struct sys_args *args)
{
	struct thread_args a;
	struct thread *t;
	int r = ucopy_in(&a, args->a[1], sizeof(a));
	s64 h;

	if (r)
		return r;
	if (a.size != sizeof(a) || a.flags || a.entry >= USER_VA_MAX || a.stack >= USER_VA_MAX)
		return -E_INVAL;
	r = thread_create(container_of(obj, struct domain, obj), &a, &t);
	if (r)
		return r;
	object_get(&t->obj);
	h = handle_install(current_domain(), &t->obj, R_ALL);
	if (h < 0)
		object_revoke(&t->obj); /* else nobody could end it */
	object_put(&t->obj);
	return h;
}

static u64 all_cpus(void) { return ~0ull >> (MAX_CPUS - cpu_count); }

/*
 * group: of all threads of t's group, else of t, which holds within what the group may use, now and
 * later.
 */
static int set_cpus(struct thread *t, u64 mask, bool group)
{
	struct sched_group *g = t->domain->group;
	u64 up = all_cpus(), may = mask & up & (group ? ~0ull : g->cpus);

	/* without a CPU that enters guests no vCPU could run */
	if (!may || ((group || t->domain->vm) && vcpu_cpus && !(may & vcpu_cpus)))
		return -E_INVAL;
	if (!group) {
		sched_set_affinity(t, mask);
		return 0;
	}
	__atomic_store_n(&g->cpus, mask & up, __ATOMIC_RELAXED);
	sched_ask(up); /* may their threads go on there? */
	return 0;
}

/* For what runs from now on, also for who runs alone and would not be looked at again. */
static int set_cap(struct sched_group *g, u64 cap)
{
	int r;

	sched_settle();
	r = sched_group_set_cap(g, cap, clock_ns());
	sched_ask(all_cpus());
	return r;
}

/* It counts from the next slice on. */
static int set_weight(u32 *weight, u64 value)
{
	if (value < 1 || value > WEIGHT_MAX)
		return -E_INVAL;
	__atomic_store_n(weight, (u32)value, __ATOMIC_RELAXED);
	return 0;
}

s64 sys_thread_set(struct object *obj, const struct sys_args *args)
{
	struct thread *t = container_of(obj, struct thread, obj);
	struct sched_group *g = t->domain->group;
	u64 value = args->a[2];

	/* nobody makes himself heavier, nor lifts his own cap */
	if (args->a[1] >= THREAD_GROUP_WEIGHT && g == current_domain()->group)
		return -E_RIGHTS;
	switch (args->a[1]) {
	case THREAD_START:
		__atomic_store_n(&t->stop, false, __ATOMIC_SEQ_CST);
		sched_start(t);
		return 0;
	case THREAD_STOP:
		__atomic_store_n(&t->stop, true, __ATOMIC_SEQ_CST);
		thread_interrupt(t);
		return 0;
	case THREAD_WEIGHT: return set_weight(&t->weight, value);
	case THREAD_AFFINITY: return set_cpus(t, value, false);
	case THREAD_GROUP_WEIGHT: return set_weight(&g->weight, value);
	case THREAD_GROUP_CPUS: return set_cpus(t, value, true);
	case THREAD_GROUP_CAP: return set_cap(g, value);
	default: return -E_INVAL;
	}
}
