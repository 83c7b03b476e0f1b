// SOURCES: mm/buddy.c mm/numa.c mm/early.c lib/ranges.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/assert.h"
#include "mm/buddy.h"
#include "mm/early.h"
#include "mm/numa.h"

void assert_fail(const char *expr, const char *file, int line)
{
	mock_assert(0, expr, file, line);
	__builtin_unreachable();
}

#define FRAMES (1u << 19) /* 2 GiB of RAM */

static struct buddy buddy;

static struct buddy *fresh(u32 max_order)
{
	free(buddy.table);
	memset(&buddy, 0, sizeof(buddy));
	buddy.table = calloc(FRAMES, sizeof(struct frame));
	buddy.max_order = max_order;
	buddy_zone_add(&buddy, 0, FRAMES, 0);
	return &buddy;
}

static bool alloc(struct buddy *b, u32 order, enum frame_owner owner, u64 *pfn)
{
	return buddy_alloc(b, order, owner, (u8[]){0}, 1, pfn);
}

static void a_run_becomes_the_largest_aligned_blocks(void **state)
{
	struct buddy *b = fresh(ORDER_MAX);
	u64 pfn;

	buddy_add(b, 3, 1021); /* 3, 4-7, 8-15, ... 512-1023 */
	assert_int_equal(b->free_frames, 1021);
	assert_int_equal(b->zone[0].orders, 0x3fd);
	assert_true(alloc(b, 9, FRAME_USER, &pfn));
	assert_int_equal(pfn, 512);
	assert_false(alloc(b, 9, FRAME_USER, &pfn));
	assert_true(alloc(b, 8, FRAME_USER, &pfn));
	assert_int_equal(pfn, 256);
	assert_int_equal(buddy_free(b, 512, 9), FRAME_USER);
	buddy_free(b, 256, 8);
	assert_int_equal(b->free_frames, 1021);
	assert_int_equal(b->zone[0].orders, 0x3fd);
}

static void free_blocks_merge_up_to_the_largest_order(void **state)
{
	struct buddy *b = fresh(9);
	u64 pfn[1024];

	buddy_add(b, 0, 1024);
	for (u32 i = 0; i < 1024; i++)
		assert_true(alloc(b, 0, FRAME_KERNEL, &pfn[i]));
	assert_false(alloc(b, 0, FRAME_KERNEL, &pfn[0]));
	for (u32 i = 0; i < 1024; i++)
		buddy_free(b, pfn[(i * 389) % 1024], 0);
	assert_int_equal(b->zone[0].orders, 1 << 9);
	assert_int_equal(b->free_frames, 1024);
}

/* The heap's free blocks have the owner of its used ones. */
static void a_used_neighbour_is_not_merged(void **state)
{
	struct buddy *b = fresh(9);
	u64 first, second;

	b->free_owner = FRAME_KERNEL;
	buddy_add(b, 0, 2);
	assert_true(alloc(b, 0, FRAME_KERNEL, &first));
	assert_true(alloc(b, 0, FRAME_KERNEL, &second));
	buddy_free(b, first, 0);
	assert_false(alloc(b, 1, FRAME_KERNEL, &first));
	buddy_free(b, second, 0);
	assert_true(alloc(b, 1, FRAME_KERNEL, &first));
}

static void the_owner_of_every_frame_of_a_block_is_known(void **state)
{
	struct buddy *b = fresh(ORDER_MAX);
	const struct frame *f;
	u64 pfn;

	buddy_add(b, 1024, 1024);
	assert_true(alloc(b, 9, FRAME_GUEST, &pfn));
	for (u64 i = 0; i < 512; i++) {
		f = buddy_block_of(b->table, pfn + i);
		assert_non_null(f);
		assert_int_equal(f->owner, FRAME_GUEST);
	}
	f = buddy_block_of(b->table, pfn ^ 512);
	assert_int_equal(f->owner, FRAME_FREE);
	assert_null(buddy_block_of(b->table, 1023)); /* a hole */
	assert_null(buddy_block_of(b->table, 2048));
}

