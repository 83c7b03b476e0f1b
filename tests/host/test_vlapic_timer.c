// SOURCES: kernel/vlapic.c kernel/vlapic_ipi.c kernel/vlapic_timer.c
// SOURCES: vmm/cpu_reset.c
/* The timer of the local APIC. Intel SDM 3, "APIC Timer". */
#include "fake_vlapic.h"

/* ---- Count ---- */

static void one_shot_counts_down_and_fires_once(void **state)
{
	struct vcpu *v = &vcpu[0];

	vlapic_mmio_write(v, APIC_LVT_TIMER, 0xec);
	vlapic_mmio_write(v, APIC_TIMER_DIVIDE, 0x3); /* by 16 */
	vlapic_mmio_write(v, APIC_TIMER_INIT, 1000);
	fake_pass(8000, 0);
	assert_int_equal(vlapic_mmio_read(v, APIC_TIMER_CURRENT), 500);
	assert_false(irr_has(v, 0xec));
	assert_int_equal(fake_pass(8000, 0), 1);
	assert_true(irr_has(v, 0xec));
	assert_int_equal(vlapic_mmio_read(v, APIC_TIMER_CURRENT), 0);
	assert_int_equal(fake_pass(1000000, 0), 0);
}

static void divider_table(void **state)
{
	static const struct {
		u32 reg, by;
	} rows[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};
	struct vcpu *v = &vcpu[0];

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		vlapic_mmio_write(v, APIC_TIMER_INIT, 0);
		vlapic_mmio_write(v, APIC_TIMER_DIVIDE, rows[i].reg);
		vlapic_mmio_write(v, APIC_TIMER_INIT, 100);
		assert_int_equal(fake_armed->deadline - fake_now, 100 * rows[i].by);
	}
}

static void periodic_keeps_its_phase_when_late(void **state)
{
	struct vcpu *v = &vcpu[0];
	u64 start = fake_now;

	vlapic_mmio_write(v, APIC_LVT_TIMER, APIC_LVT_TIMER_PERIODIC | 0x40);
	vlapic_mmio_write(v, APIC_TIMER_DIVIDE, 0xb);
	vlapic_mmio_write(v, APIC_TIMER_INIT, 1000000);
	assert_int_equal(fake_pass(10500000, 1000), 10);
	assert_int_equal((fake_armed->deadline - start) % 1000000, 0);
	/* 3.5 periods late: one interrupt, not four. */
	fake_now = fake_armed->deadline + 3500000;
	assert_int_equal(fake_pass(0, 3500000), 1);
	assert_int_equal(fake_armed->deadline - fake_now, 500000);
	assert_int_equal(vlapic_mmio_read(v, APIC_TIMER_CURRENT), 500000);
}

static void short_periods_are_stretched_to_the_floor(void **state)
{
	struct vcpu *v = &vcpu[0];

	vlapic_mmio_write(v, APIC_LVT_TIMER, APIC_LVT_TIMER_PERIODIC | 0x40);
	vlapic_mmio_write(v, APIC_TIMER_DIVIDE, 0xb);
	vlapic_mmio_write(v, APIC_TIMER_INIT, 1);
	assert_in_range(fake_pass(10 * VLAPIC_TIMER_FLOOR_NS, 0), 9, 11);
}

static void masked_timer_runs_in_silence(void **state)
{
	struct vcpu *v = &vcpu[0];

	vlapic_mmio_write(v, APIC_LVT_TIMER, APIC_LVT_MASKED | 0x40);
	vlapic_mmio_write(v, APIC_TIMER_INIT, 100);
	assert_int_equal(fake_pass(1000, 0), 1);
	assert_false(irr_has(v, 0x40));
}

/* ---- TSC deadline: the TSC counts the fake's nanoseconds, and the guest's starts at -500 ---- */

static struct vcpu *deadline_vcpu(void)
{
	struct vcpu *v = &vcpu[0];

	v->tsc_offset = (u64)-500;
	vlapic_mmio_write(v, APIC_LVT_TIMER, APIC_LVT_TIMER_DEADLINE | 0x40);
	return v;
}

