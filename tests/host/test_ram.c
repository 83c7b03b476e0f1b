// SOURCES: vmm/ram.c user/populate.c
/* The memory of a VM: where the guest has it, and what is said when the host has too little. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/ram.h"

#include "user/sys.h"

enum { VM = 7, MEM = 9 };

static u8 host[MiB(1)]; /* stands for memory of any size: only addresses are looked at */
static u64 frames;	/* bytes that the host has */
static u64 touched;
static s64 create_result, map_result;
static struct {
	u64 gpa, offset, bytes;
} map[4];
static u32 maps;
static char said[200];

void *rt_map(handle_t mem, u64 bytes, u32 prot, int *err)
{
	assert_int_equal(mem, MEM);
	*err = (int)map_result;
	return map_result ? NULL : host;
}

void rt_log(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
}

const char *rt_error(s64 e) { return e == -E_NOMEM ? "out of memory" : "another error"; }

s64 sys_call6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	switch (nr) {
	case SYS_MEM_CREATE: return create_result ? create_result : MEM;
	case SYS_DOMAIN_CREATE:
		assert_int_equal(a, 0);			  /* never one */
		assert_int_equal(b - (u64)host, touched); /* each page, in turn */
		if (touched >= frames)
			return -E_FAULT;
		touched += PAGE_SIZE;
		return -E_INVAL;
	case SYS_MAP:
		assert_int_equal(a, VM);
		assert_true(maps < ARRAY_SIZE(map));
		map[maps].gpa = c;
		map[maps].offset = d;
		map[maps++].bytes = e;
		return 0;
	default: fail_msg("call %lu", nr); return 0;
	}
}

static int create(struct ram *r, u64 bytes, bool at_once)
{
	*r = (struct ram){0};
	said[0] = 0;
	touched = 0;
	maps = 0;
	return ram_create(r, VM, bytes, at_once);
}

static int reset(void **state)
{
	frames = ~0ull;
	create_result = map_result = 0;
	return 0;
}

static void memory_is_on_both_sides_of_the_holes(void **state)
{
	static const struct {
		u64 gpa, offset, bytes;
	} expected[] = {{0, 0, 0xa0000},
			{0xc0000, 0xc0000, 0xc0000000 - 0xc0000},
			{GiB(4), 0xc0000000, GiB(4) - 0xc0000000}};
	struct ram r;

	assert_int_equal(create(&r, GiB(4), false), 0);
	assert_int_equal(touched, 0);
	assert_int_equal(r.low, 0xc0000000);
	assert_int_equal(r.high, GiB(1));
	assert_int_equal(maps, 3);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(map[i].gpa, expected[i].gpa);
		assert_int_equal(map[i].offset, expected[i].offset);
		assert_int_equal(map[i].bytes, expected[i].bytes);
	}
	assert_int_equal(create(&r, MiB(16), false), 0);
	assert_int_equal(maps, 2);
}

static void populate_touches_every_page(void **state)
{
	struct ram r;

	assert_int_equal(create(&r, MiB(16), true), 0);
	assert_int_equal(touched, MiB(16));
	assert_int_equal(maps, 2);
	assert_string_equal(said, "");
}

/* The guest is never given what it was promised in part. */
static void populate_without_enough_memory_is_an_error_that_says_so(void **state)
{
	struct ram r;

	frames = MiB(5);
	assert_int_equal(create(&r, MiB(16), true), -E_NOMEM);
	assert_int_equal(maps, 0);
	assert_string_equal(said, "populate: the host has memory for only 5 of the VM's 16 MiB; "
				  "give it less memory, or end another VM");
	assert_int_equal(create(&r, MiB(16), false), 0); /* on first touch it may do */
}

static void what_the_kernel_refuses_is_said(void **state)
{
	struct ram r;

	assert_int_equal(create(&r, MiB(3), false), -E_INVAL);
	assert_string_equal(said, "memory: 3145728 bytes is not a multiple of 2 MiB");
	assert_int_equal(create(&r, 0, false), -E_INVAL);
	create_result = -E_NOMEM;
	assert_int_equal(create(&r, MiB(16), true), -E_NOMEM);
	assert_string_equal(said, "memory: 16 MiB: out of memory");
	create_result = 0;
	map_result = -E_NOMEM;
	assert_int_equal(create(&r, MiB(16), true), -E_NOMEM);
	assert_string_equal(said, "memory: mapping it here: out of memory");
	assert_int_equal(touched + maps, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(memory_is_on_both_sides_of_the_holes, reset),
		cmocka_unit_test_setup(populate_touches_every_page, reset),
		cmocka_unit_test_setup(populate_without_enough_memory_is_an_error_that_says_so,
				       reset),
		cmocka_unit_test_setup(what_the_kernel_refuses_is_said, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
