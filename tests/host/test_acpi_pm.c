// SOURCES: vmm/acpi_pm.c vmm/state.c vmm/timer.c
/* ACPI fixed hardware: PM timer, power button, general events, power-off, access widths. */
#include "tests/host/vmm_fake.h"
#include "vmm/acpi_pm.h"

struct set {
	struct fake f;
	struct acpi_pm a;
};

enum { STS = 0, EN = 2, CNT = 4, TMR = 8, SCI = 9 };

static void start(struct set *s)
{
	memset(s, 0, sizeof(*s));
	fake_init(&s->f);
	acpi_pm_init(&s->a, &s->f.plat);
}

static void timer_counts(void **state)
{
	struct set s;

	start(&s);
	assert_int_equal(fake_read(&s.a.dev, TMR, 4), 0);
	fake_pass(&s.f, NS_PER_S);
	assert_int_equal(fake_read(&s.a.dev, TMR, 4), 3579545);
	fake_pass(&s.f, 4 * NS_PER_S);
	assert_int_equal(fake_read(&s.a.dev, TMR, 4), 5 * 3579545 & 0xffffff);
	assert_int_equal(fake_read(&s.a.dev, TMR + 2, 2), (5 * 3579545 & 0xffffff) >> 16);
}

static void timer_carry_sets_status_and_interrupts(void **state)
{
	struct set s;

	start(&s);
	fake_pass(&s.f, 2343 * (NS_PER_S / 1000));
	assert_int_equal(fake_read(&s.a.dev, STS, 2), 0);
	fake_pass(&s.f, NS_PER_S / 1000);
	assert_int_equal(fake_read(&s.a.dev, STS, 2), 1);
	fake_write(&s.a.dev, STS, 2, 1);
	assert_int_equal(fake_read(&s.a.dev, STS, 2), 0);
	fake_write(&s.a.dev, EN, 2, 1);
	assert_false(s.f.level[SCI]);
	fake_pass(&s.f, 2344 * (NS_PER_S / 1000));
	assert_true(s.f.level[SCI]);
	fake_write(&s.a.dev, STS, 2, 1);
	assert_false(s.f.level[SCI]);
}

static void button_raises_the_sci_when_enabled(void **state)
{
	struct set s;

	start(&s);
	acpi_pm_button(&s.a);
	assert_false(s.f.level[SCI]);
	assert_int_equal(fake_read(&s.a.dev, STS, 2), 0x100);
	fake_write(&s.a.dev, EN, 2, 0x120);
	assert_true(s.f.level[SCI]);
	assert_int_equal(fake_read(&s.a.dev, STS, 4), 0x01200100);
	fake_write(&s.a.dev, STS + 1, 1, 1); /* by bytes */
	assert_false(s.f.level[SCI]);
	fake_write(&s.a.dev, EN + 1, 1, 0);
	assert_int_equal(fake_read(&s.a.dev, EN, 2), 0x20);
	fake_write(&s.a.dev, STS, 4, 0x01000100);
	assert_int_equal(fake_read(&s.a.dev, EN, 2), 0x100);
}

static void general_event_raises_the_sci_when_enabled(void **state)
{
	enum { GPE_STS = 0x20, GPE_EN = 0x28, CPUS = 4 };
	struct set s;

	start(&s);
	acpi_pm_gpe(&s.a, GPE_CPU_HOTPLUG);
	assert_int_equal(fake_read(&s.a.dev, GPE_STS, 1), CPUS);
	assert_false(s.f.level[SCI]);
	fake_write(&s.a.dev, GPE_EN, 1, 0xff);
	assert_int_equal(fake_read(&s.a.dev, GPE_EN, 1), CPUS); /* there are no others */
	assert_true(s.f.level[SCI]);
	fake_write(&s.a.dev, GPE_STS, 1, 0xff & ~CPUS);
	assert_true(s.f.level[SCI]);
	fake_write(&s.a.dev, GPE_STS, 1, CPUS);
	assert_false(s.f.level[SCI]);
	for (u32 offset = GPE_STS + 1; offset < GPE_STS + 16; offset++)
		if (offset != GPE_EN)
			assert_int_equal(fake_read(&s.a.dev, offset, 1), 0);
	acpi_pm_gpe(&s.a, GPE_CPU_HOTPLUG);
	assert_true(s.f.level[SCI]);
	fake_write(&s.a.dev, GPE_EN, 1, 0);
	assert_false(s.f.level[SCI]);
	acpi_pm_button(&s.a); /* one line for both: neither takes it from the other */
	fake_write(&s.a.dev, EN, 2, 0x100);
	fake_write(&s.a.dev, GPE_STS, 1, CPUS);
	assert_true(s.f.level[SCI]);
}

static void sleep_types(void **state)
{
	static const struct {
		u16 value;
		u32 ends;
	} rows[] = {{0x2000 | 5 << 10, 1},
		    {0x2000, 1},
		    {5 << 10, 0},
		    {0x2000 | 1 << 10, 0},
		    {0x2000 | 7 << 10, 0}};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		struct set s;

		start(&s);
		fake_write(&s.a.dev, CNT, 2, rows[i].value);
		assert_int_equal(s.f.ends, rows[i].ends);
		if (s.f.ends)
			assert_int_equal(s.f.reason, VM_REASON_POWEROFF);
		assert_int_equal(s.f.status, 0);
		assert_int_equal(fake_read(&s.a.dev, CNT, 2), (rows[i].value & 0x1c00) | 1);
	}
}

static void state_moves(void **state)
{
	struct set s, t;

	start(&s);
	start(&t);
	fake_write(&s.a.dev, EN, 2, 0x101);
	acpi_pm_button(&s.a);
	acpi_pm_gpe(&s.a, GPE_CPU_HOTPLUG);
	t.f.now = s.f.now;
	fake_check_state(&s.a.dev, &t.a.dev);
	assert_true(t.f.level[SCI]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timer_counts),
		cmocka_unit_test(timer_carry_sets_status_and_interrupts),
		cmocka_unit_test(button_raises_the_sci_when_enabled),
		cmocka_unit_test(general_event_raises_the_sci_when_enabled),
		cmocka_unit_test(sleep_types),
		cmocka_unit_test(state_moves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
