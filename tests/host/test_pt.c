// SOURCES: mm/pt.c mm/pt_formats.c mm/quota.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_mm.h"
#include "mm/pt.h"

static const struct pt_format *const formats[] = {&pt_host_format, &pt_ept_format};

static struct quota quota;

static struct pt fresh(const struct pt_format *f)
{
	struct pt pt;

	quota = (struct quota){.limit = GiB(1)};
	assert_int_equal(pt_init(&pt, f, &quota), 0);
	return pt;
}

static void destroy(struct pt *pt)
{
	while (!pt_destroy_step(pt, BIT(48)))
		;
	assert_int_equal(quota.used, 0);
	assert_int_equal(quota.tables, 0);
	assert_int_equal(fake_heap_live, 0);
}

static void the_largest_page_that_fits_is_used(void **state)
{
	static const struct {
		u64 va, a, bytes, at, leaf;
	} cases[] = {
		{GiB(1), GiB(3), GiB(2), GiB(2), PAGE_1G},
		{GiB(1), GiB(3) + PAGE_2M, GiB(1), GiB(1), PAGE_2M},
		{PAGE_2M, GiB(3), PAGE_2M, PAGE_2M, PAGE_2M},
		{PAGE_2M, GiB(3) + PAGE_SIZE, PAGE_2M, PAGE_2M, PAGE_SIZE},
		{PAGE_2M - PAGE_SIZE, PAGE_2M * 9 - PAGE_SIZE, PAGE_2M + 2 * PAGE_SIZE, PAGE_2M,
		 PAGE_2M},
		{PAGE_2M, GiB(3), PAGE_2M - PAGE_SIZE, PAGE_2M, PAGE_SIZE},
	};

	for (u32 f = 0; f < ARRAY_SIZE(formats); f++)
		for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
			struct pt pt = fresh(formats[f]);
			struct pt_leaf l;

			assert_int_equal(pt_map(&pt, cases[i].va, hpa(cases[i].a), cases[i].bytes,
						PT_R | PT_W),
					 0);
			assert_true(pt_lookup(&pt, cases[i].at, &l));
			assert_int_equal(l.bytes, cases[i].leaf);
			assert_int_equal(l.start.v, cases[i].a + (cases[i].at - cases[i].va));
			assert_false(pt_lookup(&pt, cases[i].va + cases[i].bytes, &l));
			destroy(&pt);
		}
}

static void without_1g_pages_2m_is_the_largest(void **state)
{
	struct pt pt = fresh(&pt_host_format);
	struct pt_leaf l;

	cpu_facts.page_1g = false;
	assert_int_equal(pt_map(&pt, 0, hpa(0), GiB(1), PT_R), 0);
	cpu_facts.page_1g = true;
	assert_true(pt_lookup(&pt, MiB(7), &l));
	assert_int_equal(l.bytes, PAGE_2M);
	destroy(&pt);
}

/* Intel SDM 3, "4-Level Paging"; AMD APM 2, "Long-Mode Page Translation". */
static void a_host_entry_has_the_bits_of_the_manual(void **state)
{
	static const struct {
		u64 bytes, entry;
		u32 prot;
	} cases[] = {
		{PAGE_SIZE, 1 | BIT(63), PT_R},
		{PAGE_SIZE, 3 | BIT(63), PT_R | PT_W},
		{PAGE_SIZE, 1, PT_R | PT_X},
		{PAGE_2M, 7 | BIT(7) | BIT(63), PT_R | PT_W | PT_USER},
		{PAGE_1G, 3 | BIT(7) | BIT(8) | BIT(63), PT_R | PT_W | PT_GLOBAL},
		{PAGE_SIZE, 3 | BIT(3) | BIT(4) | BIT(63), PT_R | PT_W | PT_UNCACHED},
		{PAGE_2M, 3 | BIT(3) | BIT(7) | BIT(63), PT_R | PT_W | PT_COMBINE},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pt pt = fresh(&pt_host_format);
		struct pt_leaf l;

		assert_int_equal(pt_map(&pt, GiB(2), hpa(GiB(5)), cases[i].bytes, cases[i].prot),
				 0);
		assert_true(pt_lookup(&pt, GiB(2), &l));
		assert_int_equal(*l.entry, GiB(5) | cases[i].entry);
		destroy(&pt);
	}
}