static void wrong_frees_are_assertions(void **state)
{
	struct buddy *b = fresh(ORDER_MAX);
	u64 pfn;

	buddy_add(b, 0, 1024);
	assert_true(alloc(b, 4, FRAME_USER, &pfn));
	expect_assert_failure((void)buddy_free(b, pfn, 3));
	expect_assert_failure((void)buddy_free(b, pfn + 1, 0));
	buddy_free(b, pfn, 4);
	expect_assert_failure((void)buddy_free(b, pfn, 4));
	expect_assert_failure((void)buddy_free(b, 5000, 0));
}

/* ---- Zones ---- */

static void no_block_crosses_the_end_of_a_zone(void **state)
{
	struct buddy *b = fresh(ORDER_MAX);
	u64 pfn;

	b->zones = 0;
	buddy_zone_add(b, 0, 1000, 0);
	buddy_zone_add(b, 1000, 4096, 1);
	buddy_add(b, 0, 4096);
	assert_int_equal(b->zone[0].free_frames, 1000);
	assert_int_equal(b->zone[1].free_frames, 3096);
	assert_int_equal(b->zone[0].orders, 1000 & 0x3ff); /* 512 256 128 64 32 8 */
	/* Frames on both sides of the border, one by one, merge with their own side only. */
	for (u32 i = 0; i < 4096; i++)
		assert_true(buddy_alloc(b, 0, FRAME_USER, (u8[]){0, 1}, 2, &pfn));
	assert_int_equal(b->free_frames, 0);
	for (u32 i = 0; i < 4096; i++)
		buddy_free(b, i, 0);
	assert_int_equal(b->zone[0].free_frames, 1000);
	assert_int_equal(b->zone[1].free_frames, 3096);
	assert_int_equal(b->zone[0].orders, 1000 & 0x3ff);
}

static void the_first_node_that_has_a_block_gives_it(void **state)
{
	struct buddy *b = fresh(ORDER_MAX);
	u64 pfn;

	b->zones = 0;
	buddy_zone_add(b, 0, 1024, 2);
	buddy_zone_add(b, 1024, 2048, 0);
	buddy_zone_add(b, 2048, 4096, 2);
	buddy_add(b, 512, 512);
	buddy_add(b, 1024, 1024);
	buddy_add(b, 2048, 2048);
	assert_true(buddy_alloc(b, 9, FRAME_USER, (u8[]){0, 2}, 2, &pfn));
	assert_in_range(pfn, 1024, 2047);
	assert_true(buddy_alloc(b, 10, FRAME_USER, (u8[]){0, 2}, 2,
				&pfn)); /* 0 has no such block left */
	assert_int_equal(pfn, 2048 + 1024 * (pfn > 2048));
	assert_false(buddy_alloc(b, 10, FRAME_USER, (u8[]){0, 2}, 1, &pfn));
	assert_true(buddy_alloc(b, 9, FRAME_USER, (u8[]){2}, 1, &pfn));
	assert_int_equal(pfn, 512); /* its lower zone */
	assert_false(buddy_alloc(b, 0, FRAME_USER, (u8[]){1, 3}, 2, &pfn));
	assert_int_equal(b->zone[1].free_frames, 512);
}

static void zones_end_when_the_table_is_full(void **state)
{
	struct buddy *b = fresh(ORDER_MAX);

	b->zones = 0;
	for (u64 i = 0; i < ZONES; i++)
		buddy_zone_add(b, i * 2, i * 2 + 1, 0);
	expect_assert_failure(buddy_zone_add(b, ZONES * 2, ZONES * 2 + 1, 0));
	for (u64 i = 0; i < ZONES; i++)
		buddy_add(b, i * 2, 1);
	for (u64 i = 0; i < ZONES; i++)
		assert_int_equal(b->zone[i].first[0], 1);
	expect_assert_failure(buddy_add(b, 1, 1)); /* between two zones */
}

