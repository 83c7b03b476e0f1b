#include "vmm/timer.h"

static void unlink(struct timers *ts, struct vtimer *t)
{
	for (struct vtimer **p = &ts->first; *p; p = &(*p)->next)
		if (*p == t) {
			*p = t->next;
			break;
		}
	t->next = NULL;
	t->deadline = VTIMER_OFF;
}

bool timers_set(struct timers *ts, struct vtimer *t, u64 deadline)
{
	struct vtimer **p = &ts->first;
	bool first;

	rt_lock(&ts->lock);
	unlink(ts, t);
	if (deadline != VTIMER_OFF) {
		while (*p && (*p)->deadline <= deadline)
			p = &(*p)->next;
		t->deadline = deadline;
		t->next = *p;
		*p = t;
	}
	first = ts->first == t;
	rt_unlock(&ts->lock);
	return first;
}

/*
 * Takes t out when it is still due: its device may have moved it before we had the device's lock.
 */
static bool claim(struct timers *ts, struct vtimer *t, u64 now)
{
	bool still;

	rt_lock(&ts->lock);
	still = t->deadline <= now;
	if (still)
		unlink(ts, t);
	rt_unlock(&ts->lock);
	return still;
}

u64 timers_next(struct timers *ts)
{
	u64 next;

	rt_lock(&ts->lock);
	next = ts->first ? ts->first->deadline : VTIMER_OFF;
	rt_unlock(&ts->lock);
	return next;
}

/* The first timer when it is due, else NULL. */
static struct vtimer *due(struct timers *ts, u64 now)
{
	struct vtimer *t;

	rt_lock(&ts->lock);
	t = ts->first && ts->first->deadline <= now ? ts->first : NULL;
	rt_unlock(&ts->lock);
	return t;
}

void timers_run(struct timers *ts, u64 now)
{
	struct vtimer *t;

	/* A callback arms its timer for later than now, so this ends. */
	while ((t = due(ts, now))) {
		rt_lock(&t->dev->lock);
		if (claim(ts, t, now))
			t->fn(t->dev);
		rt_unlock(&t->dev->lock);
	}
}