static void a_deadline_fires_once_when_the_guests_tsc_gets_there(void **state)
{
	struct vcpu *v = deadline_vcpu();

	vlapic_timer_write_deadline(v, fake_now - 500 + 3000);
	assert_int_equal(fake_pass(2999, 0), 0);
	assert_int_equal(v->lapic.tsc_deadline, fake_now - 500 + 1);
	assert_int_equal(fake_pass(1, 0), 1);
	assert_true(irr_has(v, 0x40));
	assert_int_equal(v->lapic.tsc_deadline, 0);
	assert_int_equal(fake_pass(1000000, 0), 0);
}

static void a_deadline_in_the_past_fires_at_once_and_none_never(void **state)
{
	struct vcpu *v = deadline_vcpu();

	vlapic_timer_write_deadline(v, 0);
	assert_null(fake_armed);
	assert_false(irr_has(v, 0x40));
	vlapic_timer_write_deadline(v, 1);
	assert_null(fake_armed);
	assert_true(irr_has(v, 0x40));
	vlapic_timer_write_deadline(v, ~0ull);
	assert_non_null(fake_armed);
	vlapic_timer_write_deadline(v, 0);
	assert_null(fake_armed);
}

/* The kernel's timer may be early: for a deadline that is far off, or when the TSC was written. */
static void a_deadline_is_looked_at_again_when_the_timer_was_early(void **state)
{
	struct vcpu *v = deadline_vcpu();

	vlapic_timer_write_deadline(v, fake_now - 500 + 3000);
	v->tsc_offset -= 2000;
	fake_pass(3000, 0);
	assert_false(irr_has(v, 0x40));
	assert_non_null(fake_armed);
	fake_pass(2000, 0);
	assert_true(irr_has(v, 0x40));
}

/* It fires on the CPU where its vCPU is: else others would pay for it. */
static void the_timer_follows_its_vcpu(void **state)
{
	struct vcpu *v = deadline_vcpu();
	struct timer *t = &v->lapic.timer;
	u64 deadline;

	vlapic_timer_write_deadline(v, fake_now - 500 + 3000);
	deadline = t->deadline;
	t->cpu = 1;
	vlapic_timer_follow(v);
	assert_int_equal(t->cpu, 0);
	assert_int_equal(t->deadline, deadline);
	vlapic_mmio_write(v, APIC_LVT_TIMER, 0x40 | APIC_LVT_TIMER_PERIODIC);
	vlapic_mmio_write(v, APIC_TIMER_INIT, 1000000);
	deadline = t->deadline;
	fake_now += 1000;
	t->cpu = 1;
	vlapic_timer_follow(v);
	assert_int_equal(t->cpu, 0);
	assert_int_equal(t->deadline, deadline);
}

static void a_change_of_mode_disarms_the_timer(void **state)
{
	struct vcpu *v = deadline_vcpu();

	vlapic_timer_write_deadline(v, ~0ull);
	vlapic_mmio_write(v, APIC_TIMER_INIT, 1000);
	assert_int_equal(vlapic_mmio_read(v, APIC_TIMER_INIT), 0);
	assert_int_equal(vlapic_mmio_read(v, APIC_TIMER_CURRENT), 0);
	assert_non_null(fake_armed);
	vlapic_mmio_write(v, APIC_LVT_TIMER, 0x40);
	assert_null(fake_armed);
	assert_int_equal(v->lapic.tsc_deadline, 0);
	vlapic_timer_write_deadline(v, 1); /* not its mode: ignored */
	assert_int_equal(v->lapic.tsc_deadline, 0);
	vlapic_mmio_write(v, APIC_TIMER_INIT, 1000);
	vlapic_mmio_write(v, APIC_LVT_TIMER, APIC_LVT_TIMER_DEADLINE | 0x40);
	assert_null(fake_armed);
	assert_int_equal(vlapic_mmio_read(v, APIC_TIMER_INIT), 0);
}

