// SOURCES: mm/buddy.c mm/early.c lib/ranges.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/assert.h"
#include "mm/buddy.h"
#include "mm/early.h"

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
	return &buddy;
}

static void a_run_becomes_the_largest_aligned_blocks(void **state)
{
	struct buddy *b = fresh(ORDER_MAX);
	u64 pfn;

	buddy_add_run(b, 3, 1021); /* 3, 4-7, 8-15, ... 512-1023 */
	assert_int_equal(b->free_frames, 1021);
	assert_int_equal(b->zone[0].orders, 0x3fd);
	assert_true(buddy_alloc(b, 9, FRAME_USER, &pfn));
	assert_int_equal(pfn, 512);
	assert_false(buddy_alloc(b, 9, FRAME_USER, &pfn));
	assert_true(buddy_alloc(b, 8, FRAME_USER, &pfn));
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

	buddy_add_run(b, 0, 1024);
	for (u32 i = 0; i < 1024; i++)
		assert_true(buddy_alloc(b, 0, FRAME_KERNEL, &pfn[i]));
	assert_false(buddy_alloc(b, 0, FRAME_KERNEL, &pfn[0]));
	for (u32 i = 0; i < 1024; i++)
		buddy_free(b, pfn[(i * 389) % 1024], 0);
	assert_int_equal(b->zone[0].orders, 1 << 9);
	assert_int_equal(b->free_frames, 1024);
}

static void the_owner_of_every_frame_of_a_block_is_known(void **state)
{
	struct buddy *b = fresh(ORDER_MAX);
	const struct frame *f;
	u64 pfn;

	buddy_add_run(b, 1024, 1024);
	assert_true(buddy_alloc(b, 9, FRAME_GUEST, &pfn));
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

	buddy_add_run(b, 0, 1024);
	assert_true(buddy_alloc(b, 4, FRAME_USER, &pfn));
	expect_assert_failure((void)buddy_free(b, pfn, 3));
	expect_assert_failure((void)buddy_free(b, pfn + 1, 0));
	buddy_free(b, pfn, 4);
	expect_assert_failure((void)buddy_free(b, pfn, 4));
	expect_assert_failure((void)buddy_free(b, 5000, 0));
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

		buddy_add_run(b, at, n);
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

			if (!buddy_alloc(b, order, FRAME_USER, &live[i].pfn))
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
	/* Image, module. */
	assert_int_equal(free_total(), 0x9e000 + MiB(255) + GiB(6) - MiB(2) - MiB(3) - PAGE_SIZE);
	assert_int_equal(ram_end(), GiB(10));
	assert_true(ranges_touch(&early_ram, GiB(5), GiB(6)));
	assert_true(ranges_touch(&early_ram, MiB(255), GiB(1)));
	assert_false(ranges_touch(&early_ram, MiB(256), GiB(4)));
	assert_true(ranges_contain(&early_ram, MiB(1), MiB(256)));
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
	assert_int_equal(free_total(), MiB(64) - MiB(2));
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
		cmocka_unit_test(the_owner_of_every_frame_of_a_block_is_known),
		cmocka_unit_test(wrong_frees_are_assertions),
		cmocka_unit_test(random_calls_agree_with_a_model),
		cmocka_unit_test(what_is_in_use_is_not_free),
		cmocka_unit_test(mem_limits_the_amount_of_ram),
		cmocka_unit_test(carving_takes_the_highest_fitting_place),
		cmocka_unit_test(carving_low_memory_avoids_modules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
