// SOURCES: kernel/reaper.c
/* However often objects are closed, CPUs are interrupted for an epoch now and then only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fake_cpu.h"
#include "kernel/domain.h"
#include "kernel/smp.h"

#define OBJECTS 1000u
#define CLOSE_NS 10000ull /* from one close to the next */
#define EPOCH_NS 1000000ull
#define BACKLOG 100000u

static struct object object[BACKLOG];
static struct thread thread;
static void (*loop)(void);
static jmp_buf end;
static u64 now, epochs, wakes, freed;
static u32 closed, objects;

void assert_fail(const char *e, const char *f, int l) { abort(); }
u64 clock_ns(void) { return now; }
void preempt_point(void) {}
void thread_block_prepare(void) {}
void thread_block_cancel(void) {}
void thread_wake(struct thread *t) { wakes++; }
void smp_quiesce(void) { epochs++; }
bool kmem_unmap_block(hpa_t *block) { return false; }
void frame_free(hpa_t start, u32 order) {}
bool domain_kill_child(struct domain *d) { return true; }
void domain_revoke_vm(struct domain *d) {}
bool domain_close_handles_step(struct domain *d) { return true; }
bool aspace_clear_step(struct aspace *as) { return true; }
void object_get(struct object *o) { o->refs++; }
void object_put(struct object *o) { o->refs--; }

bool object_destroy_step(struct object *o)
{
	freed++;
	return true;
}

struct thread *thread_create_kernel(void (*fn)(void))
{
	loop = fn;
	return &thread;
}

static void close_next(void)
{
	now += CLOSE_NS;
	reaper_put(&object[closed++]);
}

/* Somebody else runs meanwhile, who closes one object after the other. */
int thread_block(u64 deadline)
{
	u64 before = wakes;

	if (deadline == DEADLINE_NEVER) {
		if (closed == objects)
			longjmp(end, 1);
		close_next();
		assert_true(wakes > before);
		return 0;
	}
	while (closed < objects && now < deadline)
		close_next();
	assert_int_equal(wakes, before); /* no switch to it, which would only look at the clock */
	now = MAX(now, deadline);
	return -E_TIMEOUT;
}

static void run(u32 n, u32 closed_before)
{
	now = epochs = freed = closed = 0;
	objects = n;
	for (u32 i = 0; i < n; i++) {
		object[i] = (struct object){.refs = 1};
		list_init(&object[i].reap);
	}
	reaper_start();
	while (closed < closed_before)
		reaper_put(&object[closed++]);
	if (!setjmp(end))
		loop();
	assert_int_equal(freed, n);
}

static void closing_all_the_time_makes_few_epochs(void **state)
{
	run(OBJECTS, 0);
	assert_in_range(epochs, 2, OBJECTS * CLOSE_NS / EPOCH_NS + 1);
}

/* Others wait for what they had, too. */
static void many_that_were_closed_at_once_are_freed_at_once(void **state)
{
	run(BACKLOG, BACKLOG);
	assert_in_range(now, 0, 2 * EPOCH_NS);
	assert_in_range(epochs, 1, BACKLOG / 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(closing_all_the_time_makes_few_epochs),
		cmocka_unit_test(many_that_were_closed_at_once_are_freed_at_once),
	};

	return cmocka_run_group_tests_name("reaper", tests, NULL, NULL);
}
