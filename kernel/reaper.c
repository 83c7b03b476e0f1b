#include "kernel/domain.h"
#include "kernel/smp.h"

#define BATCH 256
#define REST_NS 1000000 /* behind an epoch, which every CPU pays for */

static struct {
	spinlock_t lock;
	struct list objects; /* struct object.reap: refs reached 0 */
	struct list domains; /* struct object.reap, still referenced */
	struct thread *thread;
	bool resting; /* [a] it looks by itself soon */
} reaper = {/* its lock protects the batches below too */ .objects = LIST_INIT(reaper.objects),
	    .domains = LIST_INIT(reaper.domains)};

static void wake(void)
{
	if (!__atomic_load_n(&reaper.resting, __ATOMIC_SEQ_CST))
		thread_wake(reaper.thread);
}

void reaper_put(struct object *o)
{
	spin_lock(&reaper.lock);
	if (!__atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL)) {
		list_del(&o->reap); /* off a batch whose epoch began earlier */
		list_push_back(&reaper.objects, &o->reap);
	}
	spin_unlock(&reaper.lock);
	wake();
}

void reaper_add_domain(struct domain *d)
{
	object_get(&d->obj);
	spin_lock(&reaper.lock);
	list_push_back(&reaper.domains, &d->obj.reap);
	spin_unlock(&reaper.lock);
	wake();
}

/* Moves what is queued to a batch: one epoch serves it all. True: the batch is full. */
static bool take(struct list *from, struct list *to)
{
	struct list *n;
	u32 i = 0;

	spin_lock(&reaper.lock);
	for (; i < BATCH && (n = list_pop_front(from)); i++)
		list_push_back(to, n);
	spin_unlock(&reaper.lock);
	return i == BATCH;
}

/* *held: someone took a reference meanwhile; it comes again when that is dropped. */
static struct object *next(struct list *batch, bool *held)
{
	struct object *o = NULL;
	struct list *n;

	spin_lock(&reaper.lock);
	n = list_pop_front(batch);
	if (n) {
		o = list_entry(n, struct object, reap);
		*held = __atomic_load_n(&o->refs, __ATOMIC_ACQUIRE) != 0;
	}
	spin_unlock(&reaper.lock);
	return o;
}

static void free_objects(struct list *batch)
{
	struct object *o;
	bool held;

	while ((o = next(batch, &held))) {
		while (!held && !object_destroy_step(o))
			preempt_point();
		preempt_point();
	}
}

static void take_down_domains(struct list *batch)
{
	struct object *o;
	bool held;

	while ((o = next(batch, &held))) {
		struct domain *d = container_of(o, struct domain, obj);

		domain_revoke_vm(d);
		while (!domain_kill_child(d) || !domain_close_handles_step(d) ||
		       !aspace_clear_step(&d->aspace))
			preempt_point();
		object_put(&d->obj);
		preempt_point();
	}
}

/* What the objects leave empty of the kernel's heap is memory for others again. */
static void shrink_heap(void)
{
	hpa_t block[16];
	u32 n;

	do {
		for (n = 0; n < ARRAY_SIZE(block) && kmem_unmap_block(&block[n]); n++)
			;
		if (n)
			smp_quiesce();
		for (u32 i = 0; i < n; i++)
			frame_free(block[i], ORDER_2M);
	} while (n == ARRAY_SIZE(block));
}

/* Who makes and closes objects all the time has the CPUs interrupted for batches, not for each. */
static void rest(void)
{
	__atomic_store_n(&reaper.resting, true, __ATOMIC_SEQ_CST);
	thread_block_prepare();
	thread_block(clock_ns() + REST_NS);
	__atomic_store_n(&reaper.resting, false, __ATOMIC_SEQ_CST);
}

static void reaper_loop(void)
{
	for (;;) {
		struct list domains = LIST_INIT(domains), objects = LIST_INIT(objects);
		bool full;

		thread_block_prepare();
		take(&reaper.domains, &domains);
		full = take(&reaper.objects, &objects);
		if (list_empty(&domains) && list_empty(&objects)) {
			thread_block(DEADLINE_NEVER);
			continue;
		}
		thread_block_cancel();
		take_down_domains(&domains);
		if (!list_empty(&objects)) {
			smp_quiesce();
			free_objects(&objects);
			shrink_heap();
			if (!full)
				rest();
		}
	}
}

void reaper_start(void)
{
	reaper.thread = thread_create_kernel(reaper_loop);
	ASSERT(reaper.thread);
	thread_wake(reaper.thread);
}
