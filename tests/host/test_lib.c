// SOURCES: lib/fmt.c lib/rbtree.c
/*
 * lib: strings (compiled under other names beside the host's), formatting and parsing, red-black
 * tree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/fmt.h"
#include "lib/rbtree.h"

#define memcpy lib_memcpy
#define memmove lib_memmove
#define memset lib_memset
#define memcmp lib_memcmp
#define strlen lib_strlen
#define strnlen lib_strnlen
#define strcmp lib_strcmp
#define strncmp lib_strncmp
#define strchr lib_strchr
#define str_copy lib_str_copy
#include "lib/memmove.c"
#include "lib/str_copy.c"
#include "lib/string.c"
#include "lib/string.h"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef str_copy

static int sign(int v) { return (v > 0) - (v < 0); }

static void test_memory_functions(void **state)
{
	u8 a[64], b[64];

	for (u32 from = 0; from < 16; from++)
		for (u32 to = 0; to < 16; to++)
			for (u32 n = 0; n < 40; n += 3) {
				for (u32 i = 0; i < 64; i++)
					a[i] = b[i] = (u8)(i * 7);
				assert_ptr_equal(lib_memmove(a + to, a + from, n), a + to);
				memmove(b + to, b + from, n);
				assert_memory_equal(a, b, 64);
				lib_memset(a + to, 0x1ff, n);
				memset(b + to, 0xff, n);
				lib_memcpy(a + 40, a, n % 20);
				memcpy(b + 40, b, n % 20);
				assert_memory_equal(a, b, 64);
			}
	assert_int_equal(lib_memcmp("abc", "abd", 3), -1);
	assert_int_equal(lib_memcmp("\xff", "\x01", 1), 1);
	assert_int_equal(lib_memcmp("abc", "abd", 2), 0);
	assert_int_equal(lib_memcmp("a", "b", 0), 0);
}

static void test_string_functions(void **state)
{
	static const char *const words[] = {"",	   "a", "ab",	"abc",
					    "abd", "b", "\xff", "longer than the others"};
	char buf[4];

	for (u32 i = 0; i < ARRAY_SIZE(words); i++)
		for (u32 j = 0; j < ARRAY_SIZE(words); j++) {
			assert_int_equal(sign(lib_strcmp(words[i], words[j])),
					 sign(strcmp(words[i], words[j])));
			for (u32 n = 0; n < 4; n++)
				assert_int_equal(sign(lib_strncmp(words[i], words[j], n)),
						 sign(strncmp(words[i], words[j], n)));
		}
	assert_int_equal(lib_strlen("abc"), 3);
	assert_int_equal(lib_strnlen("abc", 2), 2);
	assert_string_equal(lib_strchr("a=b=c", '='), "=b=c");
	assert_null(lib_strchr("abc", 'x'));
	assert_string_equal(lib_strchr("abc", 0), "");
	assert_int_equal(lib_str_copy(buf, "abcdef", 4), 6);
	assert_string_equal(buf, "abc");
	assert_int_equal(lib_str_copy(buf, "ab", 4), 2);
	assert_string_equal(buf, "ab");
	assert_int_equal(lib_str_copy(NULL, "ab", 0), 2);
}

#define CHECK(...)                                                                                 \
	do {                                                                                       \
		char got_[120], want_[120];                                                        \
		int n_ = fmt_snprintf(got_, sizeof(got_), __VA_ARGS__);                            \
		assert_int_equal(n_, snprintf(want_, sizeof(want_), __VA_ARGS__));                 \
		assert_string_equal(got_, want_);                                                  \
	} while (0)

#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-overflow"
#pragma GCC diagnostic ignored "-Wformat-truncation"

static void test_format_agrees_with_printf(void **state)
{
	static const s64 values[] = {0,		1,	   -1,	      9,	10,
				     255,	256,	   -128,      32767,	65536,
				     INT32_MIN, INT32_MAX, INT64_MIN, INT64_MAX};

	for (u32 i = 0; i < ARRAY_SIZE(values); i++) {
		s64 v = values[i];

		CHECK("%d|%5d|%-5d|%05d|%025d", (int)v, (int)v, (int)v, (int)v, (int)v);
		CHECK("%u|%x|%#x|%#10x|%#010x|%-#10x|%-010x", (u32)v, (u32)v, (u32)v, (u32)v,
		      (u32)v, (u32)v, (u32)v);
		CHECK("%lld|%llu|%llx|%ld|%lu|%zu", (long long)v, (unsigned long long)v,
		      (unsigned long long)v, (long)v, (unsigned long)v, (size_t)v);
		CHECK("%#018lx|%016llx|%12lu|%#34lx", (u64)v, (unsigned long long)v, (u64)v,
		      (u64)v);
	}
	CHECK("%s|%10s|%-10s|%.2s|%.0s|%10.2s|%-10.2s|", "abc", "abc", "abc", "abc", "abc", "abc",
	      "abc");
	CHECK("%c|%3c|%-3c|%%|%s", 'x', 'y', 'z', "");
	CHECK("no arguments at all");
}

static void test_format_cuts_and_terminates(void **state)
{
	char buf[8] = "1234567";

	assert_int_equal(fmt_snprintf(buf, 4, "abcdef"), 6);
	assert_string_equal(buf, "abc");
	assert_int_equal(buf[4], '5');
	assert_int_equal(fmt_snprintf(NULL, 0, "%d", 12345), 5);
	assert_int_equal(fmt_snprintf(buf, 1, "x"), 1);
	assert_string_equal(buf, "");
	assert_int_equal(fmt_snprintf(buf, 8, "%s", (char *)NULL), 6);
	assert_string_equal(buf, "(null)");
	assert_int_equal(fmt_snprintf(buf, 8, "%"), 1);
	assert_int_equal(fmt_snprintf(buf, 8, "a%q"), 3);
	assert_string_equal(buf, "a%q");
}

static void test_parse_numbers(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		u64 value;
		const char *rest;
	} cases[] = {
		{"0", true, 0, ""},
		{"123abc", true, 123, "abc"},
		{"0x1fG", true, 0x1f, "G"},
		{"0XfF", true, 0xff, ""},
		{"18446744073709551615", true, ~0ull, ""},
		{"18446744073709551616", false, 0, NULL},
		{"0xffffffffffffffff", true, ~0ull, ""},
		{"0x10000000000000000", false, 0, NULL},
		{"", false, 0, NULL},
		{"x", false, 0, NULL},
		{"-1", false, 0, NULL},
		{"0x", false, 0, NULL},
		{" 1", false, 0, NULL},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *end = NULL;
		u64 v = 0;

		assert_int_equal(fmt_parse_u64(cases[i].text, &end, &v), cases[i].ok);
		if (!cases[i].ok)
			continue;
		assert_int_equal(v, cases[i].value);
		assert_string_equal(end, cases[i].rest);
	}
}

static void test_parse_sizes(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		u64 value;
	} cases[] = {
		{"512", true, 512},
		{"4K", true, 4096},
		{"4k", true, 4096},
		{"256M", true, MiB(256)},
		{"2GiB", true, GiB(2)},
		{"1MB", true, MiB(1)},
		{"0x10M", true, MiB(16)},
		{"17179869183G", true, 17179869183ull << 30},
		{"17179869184G", false, 0},
		{"4KK", false, 0},
		{"M", false, 0},
		{"4 M", false, 0},
		{"4T", false, 0},
		{"", false, 0},
		{"4iB", false, 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 v = 0;

		if (fmt_parse_size(cases[i].text, &v) != cases[i].ok ||
		    (cases[i].ok && v != cases[i].value))
			fail_msg("\"%s\": got %lu, expected %d %lu", cases[i].text, v, cases[i].ok,
				 cases[i].value);
	}
}

/* ---- Balanced tree ---- */

