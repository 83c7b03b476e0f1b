// SOURCES: kernel/vlapic.c kernel/vlapic_ipi.c kernel/vlapic_timer.c
/* The local APIC: registers, priorities, routing, timer. Intel SDM 3, chapter "APIC". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_vcpu.h"

static struct vm vm;
static struct vcpu vcpu[20];

static void x2apic_on(struct vcpu *v)
{
	assert_true(vlapic_base_write(v, v->apic_base | APIC_BASE_X2APIC));
}

/* n vCPUs after reset, software-enabled. */
static int setup_n(u32 n, bool x2)
{
	memset(&vm, 0, sizeof(vm));
	memset(vcpu, 0, sizeof(vcpu));
	fake_now = 1000;
	fake_armed = NULL;
	fake_kicks = 0;
	for (u32 i = 0; i < n; i++) {
		struct vcpu *v = &vcpu[i];

		v->vm = &vm;
		v->index = i;
		v->lapic.page = fake_apic_page(i);
		vm.vcpu[i] = v;
		vlapic_reset(v, false);
		vlapic_mmio_write(v, APIC_SVR, 0x1ff);
		if (x2)
			x2apic_on(v);
	}
	return 0;
}

static int setup(void **state) { return setup_n(1, false); }
static int setup_x2(void **state) { return setup_n(20, true); }
static int setup_xapic(void **state) { return setup_n(4, false); }

static int teardown(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(vcpu); i++)
		vlapic_timer_stop(&vcpu[i]);
	return 0;
}

static bool irr_has(struct vcpu *v, u8 n)
{
	vlapic_sync(v);
	return *vlapic_word(&v->lapic, APIC_IRR, n) >> n % 32 & 1;
}

static void what_arrives_kicks_its_vcpu(void **state)
{
	struct vcpu *v = &vcpu[0];

	v->kick = 0;
	vlapic_post(v, 0x41, true);
	assert_int_equal(v->kick, KICK_IRQ);
	v->kick = 0;
	vlapic_post(v, 0x41, false);
	assert_int_equal(v->kick, KICK_POSTED);
	v->kick = 0;
	vlapic_nmi(v);
	assert_int_equal(v->kick, KICK_IRQ);
	assert_int_equal(fake_kicks, 3);
}

static void take(struct vcpu *v, u8 n)
{
	assert_int_equal(vlapic_pending(v), n);
	vlapic_taken(v, n);
}

/* ---- Registers ---- */

static void reset_state(void **state)
{
	struct vcpu *v = &vcpu[0];

	vlapic_reset(v, false);
	assert_int_equal(vlapic_mmio_read(v, APIC_VERSION), VLAPIC_VERSION);
	assert_int_equal(vlapic_mmio_read(v, APIC_SVR), 0xff);
	assert_int_equal(vlapic_mmio_read(v, APIC_DFR), 0xffffffff);
	assert_int_equal(vlapic_mmio_read(v, APIC_LVT_TIMER), APIC_LVT_MASKED);
	assert_int_equal(vlapic_mmio_read(v, APIC_LVT_LINT0), APIC_DM_EXTINT << 8);
	assert_int_equal(v->apic_base, APIC_DEFAULT_BASE | APIC_BASE_ENABLE | APIC_BASE_BSP);
}

static void x2apic_rejects_what_the_manual_reserves(void **state)
{
	static const struct {
		u32 reg;
		u64 value;
		bool ok;
	} writes[] = {
		{APIC_ID, 0, false},	       {APIC_VERSION, 0, false},
		{APIC_TPR, 0xff, true},	       {APIC_TPR, 0x100, false},
		{APIC_EOI, 0, true},	       {APIC_EOI, 1, false},
		{APIC_LDR, 0, false},	       {APIC_DFR, 0, false},
		{APIC_ESR, 0, true},	       {APIC_ESR, 1, false},
		{APIC_ICR_HIGH, 0, false},     {APIC_TIMER_DIVIDE, 0xb, true},
		{APIC_TIMER_DIVIDE, 4, false}, {APIC_LVT_TIMER, 1u << 18 /* TSC deadline */, false},
		{APIC_LVT_CMCI, 0, false},     {APIC_TIMER_CURRENT, 0, false},
		{APIC_SELF_IPI, 0x40, true},   {0x400, 0, false},
	};
	u64 value;

	for (u32 i = 0; i < ARRAY_SIZE(writes); i++)
		assert_int_equal(
			vlapic_msr_write(&vcpu[0], 0x800 + writes[i].reg / 16, writes[i].value),
			writes[i].ok);
	assert_false(vlapic_msr_read(&vcpu[0], 0x800 + APIC_EOI / 16, &value));
	assert_false(vlapic_msr_read(&vcpu[0], 0x8ff, &value));
	assert_true(vlapic_msr_read(&vcpu[17], 0x800 + APIC_ID / 16, &value));
	assert_int_equal(value, 17);
	assert_true(vlapic_msr_read(&vcpu[17], 0x800 + APIC_LDR / 16, &value));
	assert_int_equal(value, 1 << 16 | 1 << 1);
}

