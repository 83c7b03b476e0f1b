// SOURCES: vmm/state.c vmm/timer.c
/* Saved state between versions of a model: younger, older, unknown and malformed fields. */
#include <stdlib.h>

#include "tests/host/vmm_fake.h"

struct model {
	struct device dev;
	u8 a;
	u32 b[3];
	u64 c;
	bool restored;
};

static void model_reset(struct device *d)
{
	struct model *m = container_of(d, struct model, dev);

	m->a = 1;
	m->b[0] = m->b[1] = m->b[2] = 2;
	m->c = 3;
	m->restored = false;
}

static void model_restored(struct device *d)
{
	container_of(d, struct model, dev)->restored = true;
}

static const struct state_field fields_1[] = {STATE_FIELD(struct model, a, 1),
					      STATE_ARRAY(struct model, b, 1)};
static const struct state_field fields_2[] = {STATE_ARRAY(struct model, b, 1),
					      STATE_FIELD(struct model, c, 2),
					      STATE_FIELD(struct model, a, 1)};
static const struct state_field fields_other[] = {STATE_FIELD(struct model, c, 1),
						  STATE_ARRAY(struct model, b, 1)};

/* clang-format off */
#define OPS(n, v, f) \
	{.name = n, .version = v, .reset = model_reset, .restored = model_restored, .fields = f, \
	 .field_count = ARRAY_SIZE(f)}
/* clang-format on */
static const struct dev_ops old_ops = OPS("model", 1, fields_1),
			    new_ops = OPS("model", 2, fields_2),
			    stranger_ops = OPS("stranger", 1, fields_1),
			    changed_ops = OPS("model", 1, fields_other);

static struct model make(const struct dev_ops *ops, u8 v)
{
	struct model m = {
		.dev.ops = ops, .a = v, .b = {v, v + 1u, v + 2u}, .c = v * 0x0101010101010101ull};

	return m;
}

static s64 move(struct model *from, struct model *to)
{
	u8 buf[256];
	size_t n = state_save(&from->dev, buf, sizeof(buf));

	assert_in_range(n, 1, sizeof(buf));
	return state_load(&to->dev, buf, sizeof(buf));
}

static void younger_fields_keep_their_reset_value(void **s)
{
	struct model from = make(&old_ops, 0x40), to = make(&new_ops, 0);

	assert_true(move(&from, &to) > 0);
	assert_int_equal(to.a, 0x40);
	assert_int_equal(to.b[2], 0x42);
	assert_int_equal(to.c, 3);
	assert_true(to.restored);
}

static void unknown_fields_are_skipped(void **s)
{
	struct model from = make(&new_ops, 0x40), to = make(&old_ops, 0);

	assert_true(move(&from, &to) > 0);
	assert_int_equal(to.a, 0x40);
	assert_int_equal(to.b[0], 0x40);
	assert_int_equal(to.c, 3);
}

static void a_missing_field_is_refused(void **s)
{
	struct model from = make(&changed_ops, 0x40), to = make(&old_ops, 0);

	assert_int_equal(move(&from, &to), -E_INVAL);
	assert_int_equal(to.b[0], 2); /* reset, not half-loaded */
	assert_false(to.restored);
}

static void a_strangers_section_is_left_alone(void **s)
{
	struct model from = make(&stranger_ops, 0x40), to = make(&old_ops, 0);

	assert_int_equal(move(&from, &to), -E_NOENT);
}

static void every_flipped_byte_is_survived(void **s)
{
	struct model from = make(&new_ops, 0x40), to = make(&new_ops, 0);
	u8 buf[256];
	size_t n = state_save(&from.dev, buf, sizeof(buf));

	for (size_t i = 0; i < n; i++)
		for (u32 bit = 0; bit < 8; bit++) {
			u8 *exact = malloc(n);

			memcpy(exact, buf, n);
			exact[i] ^= (u8)(1u << bit);
			(void)state_load(&to.dev, exact, n);
			free(exact);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(younger_fields_keep_their_reset_value),
		cmocka_unit_test(unknown_fields_are_skipped),
		cmocka_unit_test(a_missing_field_is_refused),
		cmocka_unit_test(a_strangers_section_is_left_alone),
		cmocka_unit_test(every_flipped_byte_is_survived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