static void a_deadline_moves_with_the_state(void **state)
{
	static struct vcpu_state s;
	struct vcpu *v = deadline_vcpu();
	u64 deadline = fake_now - 500 + 3000;

	vlapic_timer_write_deadline(v, deadline);
	vlapic_get_state(v, &s);
	fake_apic_reset(v, false);
	assert_null(fake_armed);
	vlapic_set_state(v, &s);
	vlapic_timer_set(v, 0, deadline);
	assert_int_equal(fake_armed->deadline, fake_now + 3000);
	fake_pass(3000, 0);
	assert_true(irr_has(v, 0x40));
}

/* ---- Timers that stand for a while, as the monitor's pause has it ---- */

static void a_deadline_waits_for_a_tsc_that_was_held_back(void **state)
{
	struct vcpu *v = deadline_vcpu();

	vlapic_timer_write_deadline(v, fake_now - 500 + 3000);
	fake_pass(1000, 0);
	vlapic_timer_stop(v);
	assert_int_equal(fake_pass(10000, 0), 0);
	v->tsc_offset -= 10000;
	vlapic_timer_set(v, 0, v->lapic.tsc_deadline);
	assert_int_equal(fake_pass(1999, 0), 0);
	assert_int_equal(fake_pass(1, 0), 1);
	assert_true(irr_has(v, 0x40));
}

static void a_count_goes_on_where_it_stood(void **state)
{
	struct vcpu *v = &vcpu[0];

	vlapic_mmio_write(v, APIC_LVT_TIMER, APIC_LVT_TIMER_PERIODIC | 0x40);
	vlapic_mmio_write(v, APIC_TIMER_DIVIDE, 0xb);
	vlapic_mmio_write(v, APIC_TIMER_INIT, 1000000);
	assert_int_equal(fake_pass(2300000, 0), 2);
	vlapic_timer_stop(v);
	assert_int_equal(fake_pass(55500000, 0), 0);
	vlapic_timer_set(v, v->lapic.timer_deadline + 55500000, 0);
	assert_int_equal(vlapic_mmio_read(v, APIC_TIMER_CURRENT), 700000);
	assert_int_equal(fake_pass(699999, 0), 0);
	assert_int_equal(fake_pass(1, 0), 1); /* none of those that it stood through */
	assert_int_equal(fake_pass(1000000, 0), 1);
}

static void a_count_that_has_ended_stays_so(void **state)
{
	static struct vcpu_state s;
	struct vcpu *v = &vcpu[0];

	vlapic_mmio_write(v, APIC_LVT_TIMER, 0x40);
	vlapic_mmio_write(v, APIC_TIMER_DIVIDE, 0xb);
	vlapic_mmio_write(v, APIC_TIMER_INIT, 1000);
	assert_int_equal(fake_pass(1000, 0), 1);
	assert_int_equal(v->lapic.timer_deadline, 0);
	vlapic_get_state(v, &s);
	vlapic_set_state(v, &s);
	vlapic_timer_set(v, 0, 0);
	assert_int_equal(vlapic_mmio_read(v, APIC_TIMER_CURRENT), 0);
	assert_int_equal(fake_pass(1000000, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_deadline_fires_once_when_the_guests_tsc_gets_there, setup, teardown),
		cmocka_unit_test_setup_teardown(a_deadline_in_the_past_fires_at_once_and_none_never,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_deadline_is_looked_at_again_when_the_timer_was_early, setup, teardown),
		cmocka_unit_test_setup_teardown(the_timer_follows_its_vcpu, setup, teardown),
		cmocka_unit_test_setup_teardown(a_change_of_mode_disarms_the_timer, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_deadline_moves_with_the_state, setup, teardown),
		cmocka_unit_test_setup_teardown(a_deadline_waits_for_a_tsc_that_was_held_back,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_count_goes_on_where_it_stood, setup, teardown),
		cmocka_unit_test_setup_teardown(a_count_that_has_ended_stays_so, setup, teardown),
		cmocka_unit_test_setup_teardown(one_shot_counts_down_and_fires_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(divider_table, setup, teardown),
		cmocka_unit_test_setup_teardown(periodic_keeps_its_phase_when_late, setup,
						teardown),
		cmocka_unit_test_setup_teardown(short_periods_are_stretched_to_the_floor, setup,
						teardown),
		cmocka_unit_test_setup_teardown(masked_timer_runs_in_silence, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