/* Intel SDM 3, "Formats of the EPT Paging-Structure Entries". */
static void an_ept_entry_has_the_bits_of_the_manual(void **state)
{
	enum {
		RWX = PT_R | PT_W | PT_X,
		WB = 6 << 3,
		WC = 1 << 3,
		IGNORE_PAT = 1 << 6,
		BIG = 1 << 7
	};
	static const struct {
		u64 bytes, entry;
		u32 prot;
	} cases[] = {
		{PAGE_SIZE, 7 | WB | IGNORE_PAT, RWX | PT_USER},
		{PAGE_SIZE, 1 | WB | IGNORE_PAT, PT_R | PT_USER},
		{PAGE_SIZE, 5 | WB | IGNORE_PAT, PT_R | PT_X},
		{PAGE_2M, 7 | WB | IGNORE_PAT | BIG, RWX},
		{PAGE_1G, 3 | WB | IGNORE_PAT | BIG, PT_R | PT_W},
		{PAGE_SIZE, 3, PT_R | PT_W | PT_UNCACHED},
		{PAGE_2M, 3 | BIG, PT_R | PT_W | PT_UNCACHED | PT_USER},
		{PAGE_2M, 3 | WC | BIG, PT_R | PT_W | PT_COMBINE},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pt pt = fresh(&pt_ept_format);
		struct pt_leaf l;

		assert_int_equal(pt_map(&pt, GiB(2), hpa(GiB(5)), cases[i].bytes, cases[i].prot),
				 0);
		assert_true(pt_lookup(&pt, GiB(2), &l));
		assert_int_equal(l.bytes, cases[i].bytes);
		assert_int_equal(*l.entry, GiB(5) | cases[i].entry);
		destroy(&pt);
	}
}

/* An entry that is in no case in "EPT Misconfigurations" of the manual. */
static bool ept_configured(u64 e, bool leaf, u32 level)
{
	u64 type = e >> 3 & 7, reserved = ~(BIT(52) - 1) | 0xf8;

	if ((e & 2) && !(e & 1))
		return false;
	if (leaf) /* the PAT bit is kept apart; large pages have reserved address bits */
		reserved = ~(BIT(52) - 1) | ((BIT(12 + 9 * (level - 1)) - 1) & ~0xfffull);
	return !(e & reserved) && (!leaf || (type != 2 && type != 3 && type != 7));
}

static void no_ept_entry_is_a_misconfiguration(void **state)
{
	for (u32 prot = 0; prot < 128; prot++)
		for (u32 level = 1; level <= 3; level++) {
			struct pt pt = fresh(&pt_ept_format);
			u64 size = BIT(12 + 9 * (level - 1));

			assert_int_equal(pt_map(&pt, size, hpa(size * 3), size, prot), 0);
			for (u32 l = 4; l >= level; l--) {
				u32 at = l;
				u64 *e = pt_walk(&pt, size, &at, false);

				assert_int_equal(at, l);
				assert_true(ept_configured(*e, l == level, l));
			}
			destroy(&pt);
		}
}

static void ept_pages_are_no_larger_than_the_cpu_offers(void **state)
{
	static const u64 size[] = {0, PAGE_SIZE, PAGE_2M, PAGE_1G};
	u8 all = pt_ept_format.max_leaf;

	for (u8 max = 1; max <= 3; max++) {
		struct pt_leaf l;
		struct pt pt;

		pt_ept_format.max_leaf = max;
		pt = fresh(&pt_ept_format);
		assert_int_equal(pt_map(&pt, 0, hpa(0), GiB(1), PT_R), 0);
		assert_true(pt_lookup(&pt, MiB(7), &l));
		assert_int_equal(l.bytes, size[max]);
		destroy(&pt);
	}
	pt_ept_format.max_leaf = all;
}

static void equal_leaves_are_accepted_and_others_refused(void **state)
{
	struct pt pt = fresh(&pt_host_format);

	assert_int_equal(pt_map(&pt, PAGE_2M, hpa(GiB(1)), PAGE_2M, PT_R | PT_W), 0);
	assert_int_equal(pt_map(&pt, PAGE_2M, hpa(GiB(1)), PAGE_2M, PT_R | PT_W), 0);
	assert_int_equal(
		pt_map(&pt, PAGE_2M + PAGE_SIZE, hpa(GiB(1) + PAGE_SIZE), PAGE_SIZE, PT_R | PT_W),
		0);
	assert_int_equal(pt_map(&pt, PAGE_2M, hpa(GiB(1)), PAGE_2M, PT_R), -E_EXIST);
	assert_int_equal(pt_map(&pt, PAGE_2M, hpa(GiB(2)), PAGE_SIZE, PT_R | PT_W), -E_EXIST);
	assert_int_equal(pt_map(&pt, 0, hpa(0), GiB(1), PT_R | PT_W), -E_EXIST);
	destroy(&pt);
}

