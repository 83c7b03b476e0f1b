// SOURCES: mm/buddy.c mm/pt.c mm/pt_formats.c mm/quota.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "hv/facts.h"
#include "hv/up.h"
#include "mm/early.h"
#include "mm/internal.h"
#include "uapi/layout.h"

/* Low host addresses stand for physical memory, which the heap reaches one to one here. */
#undef DIRECT_BASE
#define DIRECT_BASE 0ull
#include "mm/kmem.c"

#define RAM 0x20000000ull
#define RAM_BYTES MiB(160)
#define NODE1 (RAM + RAM_BYTES)

struct cpu_facts cpu_facts;
static struct pt pt;
static struct frame table[GiB(1) / PAGE_SIZE];
static struct buddy frames = {.table = table};
static u64 next_block = RAM;
static u32 this_node, nodes_there = 2;
static bool node1_taken;
static u32 early_pages;
static struct quota kernels = {.limit = ~0ull};
struct quota *const kernel_quota = &kernels;

void assert_fail(const char *expr, const char *file, int line)
{
	mock_assert(0, expr, file, line);
	__builtin_unreachable();
}
void panic(const char *fmt, ...) { abort(); }
struct pt *kernel_pt(void) { return &pt; }

struct ranges early_ram = {.count = 1, .r = {{RAM, RAM + RAM_BYTES}}};

bool early_carve(u64 bytes, u64 align, u64 below, u64 *out)
{
	*out = next_block;
	next_block += bytes;
	return true;
}

const u8 *frame_nodes(u32 *count)
{
	static const u8 order[2][2] = {{0, 1}, {1, 0}};

	*count = nodes_there;
	return order[this_node];
}

/* Node 1 has one block, node 0 all others. */
bool frame_alloc_near(u32 nodes, u32 order, enum frame_owner owner, hpa_t *out)
{
	if (order != ORDER_2M || owner != FRAME_KERNEL)
		return false;
	if (!node1_taken && (this_node == 1 || (nodes == 2 && next_block == RAM + RAM_BYTES))) {
		node1_taken = true;
		*out = hpa(NODE1);
		return true;
	}
	if ((this_node == 1 && nodes == 1) || next_block == RAM + RAM_BYTES)
		return false;
	*out = hpa(next_block);
	next_block += PAGE_2M;
	return true;
}

static int start(void **state)
{
	u32 level = 2;
	void *p = mmap((void *)RAM, RAM_BYTES + PAGE_2M, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	assert_ptr_equal(p, (void *)RAM);
	memset(p, 0x5a, RAM_BYTES + PAGE_2M);
	assert_int_equal(pt_init(&pt, &pt_host_format, kernel_quota), 0);
	/* as at start, what leads to all blocks */
	assert_non_null(pt_walk(&pt, RAM, &level, true));
	kmem_map_early();
	while (kmem_alloc(kernel_quota, PAGE_SIZE)) /* until the early range is used up */
		early_pages++;
	assert_int_equal(early_pages, PAGE_2M / PAGE_SIZE - 3); /* without the tables' own */
	buddy_zone_add(&frames, RAM / PAGE_SIZE, NODE1 / PAGE_SIZE, 0);
	buddy_zone_add(&frames, NODE1 / PAGE_SIZE, (NODE1 + PAGE_2M) / PAGE_SIZE, 1);
	assert_int_equal(kmem_adopt(&frames), PAGE_2M);
	return 0;
}

static void sizes_are_aligned_zeroed_and_charged(void **state)
{
	static const struct {
		size_t size;
		u64 charge;
	} cases[] = {
		{1, 16},      {16, 16},	    {17, 32},	  {64, 64},	{65, 128},
		{1024, 1024}, {1025, 4096}, {4096, 4096}, {4097, 8192}, {65536, 65536},
	};
	struct quota q = {.limit = MiB(1)};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		u8 *p = kmem_alloc(&q, cases[i].size);

		assert_non_null(p);
		assert_true(IS_ALIGNED((u64)p, cases[i].size >= 64 ? 64 : 16));
		for (size_t b = 0; b < cases[i].size; b++)
			assert_int_equal(p[b], 0);
		memset(p, 0xff, cases[i].size);
		assert_int_equal(q.used, cases[i].charge);
		kmem_free(&q, p, cases[i].size);
		assert_int_equal(q.used, 0);
	}
}

static void an_exhausted_quota_is_null(void **state)
{
	struct quota q = {.limit = 100};

	assert_null(kmem_alloc(&q, 101));
	assert_null(kmem_alloc(&q, PAGE_SIZE));
	assert_int_equal(q.used, 0);
}

static void freeing_with_another_size_is_an_assertion(void **state)
{
	void *p = kmem_alloc(kernel_quota, 100);

	/* leaves the lock held: the last test */
	expect_assert_failure(kmem_free(kernel_quota, p, 20));
}

