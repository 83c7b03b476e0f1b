// SOURCES: kernel/object.c kernel/port.c kernel/event.c
/* The end of an object: its references, who waits for it, and the port that it is bound to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fake_cpu.h"
#include "kernel/domain.h"
#include "kernel/ipc.h"
#include "kernel/syscall.h"

static struct domain domain;
static struct thread thread = {.domain = &domain};
static struct object *named;	  /* by every handle */
static void (*behind_last)(void); /* what another CPU does between the check and the last put */
static struct object *reaped;
static u32 points;

const struct object_ops domain_object_ops, thread_object_ops, mem_object_ops, channel_object_ops,
	vm_object_ops, vcpu_object_ops;

void *kmem_alloc(struct quota *q, size_t size) { return calloc(1, size); }
void kmem_free(struct quota *q, void *p, size_t size) { free(p); }
s64 handle_install(struct domain *d, struct object *o, u32 rights) { return (s64)o; }
int ucopy_out(u64 to, const void *from, size_t n) { return 0; }
void preempt_point(void) { points++; }
u64 clock_ns(void) { return 0; }
void timer_arm(struct timer *t, u64 deadline) {}
void timer_cancel(struct timer *t) {}
void vlapic_msi(struct vm *vm, u64 address, u32 data) {}
void thread_block_prepare(void) {}
void thread_block_cancel(void) {}
int thread_block(u64 deadline) { return 0; }

void assert_fail(const char *e, const char *f, int l)
{
	fail_msg("%s:%d: %s", f, l, e);
	abort();
}

int handle_lookup(handle_t h, enum obj_type type, u32 rights, struct object **out)
{
	*out = named;
	return named->dead ? -E_DEAD : 0;
}

bool thread_wake_first(struct list *waiters) { return list_pop_front(waiters); }

void reaper_put(struct object *o)
{
	if (behind_last)
		behind_last();
	behind_last = NULL;
	if (!--o->refs)
		reaped = o;
}

static int setup(void **state)
{
	fake_cpu_install(&thread);
	domain.obj.refs = 1;
	behind_last = NULL;
	reaped = NULL;
	points = 0;
	return 0;
}

static struct port *port_new(void) { return (struct port *)sys_port_create(NULL, NULL); }

static s64 bind(struct port *p, struct object *o)
{
	struct sys_args args = {.a = {0, 1, 7}};

	named = o;
	return sys_port_bind(&p->obj, &args);
}

static struct port *other;

/* It has looked the object up before that was dead. */
static void binds_late(void)
{
	named->dead = false;
	assert_int_equal(bind(other, named), 0);
	named->dead = true;
}

static void bound_object_leaves_the_port_with_its_last_reference(void **state)
{
	struct port *p = port_new();
	struct event *e = object_new(OBJ_EVENT, sizeof(*e), &domain.quota);

	assert_int_equal(bind(p, &e->obj), 0);
	assert_int_equal(p->bindings, 1);
	object_put(&e->obj);
	assert_true(list_empty(&p->bound) && list_empty(&p->pending));
	assert_int_equal(p->bindings, 0);
	assert_true(object_destroy_step(reaped));
	free(p);
}

static void object_that_is_bound_behind_its_last_reference_leaves_the_port_too(void **state)
{
	struct event *e = object_new(OBJ_EVENT, sizeof(*e), &domain.quota);

	other = port_new();
	named = &e->obj;
	behind_last = binds_late;
	object_put(&e->obj);
	assert_ptr_equal(reaped, &e->obj);
	assert_true(object_destroy_step(reaped));
	assert_true(list_empty(&other->bound) && list_empty(&other->pending));
	assert_int_equal(other->bindings, 0);
	free(other);
}

static void references_do_not_wrap(void **state)
{
	struct object *o = object_new(OBJ_SYSTEM, sizeof(*o), &domain.quota);

	o->refs = 0xffffffff;
	object_get(o);
	object_get(o);
	object_put(o);
	assert_null(reaped);
	assert_int_equal(o->refs, 1ull << 32);
	free(o);
}

/* Each is a piece of work of its own: however many there are, interrupts come between. */
static void revocation_wakes_all_who_wait_one_by_one(void **state)
{
	struct thread waiter[300];
	struct port *p = port_new();

	for (u32 i = 0; i < ARRAY_SIZE(waiter); i++)
		list_push_back(&p->obj.waiters, &waiter[i].wait_link);
	object_revoke(&p->obj);
	assert_true(p->obj.dead);
	assert_true(list_empty(&p->obj.waiters));
	assert_true(points >= ARRAY_SIZE(waiter));
	points = 0;
	object_revoke(&p->obj); /* once */
	assert_int_equal(points, 0);
	free(p);
}

static u32 length(const struct list *l)
{
	u32 n = 0;

	list_for_each (i, l)
		n++;
	return n;
}

/* It takes all bits: the others would only look. A timer's interrupt signals as well. */
static void signal_wakes_one_of_those_who_wait(void **state)
{
	struct thread waiter[300];
	struct event *e = object_new(OBJ_EVENT, sizeof(*e), &domain.quota);
	struct sys_args args = {.a = {0, 4}};

	for (u32 i = 0; i < ARRAY_SIZE(waiter); i++)
		list_push_back(&e->obj.waiters, &waiter[i].wait_link);
	assert_int_equal(sys_event_signal(&e->obj, &args), 0);
	assert_int_equal(length(&e->obj.waiters), ARRAY_SIZE(waiter) - 1);
	assert_int_equal(sys_event_signal(&e->obj, &args), 0);
	assert_int_equal(length(&e->obj.waiters), ARRAY_SIZE(waiter) - 2);
	assert_int_equal(e->bits, 4);
	free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(bound_object_leaves_the_port_with_its_last_reference, setup),
		cmocka_unit_test_setup(
			object_that_is_bound_behind_its_last_reference_leaves_the_port_too, setup),
		cmocka_unit_test_setup(references_do_not_wrap, setup),
		cmocka_unit_test_setup(revocation_wakes_all_who_wait_one_by_one, setup),
		cmocka_unit_test_setup(signal_wakes_one_of_those_who_wait, setup),
	};

	return cmocka_run_group_tests_name("object", tests, NULL, NULL);
}