static void x2apic_msrs_fault_in_xapic_mode(void **state)
{
	u64 value;

	assert_false(vlapic_msr_read(&vcpu[0], 0x802, &value));
	assert_false(vlapic_msr_write(&vcpu[0], 0x80b, 0));
}

static void mode_transitions(void **state)
{
	struct vcpu *v = &vcpu[0];
	u64 base = APIC_DEFAULT_BASE, en = APIC_BASE_ENABLE, x2 = APIC_BASE_X2APIC;

	assert_false(vlapic_base_write(v, base | x2));
	assert_true(vlapic_base_write(v, base | en | x2));
	assert_false(vlapic_base_write(v, base | en));
	assert_true(vlapic_base_write(v, base));
	assert_int_equal(*vlapic_reg(v, APIC_SVR), 0xff);
	assert_false(vlapic_base_write(v, base | en | x2));
	assert_true(vlapic_base_write(v, base | en));
	assert_false(vlapic_base_write(v, 1ull << 41 | en));
	assert_true(v->apic_base & APIC_BASE_BSP);
}

static void illegal_register_sets_the_error_bit(void **state)
{
	struct vcpu *v = &vcpu[0];

	vlapic_mmio_write(v, APIC_LVT_ERROR, 0x45);
	assert_int_equal(vlapic_mmio_read(v, 0x010), 0);
	assert_int_equal(vlapic_mmio_read(v, APIC_ESR), 0);
	vlapic_mmio_write(v, APIC_ESR, 0);
	assert_int_equal(vlapic_mmio_read(v, APIC_ESR), ESR_ILLEGAL_REGISTER);
	assert_true(irr_has(v, 0x45));
	vlapic_mmio_write(v, APIC_ESR, 0);
	assert_int_equal(vlapic_mmio_read(v, APIC_ESR), 0);
}

static void software_disable_masks_the_lvt(void **state)
{
	struct vcpu *v = &vcpu[0];

	vlapic_mmio_write(v, APIC_LVT_TIMER, 0x40);
	vlapic_mmio_write(v, APIC_SVR, 0xff);
	assert_int_equal(vlapic_mmio_read(v, APIC_LVT_TIMER), APIC_LVT_MASKED | 0x40);
	vlapic_mmio_write(v, APIC_LVT_TIMER, 0x41);
	assert_int_equal(vlapic_mmio_read(v, APIC_LVT_TIMER), APIC_LVT_MASKED | 0x41);
	assert_int_equal(vlapic_msi(&vm, MSI_ADDR_BASE, 0x50), 0);
}

/* ---- Priorities ---- */

static void higher_class_preempts_equal_does_not(void **state)
{
	struct vcpu *v = &vcpu[0];

	vlapic_post(v, 0x41, false);
	vlapic_sync(v);
	take(v, 0x41);
	vlapic_post(v, 0x4f, false);
	vlapic_sync(v);
	assert_int_equal(vlapic_pending(v), 0);
	vlapic_post(v, 0x52, false);
	vlapic_sync(v);
	take(v, 0x52);
	assert_int_equal(vlapic_mmio_read(v, APIC_PPR), 0x50);
	vlapic_mmio_write(v, APIC_EOI, 0);
	assert_int_equal(vlapic_pending(v), 0);
	vlapic_mmio_write(v, APIC_EOI, 0);
	take(v, 0x4f);
}

