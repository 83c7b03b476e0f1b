// SOURCES: vmm/fw_cfg.c vmm/state.c vmm/timer.c
/* fw_cfg: each item, the directory and its file, and what is none. */
#include "tests/host/vmm_fake.h"
#include "vmm/fw_cfg.h"

struct set {
	struct fake f;
	struct fw_cfg c;
};

enum { SELECTOR = 0, DATA = 1 };

static void start(struct set *s, u64 low, u64 high, u16 vcpus, u16 possible)
{
	struct ram ram = {.low = low, .high = high};

	memset(s, 0, sizeof(*s));
	fake_init(&s->f);
	fw_cfg_init(&s->c, &s->f.plat, &ram, vcpus, possible);
}

static u64 item(struct set *s, u16 key, u32 bytes)
{
	u64 v = 0;

	fake_write(&s->c.dev, SELECTOR, 2, key);
	for (u32 i = 0; i < bytes; i++)
		v |= (fake_read(&s->c.dev, DATA, 1) & 0xff) << i * 8;
	return v;
}

static void items(void **state)
{
	struct set s;

	start(&s, GiB(3), GiB(5), 12, 64);
	assert_int_equal(item(&s, 0x00, 4), 0x554d4551); /* "QEMU" */
	assert_int_equal(item(&s, 0x01, 4), 1);		 /* no DMA */
	assert_int_equal(item(&s, 0x03, 8), GiB(8));
	assert_int_equal(item(&s, 0x05, 2), 12);
	assert_int_equal(item(&s, 0x0f, 2), 64);
}

static void behind_the_end_and_without_an_item_zeroes(void **state)
{
	struct set s;

	start(&s, MiB(16), 0, 1, 1);
	assert_int_equal(item(&s, 0x05, 8), 1);
	assert_int_equal(item(&s, 0x02, 8), 0);
	assert_int_equal(item(&s, 0xffff, 8), 0);
}

static void directory_names_the_memory_map(void **state)
{
	static const struct {
		u64 low, high;
		u32 rows;
	} rows[] = {{MiB(16), 0, 1}, {GiB(3), GiB(1), 2}};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		struct set s;
		u16 key;

		start(&s, rows[i].low, rows[i].high, 1, 1);
		assert_int_equal(__builtin_bswap32((u32)item(&s, 0x19, 4)), 1);
		assert_int_equal(__builtin_bswap32((u32)fake_read(&s.c.dev, DATA, 1) |
						   (u32)fake_read(&s.c.dev, DATA, 1) << 8 |
						   (u32)fake_read(&s.c.dev, DATA, 1) << 16 |
						   (u32)fake_read(&s.c.dev, DATA, 1) << 24),
				 20 * rows[i].rows);
		key = (u16)(fake_read(&s.c.dev, DATA, 1) << 8);
		key |= (u16)fake_read(&s.c.dev, DATA, 1);
		assert_int_equal(fake_read(&s.c.dev, DATA, 1), 0);
		assert_int_equal(fake_read(&s.c.dev, DATA, 1), 0);
		for (const char *c = "etc/e820"; *c; c++)
			assert_int_equal(fake_read(&s.c.dev, DATA, 1), *c);
		assert_int_equal(item(&s, key, 8), 0);
		for (u32 n = 8, v = 0; n < 20; n++) {
			u32 byte = (u32)fake_read(&s.c.dev, DATA, 1);

			v = n < 16 ? (u32)(rows[i].low >> (n - 8) * 8 & 0xff) : n == 16;
			assert_int_equal(byte, v);
		}
		/* The second row's base, where there is one. */
		for (u32 n = 0; n < 8; n++)
			assert_int_equal(fake_read(&s.c.dev, DATA, 1), n == 4 && rows[i].rows == 2);
	}
}

static void other_accesses_do_nothing(void **state)
{
	struct set s;

	start(&s, MiB(16), 0, 3, 3);
	assert_int_equal(item(&s, 0x05, 1), 3);
	fake_write(&s.c.dev, SELECTOR, 1, 0x01);
	fake_write(&s.c.dev, DATA, 1, 7);
	assert_int_equal(fake_read(&s.c.dev, SELECTOR, 1) & 0xff, 0xff);
	assert_int_equal(fake_read(&s.c.dev, DATA, 1), 0); /* the second byte of the count */
	assert_int_equal(item(&s, 0x05, 2), 3);
}

static void state_moves(void **state)
{
	struct set s, t;

	start(&s, MiB(16), 0, 1, 1);
	start(&t, MiB(16), 0, 1, 1);
	assert_int_equal(item(&s, 0x00, 1), 'Q');
	fake_check_state(&s.c.dev, &t.c.dev);
	assert_int_equal(fake_read(&t.c.dev, DATA, 1), 'E');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items),
		cmocka_unit_test(behind_the_end_and_without_an_item_zeroes),
		cmocka_unit_test(directory_names_the_memory_map),
		cmocka_unit_test(other_accesses_do_nothing),
		cmocka_unit_test(state_moves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