/* ---- NUMA nodes ---- */

static void a_page_is_at_the_node_of_the_range_that_holds_it(void **state)
{
	static const struct numa n = {
		.nodes = 3,
		.ranges = 4,
		.range = {{0, 0xa0000, 1},
			  {MiB(1), MiB(127), 1},
			  {MiB(128), MiB(128) + 1, 2},
			  {GiB(4), GiB(1), 0}},
	};
	static const struct {
		u64 a;
		u32 node;
		u64 end;
	} cases[] = {
		{0, 1, 0xa0000},
		{0x9f000, 1, 0xa0000},
		{0xa0000, 0, MiB(1)},
		{MiB(1), 1, MiB(128)},
		{MiB(128), 2, MiB(256) + PAGE_SIZE},
		{MiB(256), 2, MiB(256) + PAGE_SIZE},
		{MiB(256) + PAGE_SIZE, 0, GiB(4)},
		{GiB(5), 0, ~0ull},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 end = 0;
		u32 node = numa_node_at(&n, cases[i].a, &end);

		if (node != cases[i].node || end != cases[i].end)
			fail_msg("case %u: node %u up to %#llx", i, node, (unsigned long long)end);
	}
}

static void hostile_ranges_never_need_more_zones_than_there_are(void **state)
{
	for (u32 round = 0; round < 2000; round++) {
		struct numa n = {.nodes = 16, .ranges = NUMA_RANGES};
		u32 steps = 0;
		u64 end;

		for (u32 i = 0; i < n.ranges; i++) {
			u64 base = (u64)rand() << (rand() % 14), bytes = (u64)rand()
									 << (rand() % 14);

			n.range[i] = (struct numa_range){base, MIN(bytes, ~0ull - base),
							 (u8)(rand() % 16)};
		}
		for (u64 a = 0; a < RAM_END; a = MIN(end, a + GiB(64)), steps++) {
			assert_in_range(numa_node_at(&n, a, &end), 0, 15);
			assert_true(end > a && (end == ~0ull || IS_ALIGNED(end, PAGE_SIZE)));
		}
		assert_in_range(steps, 256, ZONES);
	}
}

static void nodes_are_ordered_by_distance(void **state)
{
	static const struct numa n = {
		.nodes = 4,
		.distance = {{10, 30, 20, 30},
			     {21, 10, 21, 15},
			     {99, 255, 10, 11},
			     {12, 12, 12, 10}},
	};
	static const u8 expected[4][4] = {{0, 2, 1, 3}, {1, 3, 0, 2}, {2, 3, 0, 1}, {3, 0, 1, 2}};
	u8 order[4];

	for (u32 i = 0; i < 4; i++) {
		numa_order(&n, i, order);
		assert_memory_equal(order, expected[i], 4);
	}
}

static void what_the_firmware_left_out_is_filled_in(void **state)
{
	struct numa n = {0};

	numa_complete(&n);
	assert_int_equal(n.nodes, 1);
	assert_int_equal(n.distance[0][0], NUMA_LOCAL);
	n = (struct numa){.nodes = 2, .distance = {{11, 10}, {255, 0}}};
	numa_complete(&n);
	assert_int_equal(n.distance[0][0], NUMA_LOCAL);
	assert_int_equal(n.distance[0][1], NUMA_REMOTE); /* no nearer than itself */
	assert_int_equal(n.distance[1][0], 255);
	assert_int_equal(n.distance[1][1], NUMA_LOCAL);
}

