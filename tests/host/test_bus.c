// SOURCES: vmm/bus.c vmm/state.c vmm/timer.c
/* The trap tree: who answers, what overlaps, what is split. */
#include "tests/host/vmm_fake.h"
#include "vmm/bus.h"

struct probe {
	struct device dev;
	u8 reg[16];
	u32 reads, writes, widest;
};

static u64 probe_read(struct device *d, u64 offset, u32 size)
{
	struct probe *p = container_of(d, struct probe, dev);
	u64 v = 0;

	assert_in_range(offset + size, 1, sizeof(p->reg));
	p->reads++;
	p->widest = MAX(p->widest, size);
	memcpy(&v, p->reg + offset, size);
	return v | (size < 8 ? ~0ull << size * 8 : 0); /* the bus masks */
}

static void probe_write(struct device *d, u64 offset, u32 size, u64 v)
{
	struct probe *p = container_of(d, struct probe, dev);

	assert_in_range(offset + size, 1, sizeof(p->reg));
	p->writes++;
	memcpy(p->reg + offset, &v, size);
}

static const struct dev_ops narrow = {
	.name = "narrow", .max_size = 1, .read = probe_read, .write = probe_write};
static const struct dev_ops wide = {
	.name = "wide", .max_size = 4, .read = probe_read, .write = probe_write};

static void overlaps_are_refused(void **s)
{
	static const struct {
		u64 base, size;
		int want;
	} rows[] = {
		{0x100, 0x10, 0},     {0x100, 1, -E_EXIST}, {0xff, 2, -E_EXIST},
		{0x10f, 1, -E_EXIST}, {0x10f, 2, -E_EXIST}, {0x80, 0x200, -E_EXIST},
		{0x110, 1, 0},	      {0xff, 1, 0},	    {0x200, 0, -E_INVAL},
		{~0ull, 2, -E_INVAL}, {~0ull, 1, 0},
	};
	struct bus b = {0};
	struct probe p = {.dev.ops = &narrow};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(bus_register(&b, rows[i].base, rows[i].size, &p.dev, 0),
				 rows[i].want);
	while (b.ranges < BUS_RANGES)
		assert_int_equal(bus_register(&b, 0x1000 + b.ranges, 1, &p.dev, 0), 0);
	assert_int_equal(bus_register(&b, 0x2000, 1, &p.dev, 0), -E_NOMEM);
}

static void each_range_reaches_its_device(void **s)
{
	struct bus b = {0};
	struct probe p = {.dev.ops = &wide, .reg = {1, 2, 3, 4, 5, 6, 7, 8}},
		     q = {.dev.ops = &wide, .reg = {0x11}};

	bus_register(&b, 0x40, 4, &p.dev, 4);
	bus_register(&b, 0x20, 4, &p.dev, 0);
	bus_register(&b, 0x60, 4, &q.dev, 0);
	for (u32 round = 0; round < 2; round++) {
		assert_int_equal(bus_read(&b, 0x20, 1), 1);
		assert_int_equal(bus_read(&b, 0x22, 2), 0x0403);
		assert_int_equal(bus_read(&b, 0x40, 4), 0x08070605);
		assert_int_equal(bus_read(&b, 0x60, 1), 0x11);
		assert_int_equal(bus_read(&b, 0x64, 4), 0xffffffff);
		assert_int_equal(bus_read(&b, 0x1f, 1), 0xff);
	}
	bus_write(&b, 0x41, 2, 0xaabbccdd);
	assert_int_equal(p.reg[5], 0xdd);
	assert_int_equal(p.reg[6], 0xcc);
	assert_int_equal(p.reg[7], 8);
}

static void wide_accesses_are_split(void **s)
{
	struct bus b = {0};
	struct probe p = {.dev.ops = &narrow, .reg = {1, 2, 3, 4}},
		     q = {.dev.ops = &wide, .reg = {9, 8, 7, 6}};

	bus_register(&b, 0x10, 4, &p.dev, 0);
	bus_register(&b, 0x14, 4, &q.dev, 0);
	assert_int_equal(bus_read(&b, 0x10, 4), 0x04030201);
	assert_int_equal(p.widest, 1);
	assert_int_equal(bus_read(&b, 0x12, 4), 0x08090403); /* across two devices */
	assert_int_equal(bus_read(&b, 0x16, 4), 0xffff0607); /* across the end */
	assert_int_equal(bus_read(&b, 0x0e, 4), 0x0201ffff); /* across the start */
	assert_true(bus_read(&b, 0x10, 8) == 0x0607080904030201);
	bus_write(&b, 0x12, 4, 0x44332211);
	assert_int_equal(p.reg[3], 0x22);
	assert_int_equal(q.reg[1], 0x44);
	assert_int_equal(b.unclaimed, 4);
	bus_write(&b, 0x80, 4, 1);
	assert_int_equal(b.unclaimed, 8);
}

struct alarm {
	struct device dev;
	struct vtimer t[3];
	u32 rung;
};
static void ring(struct device *d) { container_of(d, struct alarm, dev)->rung++; }

static void timers_run_in_order_and_once(void **s)
{
	struct timers ts = {0};
	struct alarm a = {0};

	for (u32 i = 0; i < 3; i++)
		a.t[i] = (struct vtimer){&a.dev, ring, VTIMER_OFF, NULL};
	assert_true(timers_next(&ts) == VTIMER_OFF);
	assert_true(timers_set(&ts, &a.t[0], 20));
	assert_false(timers_set(&ts, &a.t[1], 30));
	assert_true(timers_set(&ts, &a.t[2], 10));
	timers_run(&ts, 9);
	assert_int_equal(a.rung, 0);
	timers_run(&ts, 20);
	assert_int_equal(a.rung, 2);
	assert_int_equal(timers_next(&ts), 30);
	assert_true(timers_set(&ts, &a.t[1], 40)); /* moved, still the first */
	timers_run(&ts, 30);
	assert_int_equal(a.rung, 2);
	assert_false(timers_set(&ts, &a.t[1], VTIMER_OFF));
	timers_run(&ts, 100);
	assert_int_equal(a.rung, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overlaps_are_refused),
		cmocka_unit_test(each_range_reaches_its_device),
		cmocka_unit_test(wide_accesses_are_split),
		cmocka_unit_test(timers_run_in_order_and_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