static void usage_bits_do_not_make_a_leaf_different(void **state)
{
	struct pt pt = fresh(&pt_host_format);
	struct pt_leaf l;

	assert_int_equal(pt_map(&pt, 0, hpa(PAGE_2M), PAGE_SIZE, PT_R | PT_W), 0);
	assert_true(pt_lookup(&pt, 0, &l));
	*l.entry |= pt.fmt->usage;
	assert_int_equal(pt_map(&pt, 0, hpa(PAGE_2M), PAGE_SIZE, PT_R | PT_W), 0);
	destroy(&pt);
}

static void unmapping_goes_in_bounded_steps_over_pages_of_any_size(void **state)
{
	struct pt pt = fresh(&pt_host_format);
	struct pt_leaf l;

	assert_int_equal(
		pt_map(&pt, GiB(1), hpa(GiB(4)), GiB(1) + PAGE_2M + PAGE_SIZE, PT_R | PT_W), 0);
	assert_int_equal(pt_unmap(&pt, GiB(1), GiB(2)), GiB(2));
	assert_false(pt_lookup(&pt, GiB(1), &l));
	assert_true(pt_lookup(&pt, GiB(2), &l));
	assert_int_equal(l.bytes, PAGE_2M);
	/* One entry for the 2 MiB page, 511 for what comes behind it. */
	assert_int_equal(pt_unmap(&pt, GiB(2), GiB(3)), GiB(2) + PAGE_2M + 511 * PAGE_SIZE);
	assert_false(pt_lookup(&pt, GiB(2), &l));
	assert_false(pt_lookup(&pt, GiB(2) + PAGE_2M, &l));
	/* what is empty at the top goes fast */
	assert_int_equal(pt_unmap(&pt, BIT(46), BIT(47)), BIT(47));
	destroy(&pt);
}

static void running_out_of_memory_is_an_error_and_leaks_nothing(void **state)
{
	for (long left = 0; left < 4; left++) {
		struct pt pt = fresh(&pt_host_format);
		int e;

		fake_heap_left = left;
		e = pt_map(&pt, PAGE_SIZE, hpa(PAGE_SIZE), PAGE_SIZE, PT_R);
		assert_int_equal(e, left < 3 ? -E_NOMEM : 0);
		fake_heap_left = 1l << 40;
		destroy(&pt);
	}
}

static void the_quota_bounds_the_tables(void **state)
{
	struct pt pt = fresh(&pt_host_format);

	quota.limit = 6 * PAGE_SIZE;
	assert_int_equal(pt_map(&pt, 0, hpa(0), PAGE_SIZE, PT_R), 0);
	assert_int_equal(quota.tables, 4 * PAGE_SIZE);
	assert_int_equal(pt_map(&pt, BIT(40), hpa(0), PAGE_SIZE, PT_R), -E_NOMEM);
	destroy(&pt);
}

static void freeing_tables_is_done_in_bounded_steps(void **state)
{
	struct pt pt = fresh(&pt_host_format);
	u32 steps = 1;

	for (u64 i = 0; i < 1500; i++)
		assert_int_equal(pt_map(&pt, i * PAGE_2M, hpa(PAGE_SIZE), PAGE_SIZE, PT_R), 0);
	while (!pt_destroy_step(&pt, BIT(47)))
		steps++;
	assert_true(steps >= 3);
	assert_int_equal(fake_heap_live, 0);
	assert_true(pt_destroy_step(&pt, BIT(47)));
}

static void tables_of_a_range_are_freed_and_others_kept(void **state)
{
	struct pt pt = fresh(&pt_host_format);

	pt.root[511] = 0x3003;
	assert_int_equal(pt_map(&pt, 0xffffff0000001000, hpa(PAGE_SIZE), PAGE_SIZE, PT_R | PT_W),
			 0);
	while (!pt_free_tables(&pt, 0xffffff0000000000, 0xffffff0040000000))
		;
	assert_int_equal(pt.root[510], 0);
	assert_int_equal(pt.root[511], 0x3003);
	while (!pt_destroy_step(&pt, BIT(47)))
		;
	assert_int_equal(quota.used, 0);
	assert_int_equal(fake_heap_live, 0);
}