static void random_objects_keep_their_contents(void **state)
{
	enum { LIVE = 400, ROUNDS = 40000 };
	static struct {
		u8 *p;
		size_t size;
		u8 fill;
	} live[LIVE];
	struct quota q = {.limit = GiB(1)};

	for (u32 round = 0; round < ROUNDS; round++) {
		u32 i = (u32)rand() % LIVE;

		if (live[i].p) {
			for (size_t b = 0; b < live[i].size; b += 7)
				assert_int_equal(live[i].p[b], live[i].fill);
			kmem_free(&q, live[i].p, live[i].size);
			live[i].p = NULL;
			continue;
		}
		live[i].size = (size_t)rand() % (rand() % 8 ? 1200 : 60000) + 1;
		live[i].fill = (u8)(round | 1);
		live[i].p = kmem_alloc(&q, live[i].size);
		assert_non_null(live[i].p);
		for (size_t b = 0; b < live[i].size; b += 5)
			assert_int_equal(live[i].p[b], 0);
		memset(live[i].p, live[i].fill, live[i].size);
	}
	for (u32 i = 0; i < LIVE; i++)
		if (live[i].p)
			kmem_free(&q, live[i].p, live[i].size);
	assert_int_equal(q.used, 0);
}

static void pages_come_from_this_cpus_node_while_it_has_a_block(void **state)
{
	enum { PAGES = PAGE_2M / PAGE_SIZE };
	static void *page[PAGES], *other;
	u64 before = next_block;

	this_node = 1;
	for (u32 i = 0; i < PAGES; i++) {
		page[i] = kmem_alloc(kernel_quota, PAGE_SIZE);
		assert_in_range((u64)page[i], NODE1, NODE1 + PAGE_2M - 1);
	}
	/* from what the other node has, before it grows */
	other = kmem_alloc(kernel_quota, PAGE_SIZE);
	assert_in_range((u64)other, RAM, NODE1 - 1);
	assert_int_equal(next_block, before);
	kmem_free(kernel_quota, page[7], PAGE_SIZE);
	assert_ptr_equal(kmem_alloc(kernel_quota, PAGE_SIZE), page[7]);
	this_node = 0;
	for (u32 i = 0; i < PAGES; i++)
		kmem_free(kernel_quota, page[i], PAGE_SIZE);
	kmem_free(kernel_quota, other, PAGE_SIZE);
	assert_in_range((u64)kmem_alloc(kernel_quota, PAGE_SIZE), RAM, NODE1 - 1);
}

static void one_node_grows_beside_pages_that_are_free_one_by_one(void **state)
{
	static void *page[2 * SPREAD + 2], *pair[SPREAD];
	u64 before;
	u32 n = 0;

	nodes_there = 1;
	for (u32 i = 0; i < ARRAY_SIZE(page); i++)
		assert_non_null(page[i] = kmem_alloc(kernel_quota, PAGE_SIZE));
	for (u32 i = 0; i < ARRAY_SIZE(page); i += 2)
		kmem_free(kernel_quota, page[i], PAGE_SIZE);
	assert_true(kmem_free_bytes() > SPREAD * PAGE_SIZE);
	before = next_block;
	while (next_block == before) /* until it has no two beside each other */
		assert_non_null(pair[n++] = kmem_alloc(kernel_quota, 2 * PAGE_SIZE));
	assert_true(kmem_free_bytes() > SPREAD * PAGE_SIZE);
	while (n--)
		kmem_free(kernel_quota, pair[n], 2 * PAGE_SIZE);
	for (u32 i = 1; i < ARRAY_SIZE(page); i += 2)
		kmem_free(kernel_quota, page[i], PAGE_SIZE);
	nodes_there = 2;
}

static void empty_blocks_go_back_but_a_few(void **state)
{
	void *page = kmem_alloc(kernel_quota, PAGE_SIZE);
	u64 free = kmem_free_bytes();
	hpa_t block;
	u32 n = 0, level;

	for (; kmem_unmap_block(&block); n++) {
		assert_false(kva_to_hpa(page).v - block.v < PAGE_2M);
		level = 2;
		assert_int_equal(*pt_walk(&pt, DIRECT_BASE + block.v, &level, false), 0);
	}
	assert_true(n > 16);
	assert_int_equal(kmem_free_bytes(), free - n * PAGE_2M);
	assert_in_range(kmem_free_bytes(), 4 * PAGE_2M, 5 * PAGE_2M);
	kmem_free(kernel_quota, page, PAGE_SIZE);
}

static void memory_runs_out_without_harm(void **state)
{
	struct quota q = {.limit = GiB(1)};
	static void *block[RAM_BYTES / PAGE_2M];
	u32 n = 0;

	while ((block[n] = kmem_alloc(&q, PAGE_2M)))
		n++;
	assert_true(n > 16);
	assert_int_equal(q.used, n * PAGE_2M);
	while (n--)
		kmem_free(&q, block[n], PAGE_2M);
	assert_non_null(kmem_alloc(kernel_quota, PAGE_SIZE << 5));
	/* all of it was taken before NULL was the answer */
	assert_int_equal(next_block, RAM + RAM_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_aligned_zeroed_and_charged),
		cmocka_unit_test(an_exhausted_quota_is_null),
		cmocka_unit_test(random_objects_keep_their_contents),
		cmocka_unit_test(pages_come_from_this_cpus_node_while_it_has_a_block),
		cmocka_unit_test(one_node_grows_beside_pages_that_are_free_one_by_one),
		cmocka_unit_test(memory_runs_out_without_harm),
		cmocka_unit_test(empty_blocks_go_back_but_a_few),
		cmocka_unit_test(freeing_with_another_size_is_an_assertion),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
