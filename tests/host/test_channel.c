// SOURCES: kernel/channel.c
/* The end of a channel: each call is answered, in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fake_cpu.h"
#include "kernel/domain.h"
#include "kernel/ipc.h"
#include "kernel/sched.h"

#define CALLERS 300u
#define SERVED 3u

static struct channel channel;
static struct thread caller[CALLERS], client[SERVED], server[SERVED];
static u32 points, woken;

void assert_fail(const char *e, const char *f, int l) { abort(); }
void *object_new(enum obj_type type, size_t bytes, struct quota *q) { return NULL; }
void object_get(struct object *o) { o->refs++; }
void object_put(struct object *o) { o->refs--; }
s64 handle_install(struct domain *d, struct object *o, u32 rights) { return 0; }
void thread_block_prepare(void) {}
void thread_block_cancel(void) {}
int thread_block(u64 deadline) { return 0; }
bool thread_wake_first(struct list *waiters) { return list_pop_front(waiters); }
void thread_wake(struct thread *t) { woken++; }
void sched_served(struct thread *t) {}

s64 ipc_wait(struct object *o, u64 deadline, s64 (*take)(struct object *o, void *arg), void *arg)
{
	return take(o, arg);
}

/* Another thread may run here, which takes the lock. */
void preempt_point(void)
{
	assert_int_equal(channel.obj.lock.locked, 0);
	points++;
}

static void every_call_ends_with_its_channel(void **state)
{
	list_init(&channel.callers);
	list_init(&channel.served);
	for (u32 i = 0; i < CALLERS; i++)
		list_push_back(&channel.callers, &caller[i].wait_link);
	for (u32 i = 0; i < SERVED; i++) {
		client[i].peer = &server[i];
		server[i].peer = &client[i];
		list_push_back(&channel.served, &client[i].wait_link);
	}
	channel_object_ops.revoke(&channel.obj);
	assert_true(list_empty(&channel.callers) && list_empty(&channel.served));
	assert_int_equal(woken, CALLERS + SERVED);
	assert_true(points >= woken);
	for (u32 i = 0; i < CALLERS; i++)
		assert_int_equal(caller[i].ipc_result, -E_DEAD);
	for (u32 i = 0; i < SERVED; i++) {
		assert_int_equal(client[i].ipc_result, -E_DEAD);
		assert_null(client[i].peer);
		assert_null(server[i].peer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_ends_with_its_channel),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