static void tpr_blocks_delivery_not_the_offer(void **state)
{
	struct vcpu *v = &vcpu[0];

	vlapic_mmio_write(v, APIC_TPR, 0x45);
	assert_int_equal(vlapic_cr8(&v->lapic), 4);
	vlapic_post(v, 0x4f, false);
	vlapic_sync(v);
	assert_int_equal(vlapic_pending(v), 0x4f);
	assert_false(vlapic_deliverable(v));
	assert_int_equal(vlapic_mmio_read(v, APIC_PPR), 0x45);
	vlapic_cr8_set(&v->lapic, 3);
	assert_true(vlapic_deliverable(v));
	assert_int_equal(vlapic_mmio_read(v, APIC_TPR), 0x30);
}

static void level_eoi_is_told_edge_is_not(void **state)
{
	struct vcpu *v = &vcpu[0];

	vlapic_msi(&vm, MSI_ADDR_BASE, MSI_DATA_LEVEL | 1u << 14 | 0x61);
	vlapic_sync(v);
	take(v, 0x61);
	vlapic_mmio_write(v, APIC_EOI, 0);
	assert_int_equal(v->lapic.eoi_exit, 0x161);
	v->lapic.eoi_exit = 0;
	vlapic_msi(&vm, MSI_ADDR_BASE, 0x61);
	vlapic_sync(v);
	take(v, 0x61);
	vlapic_mmio_write(v, APIC_EOI, 0);
	assert_int_equal(v->lapic.eoi_exit, 0);
	vlapic_mmio_write(v, APIC_EOI, 0); /* nothing in service */
	assert_int_equal(v->lapic.eoi_exit, 0);
}

/* ---- Routing ---- */

static void ipi(struct vcpu *v, u32 low, u32 dest)
{
	assert_true(vlapic_msr_write(v, 0x830, (u64)dest << 32 | low));
}

static u64 who_has(u8 vector)
{
	u64 mask = 0;

	for (u32 i = 0; i < 20 && vm.vcpu[i]; i++)
		if (irr_has(&vcpu[i], vector))
			mask |= BIT(i);
	return mask;
}

static void x2apic_destinations(void **state)
{
	ipi(&vcpu[0], 0x31, 3);
	assert_int_equal(who_has(0x31), BIT(3));
	ipi(&vcpu[0], 0x32, 0xffffffff);
	assert_int_equal(who_has(0x32), BIT(20) - 1);
	ipi(&vcpu[0], 0x33, 0xff); /* not a broadcast in x2APIC mode */
	assert_int_equal(who_has(0x33), 0);
	ipi(&vcpu[0], APIC_ICR_LOGICAL | 0x34, 1 << 16 | 0x6); /* cluster 1: 17 and 18 */
	assert_int_equal(who_has(0x34), BIT(17) | BIT(18));
	ipi(&vcpu[5], VLAPIC_OTHERS << 18 | 0x35, 0);
	assert_int_equal(who_has(0x35), (BIT(20) - 1) & ~BIT(5));
	ipi(&vcpu[5], VLAPIC_ALL << 18 | 0x36, 0);
	assert_int_equal(who_has(0x36), BIT(20) - 1);
}

static void self_ipi_needs_no_kick(void **state)
{
	fake_kicks = 0;
	assert_true(vlapic_msr_write(&vcpu[2], 0x83f, 0x77));
	ipi(&vcpu[2], VLAPIC_SELF << 18 | 0x78, 0);
	ipi(&vcpu[2], 0x79, 2);
	assert_int_equal(fake_kicks, 0);
	assert_int_equal(who_has(0x77) & who_has(0x78) & who_has(0x79), BIT(2));
	assert_int_equal(vlapic_pending(&vcpu[2]), 0x79);
}

static void illegal_vector_is_not_sent(void **state)
{
	u64 esr;

	ipi(&vcpu[0], 0x0f, 1);
	assert_int_equal(who_has(0x0f), 0);
	assert_true(vlapic_msr_write(&vcpu[0], 0x828, 0));
	assert_true(vlapic_msr_read(&vcpu[0], 0x828, &esr));
	assert_int_equal(esr, ESR_SEND_ILLEGAL);
}

