// SOURCES: mm/quota.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/assert.h"
#include "mm/quota.h"

void assert_fail(const char *expr, const char *file, int line)
{
	mock_assert(0, expr, file, line);
	__builtin_unreachable();
}

static void charges_up_to_the_limit_and_not_beyond(void **state)
{
	struct quota q = {.limit = 100};

	assert_true(quota_charge(&q, 60));
	assert_false(quota_charge(&q, 41));
	assert_int_equal(q.used, 60);
	assert_true(quota_charge(&q, 40));
	assert_false(quota_charge(&q, 1));
	assert_false(quota_charge(&q, ~0ull));
	quota_uncharge(&q, 100);
	assert_int_equal(q.used, 0);
}

static void a_lowered_limit_refuses_new_charges(void **state)
{
	struct quota q = {.limit = 50, .used = 80};

	assert_false(quota_charge(&q, 1));
	assert_false(quota_charge(&q, 0));
	assert_int_equal(q.used, 80);
}

static void giving_back_more_than_was_charged_is_an_assertion(void **state)
{
	struct quota q = {.limit = 100, .used = 10};

	expect_assert_failure(quota_uncharge(&q, 11));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(charges_up_to_the_limit_and_not_beyond),
		cmocka_unit_test(a_lowered_limit_refuses_new_charges),
		cmocka_unit_test(giving_back_more_than_was_charged_is_an_assertion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
