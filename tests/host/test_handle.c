// SOURCES: kernel/handle.c lib/fmt.c
/* The handle table: generations, rights, dead objects, exhaustion, duplication, closing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "fake_cpu.h"
#include "kernel/domain.h"
#include "kernel/syscall.h"

static struct domain domain, other;
static struct thread thread = {.domain = &domain};
static struct object object[4];
static bool no_memory;

void *kmem_alloc(struct quota *q, size_t size) { return no_memory ? NULL : calloc(1, size); }
void object_get(struct object *o) { o->refs++; }
void object_put(struct object *o) { o->refs--; }
void object_revoke(struct object *o) { o->dead = true; }
void assert_fail(const char *e, const char *f, int l)
{
	fail_msg("%s:%d: %s", f, l, e);
	abort();
}

static void table_free(struct domain *d)
{
	for (u32 i = 0; i < ARRAY_SIZE(d->chunk); i++)
		free(d->chunk[i]);
	*d = (struct domain){.obj = {.type = OBJ_DOMAIN, .refs = 1}, .handle_top = 1};
}

static int setup(void **state)
{
	table_free(&domain);
	table_free(&other);
	for (u32 i = 0; i < ARRAY_SIZE(object); i++)
		object[i] = (struct object){.type = OBJ_EVENT, .refs = 1};
	no_memory = false;
	fake_cpu_install(&thread);
	return 0;
}

static int teardown(void **state)
{
	table_free(&domain);
	table_free(&other);
	return 0;
}

static handle_t install(struct object *o, u32 rights)
{
	s64 h = handle_install(&domain, o, rights);

	assert_true(h > 0);
	return (handle_t)h;
}

static s64 call(sys_fn fn, u64 a, u64 b, u64 c)
{
	struct sys_args args = {{a, b, c}};

	return fn(NULL, &args);
}

static void finds_what_was_installed(void **state)
{
	handle_t h = install(&object[0], R_WAIT | R_SIGNAL);
	struct object *o = NULL;

	assert_int_equal(handle_lookup(h, OBJ_EVENT, R_WAIT, &o), 0);
	assert_ptr_equal(o, &object[0]);
	assert_int_equal(handle_rights(h), R_WAIT | R_SIGNAL);
}

static void refuses_by_reason(void **state)
{
	handle_t h = install(&object[0], R_WAIT);
	struct object *o;

	assert_int_equal(handle_lookup(h, OBJ_PORT, R_WAIT, &o), -E_TYPE);
	assert_int_equal(handle_lookup(h, OBJ_EVENT, R_SIGNAL, &o), -E_RIGHTS);
	assert_int_equal(handle_lookup(h + (1 << 16), OBJ_EVENT, R_WAIT, &o), -E_HANDLE);
	assert_int_equal(handle_lookup(h & 0xffff, OBJ_EVENT, R_WAIT, &o), -E_HANDLE);
	assert_int_equal(handle_lookup(HANDLE_NONE, OBJ_ANY, 0, &o), -E_HANDLE);
	assert_int_equal(handle_lookup(0x1ffff, OBJ_ANY, 0, &o), -E_HANDLE);
	object[0].dead = true;
	assert_int_equal(handle_lookup(h, OBJ_EVENT, R_WAIT, &o), -E_DEAD);
}

static void closed_handle_is_stale_for_ever(void **state)
{
	handle_t h = install(&object[0], R_ALL), again;
	struct object *o;

	assert_int_equal(call(sys_handle_close, h, 0, 0), 0);
	assert_int_equal(object[0].refs, 0);
	assert_int_equal(call(sys_handle_close, h, 0, 0), -E_HANDLE);
	again = install(&object[1], R_ALL);
	assert_int_equal(again & 0xffff, h & 0xffff);
	assert_int_not_equal(again, h);
	assert_int_equal(handle_lookup(h, OBJ_ANY, 0, &o), -E_HANDLE);
	assert_int_equal(handle_lookup(again, OBJ_ANY, 0, &o), 0);
}

static void generation_wraps_past_zero(void **state)
{
	struct object *o;
	handle_t h = 0;

	for (u32 i = 0; i < 0x20000; i++) {
		object[0].refs = 1;
		h = install(&object[0], R_ALL);
		assert_true(h >> 16);
		assert_int_equal(call(sys_handle_close, h, 0, 0), 0);
	}
	assert_int_equal(handle_lookup(h, OBJ_ANY, 0, &o), -E_HANDLE);
}

static void full_table_and_empty_quota_drop_the_reference(void **state)
{
	s64 h;

	for (u32 i = 1; i < HANDLES_PER_DOMAIN; i++) {
		object[0].refs++;
		assert_true(handle_install(&domain, &object[0], 0) > 0);
	}
	object[1].refs = 1;
	assert_int_equal(handle_install(&domain, &object[1], 0), -E_NOMEM);
	assert_int_equal(object[1].refs, 0);

	no_memory = true;
	object[2].refs = 1;
	h = handle_install(&other, &object[2], 0);
	assert_int_equal(h, -E_NOMEM);
	assert_int_equal(object[2].refs, 0);
}

static void dup_never_adds_rights(void **state)
{
	handle_t h = install(&object[0], R_DUP | R_WAIT), d = install(&other.obj, R_MANAGE);
	handle_t fixed = install(&object[1], R_WAIT);
	struct object *o;
	s64 r;

	assert_int_equal(call(sys_handle_dup, h, R_WAIT | R_SIGNAL, HANDLE_SELF), -E_RIGHTS);
	assert_int_equal(call(sys_handle_dup, fixed, R_WAIT, HANDLE_SELF), -E_RIGHTS);
	assert_int_equal(call(sys_handle_dup, h, 1ull << 40, HANDLE_SELF), -E_INVAL);
	assert_int_equal(call(sys_handle_dup, h, R_WAIT, h), -E_TYPE);
	r = call(sys_handle_dup, h, R_WAIT, d);
	assert_true(r > 0);
	assert_int_equal(object[0].refs, 2);
	thread.domain = &other;
	assert_int_equal(handle_lookup((handle_t)r, OBJ_EVENT, R_WAIT, &o), 0);
	assert_int_equal(handle_lookup((handle_t)r, OBJ_EVENT, R_DUP, &o), -E_RIGHTS);
	thread.domain = &domain;
}

static void ending_domain_closes_all_and_takes_no_more(void **state)
{
	for (u32 i = 0; i < 600; i++) {
		object[0].refs++;
		assert_true(handle_install(&domain, &object[0], 0) > 0);
	}
	domain.dying = true;
	for (u64 before = object[0].refs; !domain_close_handles_step(&domain);
	     before = object[0].refs)
		assert_in_range(before - object[0].refs, 1,
				8); /* each may be a port full of objects */
	assert_int_equal(object[0].refs, 1);
	assert_int_equal(handle_install(&domain, &object[1], 0), -E_NOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finds_what_was_installed, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_by_reason, setup, teardown),
		cmocka_unit_test_setup_teardown(closed_handle_is_stale_for_ever, setup, teardown),
		cmocka_unit_test_setup_teardown(generation_wraps_past_zero, setup, teardown),
		cmocka_unit_test_setup_teardown(full_table_and_empty_quota_drop_the_reference,
						setup, teardown),
		cmocka_unit_test_setup_teardown(dup_never_adds_rights, setup, teardown),
		cmocka_unit_test_setup_teardown(ending_domain_closes_all_and_takes_no_more, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