static void xapic_logical_flat_and_cluster(void **state)
{
	for (u32 i = 0; i < 4; i++)
		vlapic_mmio_write(&vcpu[i], APIC_LDR, 1u << (24 + i));
	vlapic_msi(&vm, MSI_ADDR_BASE | 0x0au << 12 | MSI_ADDR_LOGICAL, 0x41);
	assert_int_equal(who_has(0x41), BIT(1) | BIT(3));
	for (u32 i = 0; i < 4; i++) {
		vlapic_mmio_write(&vcpu[i], APIC_DFR, 0);
		vlapic_mmio_write(&vcpu[i], APIC_LDR, (i / 2) << 28 | 1u << (24 + i % 2));
	}
	vlapic_msi(&vm, MSI_ADDR_BASE | 0x13u << 12 | MSI_ADDR_LOGICAL, 0x42);
	assert_int_equal(who_has(0x42), BIT(2) | BIT(3));
	vlapic_msi(&vm, MSI_ADDR_BASE | 0xffu << 12, 0x43);
	assert_int_equal(who_has(0x43), 15);
	vlapic_mmio_write(&vcpu[1], APIC_ICR_HIGH, 2u << 24);
	vlapic_mmio_write(&vcpu[1], APIC_ICR, 0x44);
	assert_int_equal(who_has(0x44), BIT(2));
}

static void lowest_priority_takes_the_least_busy(void **state)
{
	for (u32 i = 0; i < 4; i++) {
		vlapic_mmio_write(&vcpu[i], APIC_LDR, 1u << (24 + i));
		vlapic_mmio_write(&vcpu[i], APIC_TPR, i == 2 ? 0x10 : 0x20);
	}
	vlapic_msi(&vm, MSI_ADDR_BASE | 0x0fu << 12 | MSI_ADDR_LOGICAL, APIC_DM_LOWEST << 8 | 0x91);
	assert_int_equal(who_has(0x91), BIT(2));
}

static void nmi_init_sipi_extint(void **state)
{
	vlapic_mmio_write(&vcpu[0], APIC_ICR_HIGH, 1u << 24);
	vlapic_mmio_write(&vcpu[0], APIC_ICR, APIC_DM_INIT << 8 | APIC_ICR_LEVEL | APIC_ICR_ASSERT);
	assert_int_equal(vcpu[1].lapic.init, 1);
	vcpu[1].lapic.init = 0;
	vlapic_mmio_write(&vcpu[0], APIC_ICR, APIC_DM_INIT << 8 | APIC_ICR_LEVEL);
	assert_int_equal(vcpu[1].lapic.init, 0);
	vlapic_mmio_write(&vcpu[0], APIC_ICR, APIC_DM_STARTUP << 8 | 0x9a);
	assert_int_equal(vcpu[1].lapic.sipi_vector, 0x19a);
	assert_true(vcpu[1].kick & KICK_RESET);
	vlapic_msi(&vm, MSI_ADDR_BASE | 3u << 12, APIC_DM_NMI << 8);
	assert_true(vcpu[3].nmi_pending);
	vlapic_msi(&vm, MSI_ADDR_BASE, APIC_DM_EXTINT << 8);
	assert_true(vlapic_extint_pending(&vcpu[0]));
	vlapic_mmio_write(&vcpu[0], APIC_LVT_LINT0, APIC_LVT_MASKED | APIC_DM_EXTINT << 8);
	assert_false(vlapic_extint_pending(&vcpu[0]));
}

/* ---- Timer ---- */

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

/* ---- State ---- */

static void state_survives_a_round_trip(void **state)
{
	static struct vcpu_state s, again;
	struct vcpu *v = &vcpu[0];

	memset(&s, 0, sizeof(s));
	memset(&again, 0, sizeof(again));
	vlapic_mmio_write(v, APIC_TPR, 0x20);
	vlapic_mmio_write(v, APIC_LDR, 0x01000000);
	vlapic_mmio_write(v, APIC_LVT_LINT1, APIC_DM_NMI << 8);
	vlapic_mmio_write(v, APIC_TIMER_INIT, 5000);
	vlapic_post(v, 0x55, true);
	vlapic_sync(v);
	take(v, 0x55);
	vlapic_post(v, 0x66, false);
	vlapic_get_state(v, &s);
	vlapic_reset(v, false);
	assert_true(vlapic_state_valid(&s));
	vlapic_set_state(v, &s);
	vlapic_get_state(v, &again);
	assert_memory_equal(&s.apic, &again.apic, sizeof(s.apic));
	assert_int_equal(vlapic_pending(v), 0x66);
	s.apic.base = APIC_BASE_X2APIC;
	assert_false(vlapic_state_valid(&s));
}