/* The model: one byte a frame, 0 = hole or free, else the number of the allocation. */
static void random_calls_agree_with_a_model(void **state)
{
	enum { LIVE = 300, ROUNDS = 60000 };
	static struct {
		u64 pfn;
		u32 order;
		bool used;
	} live[LIVE];
	static u8 owned[FRAMES], ram[FRAMES];
	struct buddy *b = fresh(ORDER_MAX);
	u64 total = 0, held = 0;

	memset(live, 0, sizeof(live));
	for (u64 at = 17; at < FRAMES;) { /* RAM with holes */
		u64 n = MIN((u64)(rand() % 40000 + 1), FRAMES - at);

		buddy_add(b, at, n);
		memset(ram + at, 1, n);
		total += n;
		at += n + (u64)(rand() % 3000 + 1);
	}
	for (u32 round = 0; round < ROUNDS; round++) {
		u32 i = (u32)rand() % LIVE;

		if (live[i].used) {
			memset(owned + live[i].pfn, 0, BIT(live[i].order));
			held -= BIT(live[i].order);
			buddy_free(b, live[i].pfn, live[i].order);
			live[i].used = false;
		} else {
			u32 order = (u32)rand() % 3 ? (u32)rand() % 4 : (u32)rand() % 13;

			if (!alloc(b, order, FRAME_USER, &live[i].pfn))
				continue;
			live[i].order = order;
			live[i].used = true;
			assert_true(IS_ALIGNED(live[i].pfn, BIT(order)));
			for (u64 p = live[i].pfn; p < live[i].pfn + BIT(order); p++) {
				assert_true(ram[p] && !owned[p]);
				owned[p] = 1;
			}
			held += BIT(order);
		}
		assert_int_equal(b->free_frames, total - held);
	}
	for (u32 i = 0; i < LIVE; i++)
		if (live[i].used)
			buddy_free(b, live[i].pfn, live[i].order);
	assert_int_equal(b->free_frames, total);
	/* everything merged: no two free buddies stand side by side */
	for (u64 p = 1; p < FRAMES; p++)
		if (b->table[p].head && b->table[p].order < ORDER_MAX) {
			u64 other = p ^ BIT(b->table[p].order);

			assert_false(b->table[other].head &&
				     b->table[other].order == b->table[p].order);
		}
}

/* ---- RAM before the allocator ---- */

static struct bootinfo boot;

static u64 free_total(void)
{
	u64 sum = 0;

	for (u32 i = 0; i < early_free.count; i++)
		sum += early_free.r[i].end - early_free.r[i].start;
	return sum;
}

static u64 ram_end(void) { return early_ram.r[early_ram.count - 1].end; }

static void make_boot(void)
{
	memset(&boot, 0, sizeof(boot));
	boot.kernel_start = hpa(MiB(2));
	boot.kernel_bytes = MiB(2);
	ranges_add(&boot.ram, PAGE_SIZE, 0x9f000);
	ranges_add(&boot.ram, GiB(4), GiB(10));
	ranges_add(&boot.ram, MiB(1), MiB(256));
	boot.module[boot.modules++] =
		(struct boot_module){.start = hpa(MiB(16)), .bytes = MiB(3) + 5};
}

static void what_is_in_use_is_not_free(void **state)
{
	make_boot();
	early_init(&boot, 0);
	/* Image, module, and what firmware may write to. */
	assert_int_equal(free_total(), 0x8f000 + MiB(255) + GiB(6) - MiB(2) - MiB(3) - PAGE_SIZE);
	assert_int_equal(ram_end(), GiB(10));
	assert_int_not_equal(ranges_bytes(&early_ram, GiB(5), GiB(6)), 0);
	assert_int_not_equal(ranges_bytes(&early_ram, MiB(255), GiB(1)), 0);
	assert_int_equal(ranges_bytes(&early_ram, MiB(256), GiB(4)), 0);
	assert_int_equal(ranges_bytes(&early_ram, MiB(1), MiB(256)), MiB(255));
}