struct item {
	struct rb_node node;
	u32 key, order;
	bool in;
};

static bool less(const struct rb_node *a, const struct rb_node *b)
{
	return container_of(a, struct item, node)->key < container_of(b, struct item, node)->key;
}

/* Depth of the subtree; checks links and ranks on the way. */
static u32 check_subtree(const struct rb_node *n, const struct rb_node *parent)
{
	if (!n)
		return 0;
	assert_ptr_equal(n->parent, parent);
	assert_true(!parent || n->rank <= parent->rank);
	u32 left = check_subtree(n->left, n), right = check_subtree(n->right, n);

	return MAX(left, right) + 1;
}

static void check_tree(const struct rb_tree *t, u32 expected)
{
	const struct rb_node *last = NULL;
	u32 count = 0;

	/* of 300 nodes; more has odds of less than 10^-9 */
	assert_true(check_subtree(t->root, NULL) <= 48);
	for (struct rb_node *n = rb_first(t); n; n = rb_next(n), count++) {
		if (last) {
			const struct item *a = container_of(last, struct item, node),
					  *b = container_of(n, struct item, node);

			assert_true(a->key < b->key || (a->key == b->key && a->order < b->order));
		}
		last = n;
	}
	assert_int_equal(count, expected);
}

static void test_rbtree_stays_ordered_and_balanced(void **state)
{
	static struct item items[300];
	struct rb_tree t = {0};
	u32 count = 0, order = 0, seed = 1;

	for (u32 i = 0; i < 20000; i++) {
		seed = seed * 1103515245 + 12345;
		struct item *it = &items[(seed >> 8) % ARRAY_SIZE(items)];

		if (it->in) {
			rb_erase(&t, &it->node);
			count--;
		} else {
			it->key = (seed >> 20) % 100;
			it->order = order++;
			rb_insert(&t, &it->node, less);
			count++;
		}
		it->in = !it->in;
		if (i % 16 == 0 || count < 8)
			check_tree(&t, count);
	}
	while (rb_first(&t)) {
		rb_erase(&t, rb_first(&t));
		check_tree(&t, --count);
	}
	assert_null(t.root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_functions),
		cmocka_unit_test(test_string_functions),
		cmocka_unit_test(test_format_agrees_with_printf),
		cmocka_unit_test(test_format_cuts_and_terminates),
		cmocka_unit_test(test_parse_numbers),
		cmocka_unit_test(test_parse_sizes),
		cmocka_unit_test(test_rbtree_stays_ordered_and_balanced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