/* ---- What the CPU does in the page ---- */

/*
 * In xAPIC mode the CPU only stores it: the same must come of it as of a write that it left to us.
 */
static void what_the_cpu_stored_has_the_effect_of_a_write(void **state)
{
	static const u16 regs[] = {APIC_LDR,	     APIC_DFR,		APIC_ESR,
				   APIC_LVT_CMCI,    APIC_ICR,		APIC_ICR_HIGH,
				   APIC_LVT_PMC,     APIC_LVT_LINT0,	APIC_LVT_LINT1,
				   APIC_LVT_THERMAL, APIC_LVT_TIMER,	APIC_LVT_ERROR,
				   APIC_TIMER_INIT,  APIC_TIMER_DIVIDE, APIC_SVR};
	static const u32 values[] = {~0u, 0, 0x000c4055, 0x12345678};
	struct vcpu *stored = &vcpu[0], *written = &vcpu[1];

	for (u32 i = 0; i < ARRAY_SIZE(regs) * ARRAY_SIZE(values); i++) {
		u32 reg = regs[i / ARRAY_SIZE(values)], value = values[i % ARRAY_SIZE(values)];

		setup_n(2, false);
		*vlapic_reg(stored, APIC_LVT_LINT0) = APIC_LVT_MASKED;
		*vlapic_reg(stored, reg) = value;
		vlapic_written(stored, reg);
		vlapic_mmio_write(written, reg, value);
		*vlapic_reg(written, APIC_ID) = *vlapic_reg(stored, APIC_ID);
		for (u32 r = 0; r < VLAPIC_REGS; r++)
			if (*vlapic_reg(stored, r << 4) != *vlapic_reg(written, r << 4))
				fail_msg("%#x to register %#x: expected %#x at %#x, got %#x", value,
					 reg, *vlapic_reg(written, r << 4), r << 4,
					 *vlapic_reg(stored, r << 4));
		assert_int_equal(stored->lapic.esr_pending, written->lapic.esr_pending);
		assert_int_equal(stored->lapic.timer_shift, written->lapic.timer_shift);
	}
}

static void an_id_that_the_cpu_let_the_guest_write_is_the_old_one(void **state)
{
	struct vcpu *v = &vcpu[3];

	*vlapic_reg(v, APIC_ID) = 0x77000000;
	vlapic_written(v, APIC_ID);
	assert_int_equal(vlapic_mmio_read(v, APIC_ID), 3u << 24);
}

static void a_stored_divider_and_count_move_the_running_timer(void **state)
{
	struct vcpu *v = &vcpu[0];

	vlapic_mmio_write(v, APIC_TIMER_DIVIDE, 0xb);
	vlapic_mmio_write(v, APIC_TIMER_INIT, 1000);
	*vlapic_reg(v, APIC_TIMER_DIVIDE) = 0;
	vlapic_written(v, APIC_TIMER_DIVIDE);
	assert_int_equal(v->lapic.timer_deadline, fake_now + 2000);
	*vlapic_reg(v, APIC_TIMER_INIT) = 0;
	vlapic_written(v, APIC_TIMER_INIT);
	assert_null(fake_armed);
}

/* x2APIC mode: the CPU refuses a vector below 16 to nobody but us. */
static void a_self_ipi_with_a_low_vector_is_an_error(void **state)
{
	struct vcpu *v = &vcpu[2];

	*vlapic_reg(v, APIC_SELF_IPI) = 5;
	vlapic_written(v, APIC_SELF_IPI);
	assert_int_equal(v->lapic.esr_pending, ESR_SEND_ILLEGAL);
}