/* However many there are, apart from each other: what they lie in is one range. */
static void modules_in_ram_make_no_ranges_of_it(void **state)
{
	make_boot();
	boot.modules = BOOT_MAX_MODULES;
	for (u32 i = 0; i < BOOT_MAX_MODULES; i++)
		boot.module[i] = (struct boot_module){.start = hpa(GiB(4) + i * PAGE_2M),
						      .bytes = PAGE_SIZE};
	early_init(&boot, 0);
	assert_int_equal(early_ram.count, boot.ram.count);
	assert_int_equal(early_ram.dropped, 0);
	assert_int_equal(ram_end(), GiB(10));
}

static void mem_limits_the_amount_of_ram(void **state)
{
	make_boot();
	early_init(&boot, MiB(512));
	assert_int_equal(ram_end(), GiB(4) + MiB(512) - MiB(255) - 0x9e000);
	make_boot();
	boot.module[0].start = hpa(GiB(7));
	early_init(&boot, MiB(64));
	assert_int_equal(ram_end(), GiB(7) + MiB(3) + PAGE_SIZE); /* modules stay covered */
	assert_int_equal(free_total(), MiB(64) - MiB(2) - 0xf000);
}

static void carving_takes_the_highest_fitting_place(void **state)
{
	u64 a, before;

	make_boot();
	early_init(&boot, 0);
	before = free_total();
	assert_true(early_carve(PAGE_2M, PAGE_2M, GiB(4), &a));
	assert_int_equal(a, MiB(254));
	assert_true(early_carve(PAGE_SIZE, PAGE_SIZE, ~0ull, &a));
	assert_int_equal(a, GiB(10) - PAGE_SIZE);
	assert_true(early_carve(PAGE_2M, PAGE_2M, ~0ull, &a));
	assert_int_equal(a, GiB(10) - 2 * PAGE_2M);
	assert_false(early_carve(GiB(7), PAGE_SIZE, ~0ull, &a));
	assert_false(early_carve(PAGE_2M, PAGE_2M, MiB(2), &a));
	assert_true(early_carve(PAGE_SIZE, PAGE_SIZE, 0xa0000, &a)); /* the trampoline's frame */
	assert_int_equal(a, 0x9e000);
	assert_int_equal(free_total(), before - 2 * PAGE_2M - 2 * PAGE_SIZE);
}

static void carving_low_memory_avoids_modules(void **state)
{
	u64 a;

	make_boot();
	boot.module[boot.modules++] = (struct boot_module){.start = hpa(0x90000), .bytes = 0xf000};
	early_init(&boot, 0);
	assert_true(early_carve(PAGE_SIZE, PAGE_SIZE, 0xa0000, &a));
	assert_int_equal(a, 0x8f000);
	ranges_remove(&early_free, 0, 0xa0000);
	assert_false(early_carve(PAGE_SIZE, PAGE_SIZE, 0xa0000, &a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_becomes_the_largest_aligned_blocks),
		cmocka_unit_test(free_blocks_merge_up_to_the_largest_order),
		cmocka_unit_test(a_used_neighbour_is_not_merged),
		cmocka_unit_test(the_owner_of_every_frame_of_a_block_is_known),
		cmocka_unit_test(wrong_frees_are_assertions),
		cmocka_unit_test(no_block_crosses_the_end_of_a_zone),
		cmocka_unit_test(the_first_node_that_has_a_block_gives_it),
		cmocka_unit_test(zones_end_when_the_table_is_full),
		cmocka_unit_test(a_page_is_at_the_node_of_the_range_that_holds_it),
		cmocka_unit_test(hostile_ranges_never_need_more_zones_than_there_are),
		cmocka_unit_test(nodes_are_ordered_by_distance),
		cmocka_unit_test(what_the_firmware_left_out_is_filled_in),
		cmocka_unit_test(random_calls_agree_with_a_model),
		cmocka_unit_test(what_is_in_use_is_not_free),
		cmocka_unit_test(modules_in_ram_make_no_ranges_of_it),
		cmocka_unit_test(mem_limits_the_amount_of_ram),
		cmocka_unit_test(carving_takes_the_highest_fitting_place),
		cmocka_unit_test(carving_low_memory_avoids_modules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
