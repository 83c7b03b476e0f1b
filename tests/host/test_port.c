// LIBS: -lpthread
/* Ports under two CPUs: an object goes from one port to another, of which each has its own lock. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fake_cpu.h"
#define revoke port_revoke /* not that of unistd.h */
#include "kernel/port.c"

#define ROUNDS 20000000u

static struct port from, to;
static struct event moved, behind;
static bool over;

void assert_fail(const char *e, const char *f, int l) { abort(); }
void *object_new(enum obj_type type, size_t bytes, struct quota *q) { return NULL; }
void object_get(struct object *o) { o->refs++; }
void object_put(struct object *o) { o->refs--; }
s64 handle_install(struct domain *d, struct object *o, u32 rights) { return 0; }
int handle_lookup(handle_t h, enum obj_type t, u32 rights, struct object **o) { return -E_HANDLE; }
bool thread_wake_first(struct list *waiters) { return false; }
int ucopy_out(u64 user, const void *src, u64 bytes) { return 0; }

s64 ipc_wait(struct object *o, u64 deadline, s64 (*take)(struct object *o, void *arg), void *arg)
{
	return 0;
}

/* Another CPU binds it and ends the port, again and again. */
static void *other_cpu(void *arg)
{
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE))
		if (!bind(&from, &moved.obj, 1))
			revoke(&from.obj);
	return NULL;
}

/*
 * While it is bound here, it is in this port's list, whatever the end of the other port still does.
 */
static void an_object_is_in_the_list_of_its_port_alone(void **state)
{
	pthread_t other;
	u32 bound = 0;

	list_init(&from.bound);
	list_init(&from.pending);
	list_init(&to.bound);
	list_init(&to.pending);
	list_init(&moved.obj.port_bound);
	list_init(&moved.obj.port_link);
	list_init(&behind.obj.port_bound);
	list_init(&behind.obj.port_link);
	assert_int_equal(pthread_create(&other, NULL, other_cpu, NULL), 0);
	for (u32 i = 0; i < ROUNDS; i++) {
		if (bind(&to, &moved.obj, 2))
			continue;
		assert_int_equal(bind(&to, &behind.obj, 3), 0);
		bound++;
		for (u32 look = 0; look < 20; look++) {
			assert_ptr_equal(__atomic_load_n(&to.bound.next, __ATOMIC_ACQUIRE),
					 &moved.obj.port_bound);
			assert_ptr_equal(
				__atomic_load_n(&moved.obj.port_bound.next, __ATOMIC_ACQUIRE),
				&behind.obj.port_bound);
		}
		revoke(&to.obj);
		assert_int_equal(to.bindings, 0);
	}
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	pthread_join(other, NULL);
	assert_true(bound > 1000);
	assert_true(list_empty(&from.bound));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_is_in_the_list_of_its_port_alone),
	};

	return cmocka_run_group_tests_name("port", tests, NULL, NULL);
}