static void a_cpu_that_delivers_by_itself_is_told_of_what_waits_behind_its_service(void **state)
{
	struct vcpu *v = &vcpu[0];

	v->lapic.by_cpu = true;
	vlapic_set_bit(&v->lapic, APIC_ISR, 0x81, true);
	vlapic_post(v, 0x42, false);
	vlapic_sync(v);
	assert_int_equal(vlapic_pending(v), 0x42);
	assert_false(vlapic_deliverable(v));
	vlapic_mmio_write(v, APIC_SVR, 0xff);
	assert_int_equal(vlapic_pending(v), 0);
}

/* The CPU takes `edge` and clears bit 0 while the guest runs: a level-triggered one is not lost. */
static void the_descriptor_has_the_layout_of_the_manual(void **state)
{
	struct vcpu *v = &vcpu[0];
	u8 *descriptor = (u8 *)&v->lapic.posted;

	v->kick = 0;
	assert_int_equal((u64)descriptor % 64, 0);
	vlapic_post(v, 0x93, false);
	assert_int_equal(descriptor[0x93 / 8], 1 << 3);
	assert_int_equal(descriptor[32], 1);
	assert_int_equal(v->kick, KICK_POSTED);
	vlapic_post(v, 0x61, true);
	assert_int_equal(v->kick, KICK_POSTED | KICK_IRQ);
	descriptor[0x93 / 8] = descriptor[32] = 0;
	vlapic_sync(v);
	assert_int_equal(vlapic_pending(v), 0x61);
	assert_int_equal(*vlapic_word(&v->lapic, APIC_TMR, 0x61), 1u << 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reset_state, setup, teardown),
		cmocka_unit_test_setup_teardown(x2apic_rejects_what_the_manual_reserves, setup_x2,
						teardown),
		cmocka_unit_test_setup_teardown(x2apic_msrs_fault_in_xapic_mode, setup, teardown),
		cmocka_unit_test_setup_teardown(what_arrives_kicks_its_vcpu, setup, teardown),
		cmocka_unit_test_setup_teardown(mode_transitions, setup, teardown),
		cmocka_unit_test_setup_teardown(illegal_register_sets_the_error_bit, setup,
						teardown),
		cmocka_unit_test_setup_teardown(software_disable_masks_the_lvt, setup, teardown),
		cmocka_unit_test_setup_teardown(higher_class_preempts_equal_does_not, setup,
						teardown),
		cmocka_unit_test_setup_teardown(tpr_blocks_delivery_not_the_offer, setup, teardown),
		cmocka_unit_test_setup_teardown(level_eoi_is_told_edge_is_not, setup, teardown),
		cmocka_unit_test_setup_teardown(x2apic_destinations, setup_x2, teardown),
		cmocka_unit_test_setup_teardown(self_ipi_needs_no_kick, setup_x2, teardown),
		cmocka_unit_test_setup_teardown(illegal_vector_is_not_sent, setup_x2, teardown),
		cmocka_unit_test_setup_teardown(xapic_logical_flat_and_cluster, setup_xapic,
						teardown),
		cmocka_unit_test_setup_teardown(lowest_priority_takes_the_least_busy, setup_xapic,
						teardown),
		cmocka_unit_test_setup_teardown(nmi_init_sipi_extint, setup_xapic, teardown),
		cmocka_unit_test_setup_teardown(one_shot_counts_down_and_fires_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(divider_table, setup, teardown),
		cmocka_unit_test_setup_teardown(periodic_keeps_its_phase_when_late, setup,
						teardown),
		cmocka_unit_test_setup_teardown(short_periods_are_stretched_to_the_floor, setup,
						teardown),
		cmocka_unit_test_setup_teardown(masked_timer_runs_in_silence, setup, teardown),
		cmocka_unit_test_setup_teardown(state_survives_a_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_cpu_stored_has_the_effect_of_a_write,
						setup_xapic, teardown),
		cmocka_unit_test_setup_teardown(
			an_id_that_the_cpu_let_the_guest_write_is_the_old_one, setup_xapic,
			teardown),
		cmocka_unit_test_setup_teardown(a_stored_divider_and_count_move_the_running_timer,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_self_ipi_with_a_low_vector_is_an_error, setup_x2,
						teardown),
		cmocka_unit_test_setup_teardown(
			a_cpu_that_delivers_by_itself_is_told_of_what_waits_behind_its_service,
			setup, teardown),
		cmocka_unit_test_setup_teardown(the_descriptor_has_the_layout_of_the_manual, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
