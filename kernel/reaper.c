#include "kernel/reaper.h"

#include "hv/up.h"
#include "kernel/domain.h"
#include "kernel/smp.h"
#include "kernel/thread.h"

static struct {
	spinlock_t lock;
	struct list objects;	/* struct object.reap, refs 0 */
	struct list domains;	/* struct domain.reap_link, still referenced */
	struct thread *thread;
} reaper = {.objects = LIST_INIT(reaper.objects), .domains = LIST_INIT(reaper.domains)};

static void wake(void)
{
	if (reaper.thread)
		thread_wake(reaper.thread);
}

void reaper_add(struct object *o)
{
	spin_lock(&reaper.lock);
	list_push_back(&reaper.objects, &o->reap);
	spin_unlock(&reaper.lock);
	wake();
}

void reaper_add_domain(struct domain *d)
{
	object_get(&d->obj);
	spin_lock(&reaper.lock);
	list_push_back(&reaper.domains, &d->reap_link);
	spin_unlock(&reaper.lock);
	wake();
}

/* Moves everything queued so far to a private list: one epoch serves them all. */
static void take(struct list *from, struct list *to)
{
	struct list *n;

	spin_lock(&reaper.lock);
	while ((n = list_pop_front(from)))
		list_push_back(to, n);
	spin_unlock(&reaper.lock);
}

static void free_objects(struct list *batch)
{
	struct list *n;

	while ((n = list_pop_front(batch))) {
		struct object *o = list_entry(n, struct object, reap);

		while (!object_ops[o->type]->destroy_step(o))
			preempt_point();
		preempt_point();
	}
}

static void take_down_domains(struct list *batch)
{
	struct list *n;

	while ((n = list_pop_front(batch))) {
		struct domain *d = list_entry(n, struct domain, reap_link);

		while (!domain_close_handles_step(d) || !aspace_clear_step(&d->aspace))
			preempt_point();
		object_put(&d->obj);
		preempt_point();
	}
}

static void reaper_loop(void *arg)
{
	for (;;) {
		struct list domains = LIST_INIT(domains), objects = LIST_INIT(objects);

		thread_block_prepare();
		take(&reaper.domains, &domains);
		take(&reaper.objects, &objects);
		if (list_empty(&domains) && list_empty(&objects)) {
			thread_block(DEADLINE_NEVER);
			continue;
		}
		thread_block_cancel();
		take_down_domains(&domains);
		if (!list_empty(&objects)) {
			smp_quiesce();
			free_objects(&objects);
		}
	}
}

void reaper_start(void)
{
	reaper.thread = thread_create_kernel("reaper", reaper_loop, NULL);
	ASSERT(reaper.thread);
	thread_wake(reaper.thread);
}
