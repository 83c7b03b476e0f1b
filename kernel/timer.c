#include "kernel/timer.h"

#include "drivers/platform/lapic.h"
#include "hv/cpu.h"
#include "hv/lock.h"

/* the rest fires at once again: the time in one interrupt is bounded */
#define TIMERS_PER_INTERRUPT 64

struct timer_base {
	spinlock_t lock;
	struct rb_tree tree;   /* under lock */
	struct timer *running; /* [a] whose fn is running */
};

static struct timer_base bases[MAX_CPUS];

static bool earlier(const struct rb_node *a, const struct rb_node *b)
{
	return container_of(a, struct timer, node)->deadline <
	       container_of(b, struct timer, node)->deadline;
}

/* Programs this CPU's local APIC for its first timer. */
static void program(struct timer_base *b)
{
	struct cpu *c = this_cpu();
	struct rb_node *n = rb_first(&b->tree);
	u64 first = n ? container_of(n, struct timer, node)->deadline : ~0ull;

	if (first == c->timer_armed)
		return;
	c->timer_armed = first;
	lapic_timer_set(n ? clock_to_tsc(first) : ~0ull);
}

static void remove(struct timer_base *b, struct timer *t)
{
	rb_erase(&b->tree, &t->node);
	__atomic_store_n(&t->armed, false, __ATOMIC_RELEASE);
}

void timer_arm(struct timer *t, u64 deadline_ns)
{
	u32 cpu = this_cpu()->id;
	struct timer_base *b = &bases[cpu];

	if (__atomic_load_n(&t->armed, __ATOMIC_ACQUIRE) && t->cpu != cpu)
		timer_cancel(t);
	spin_lock(&b->lock);
	if (t->armed)
		remove(b, t);
	t->deadline = deadline_ns;
	t->cpu = cpu;
	rb_insert(&b->tree, &t->node, earlier);
	__atomic_store_n(&t->armed, true, __ATOMIC_RELEASE);
	program(b);
	spin_unlock(&b->lock);
}

void timer_cancel(struct timer *t)
{
	struct timer_base *b = &bases[t->cpu];

	do {
		spin_lock(&b->lock);
		if (t->armed)
			remove(b, t);
		spin_unlock(&b->lock);
		/* Another CPU may be inside fn; this CPU can't be, unless fn itself cancels. */
		if (t->cpu == this_cpu()->id)
			return;
		while (__atomic_load_n(&b->running, __ATOMIC_ACQUIRE) == t)
			/* fn may wait for a lock whose holder waits for a flush here */
			up_spin_wait();
	} while (__atomic_load_n(&t->armed, __ATOMIC_ACQUIRE)); /* fn has armed it again */
}

void up_timer_interrupt(void)
{
	struct timer_base *b = &bases[this_cpu()->id];
	u64 now = clock_ns();

	spin_lock(&b->lock);
	this_cpu()->timer_armed = 0; /* so that it is set again, without any timer too */
	for (u32 i = 0; i < TIMERS_PER_INTERRUPT; i++) {
		struct rb_node *n = rb_first(&b->tree);
		struct timer *t = n ? container_of(n, struct timer, node) : NULL;

		if (!t || t->deadline > now)
			break;
		remove(b, t);
		__atomic_store_n(&b->running, t, __ATOMIC_RELEASE);
		spin_unlock(&b->lock);
		t->fn(t);
		__atomic_store_n(&b->running, NULL, __ATOMIC_RELEASE);
		spin_lock(&b->lock);
	}
	program(b);
	spin_unlock(&b->lock);
}