/* The model: frame number and protection of each 4 KiB page of 32 MiB, over two table formats. */
enum { MODEL_PAGES = 8192 };
static struct {
	u64 pfn;
	u32 prot;
} model[MODEL_PAGES];

static void check_model(const struct pt *pt)
{
	struct pt_leaf l;

	for (u64 i = 0; i < MODEL_PAGES; i++) {
		u64 va = i * PAGE_SIZE;

		if (!pt_lookup(pt, va, &l)) {
			assert_int_equal(model[i].pfn, 0);
			continue;
		}
		assert_int_equal(model[i].pfn, (l.start.v + va % l.bytes) / PAGE_SIZE);
		assert_int_equal(*l.entry, pt_leaf_entry(pt->fmt, l.start.v, model[i].prot,
							 l.bytes == PAGE_2M ? 2 : 1));
	}
}

static bool range_free(u64 page, u64 n)
{
	for (u64 i = 0; i < n; i++)
		if (model[page + i].pfn)
			return false;
	return true;
}

/* The range, widened to whole leaves: none is ever split. */
static void unmap_whole_leaves(struct pt *pt, u64 va, u64 end)
{
	struct pt_leaf l;

	if (pt_lookup(pt, va, &l))
		va = ALIGN_DOWN(va, l.bytes);
	if (pt_lookup(pt, end - 1, &l))
		end = ALIGN_UP(end, l.bytes);
	memset(&model[va / PAGE_SIZE], 0, (end - va) / PAGE_SIZE * sizeof(model[0]));
	while (va < end)
		va = pt_unmap(pt, va, end);
}

static void random_round(struct pt *pt)
{
	u64 n = rand() % 4 ? (u64)(rand() % 700 + 1) : 512 * (u64)(rand() % 3 + 1);
	u64 page = (u64)rand() % (MODEL_PAGES - n), pfn;
	bool present;

	if (rand() % 2)
		page = MIN(ALIGN_DOWN(page, 512ull), MODEL_PAGES - n);
	present = !range_free(page, n);
	switch (rand() % 4) {
	case 0:
	case 1:
		if (present)
			break;
		pfn = ((u64)rand() % 1000 + 1) * 512 + (rand() % 2 ? page % 512 : 1);
		assert_int_equal(pt_map(pt, page * PAGE_SIZE, hpa(pfn * PAGE_SIZE), n * PAGE_SIZE,
					PT_R | PT_W),
				 0);
		for (u64 i = 0; i < n; i++) {
			model[page + i].pfn = pfn + i;
			model[page + i].prot = PT_R | PT_W;
		}
		break;
	case 2: unmap_whole_leaves(pt, page * PAGE_SIZE, (page + n) * PAGE_SIZE); break;
	}
}

static void random_calls_agree_with_a_model(void **state)
{
	for (u32 f = 0; f < ARRAY_SIZE(formats); f++) {
		struct pt pt = fresh(formats[f]);

		memset(model, 0, sizeof(model));
		for (u32 round = 0; round < 2000; round++) {
			random_round(&pt);
			if (round % 16 == 0)
				check_model(&pt);
		}
		destroy(&pt);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_largest_page_that_fits_is_used),
		cmocka_unit_test(without_1g_pages_2m_is_the_largest),
		cmocka_unit_test(a_host_entry_has_the_bits_of_the_manual),
		cmocka_unit_test(an_ept_entry_has_the_bits_of_the_manual),
		cmocka_unit_test(no_ept_entry_is_a_misconfiguration),
		cmocka_unit_test(ept_pages_are_no_larger_than_the_cpu_offers),
		cmocka_unit_test(equal_leaves_are_accepted_and_others_refused),
		cmocka_unit_test(usage_bits_do_not_make_a_leaf_different),
		cmocka_unit_test(unmapping_goes_in_bounded_steps_over_pages_of_any_size),
		cmocka_unit_test(running_out_of_memory_is_an_error_and_leaks_nothing),
		cmocka_unit_test(the_quota_bounds_the_tables),
		cmocka_unit_test(freeing_tables_is_done_in_bounded_steps),
		cmocka_unit_test(tables_of_a_range_are_freed_and_others_kept),
		cmocka_unit_test(random_calls_agree_with_a_model),
	};

	pt_ept_format.max_leaf = 3;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
