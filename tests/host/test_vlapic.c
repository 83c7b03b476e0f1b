// SOURCES: kernel/vlapic.c kernel/vlapic_ipi.c kernel/vlapic_timer.c
// SOURCES: vmm/cpu_reset.c
// LIBS: -lpthread
/* The local APIC: registers, priorities. Intel SDM 3, chapter "APIC". */
#include "fake_vlapic.h"

#include <pthread.h>

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

	fake_apic_reset(v, false);
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
		{APIC_TIMER_DIVIDE, 4, false}, {APIC_LVT_TIMER, 1u << 19, false},
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

static void the_mode_says_how_the_id_is_read(void **state)
{
	struct vcpu *v = &vcpu[0];
	u64 base = APIC_DEFAULT_BASE, en = APIC_BASE_ENABLE, x2 = APIC_BASE_X2APIC;

	fake_set_base(v, base | en | x2);
	assert_int_equal(*vlapic_reg(v, APIC_ID), v->index);
	fake_set_base(v, base | en);
	assert_int_equal(*vlapic_reg(v, APIC_ID), v->index << 24);
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
	vlapic_msi(&vm, MSI_ADDR_BASE, 0x50);
	assert_false(irr_has(v, 0x50));
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

static void a_directed_eoi_is_the_guests_to_tell(void **state)
{
	struct vcpu *v = &vcpu[0];

	assert_true(vlapic_mmio_read(v, APIC_VERSION) & 1u << 24);
	vlapic_mmio_write(v, APIC_SVR, 0x1ff | APIC_SVR_NO_BROADCAST);
	vlapic_post(v, 0x61, true);
	vlapic_sync(v);
	take(v, 0x61);
	vlapic_mmio_write(v, APIC_EOI, 0);
	assert_int_equal(v->lapic.eoi_exit, 0);
	assert_int_equal(vlapic_mmio_read(v, APIC_ISR + 0x30), 0);
	vlapic_eoi_broadcast(v, 0x61); /* the CPU saw the EOI */
	assert_int_equal(v->lapic.eoi_exit, 0);
	vlapic_mmio_write(v, APIC_SVR, 0x1ff);
	vlapic_eoi_broadcast(v, 0x61);
	assert_int_equal(v->lapic.eoi_exit, 0x161);
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
	fake_apic_reset(v, false);
	vlapic_set_state(v, &s);
	vlapic_get_state(v, &again);
	assert_memory_equal(&s.apic, &again.apic, sizeof(s.apic));
	assert_int_equal(vlapic_pending(v), 0x66);
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

static u32 looking;

/* What others see of the logical ID; returns how often it was another. */
static void *look(void *arg)
{
	u32 *ldr = vlapic_reg(&vcpu[3], APIC_LDR);
	uintptr_t wrong = 0;

	while (__atomic_load_n(&looking, __ATOMIC_ACQUIRE))
		wrong += __atomic_load_n(ldr, __ATOMIC_RELAXED) != 1u << 3;
	return (void *)wrong;
}

static void a_set_state_never_hides_the_logical_id(void **state)
{
	static struct vcpu_state s;
	pthread_t other;
	void *wrong;

	vlapic_get_state(&vcpu[3], &s);
	looking = 1;
	assert_int_equal(pthread_create(&other, NULL, look, NULL), 0);
	for (u32 i = 0; i < 200000; i++)
		vlapic_set_state(&vcpu[3], &s);
	__atomic_store_n(&looking, 0, __ATOMIC_RELEASE);
	pthread_join(other, &wrong);
	assert_null(wrong);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reset_state, setup, teardown),
		cmocka_unit_test_setup_teardown(x2apic_rejects_what_the_manual_reserves, setup_x2,
						teardown),
		cmocka_unit_test_setup_teardown(x2apic_msrs_fault_in_xapic_mode, setup, teardown),
		cmocka_unit_test_setup_teardown(what_arrives_kicks_its_vcpu, setup, teardown),
		cmocka_unit_test_setup_teardown(the_mode_says_how_the_id_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(illegal_register_sets_the_error_bit, setup,
						teardown),
		cmocka_unit_test_setup_teardown(software_disable_masks_the_lvt, setup, teardown),
		cmocka_unit_test_setup_teardown(higher_class_preempts_equal_does_not, setup,
						teardown),
		cmocka_unit_test_setup_teardown(tpr_blocks_delivery_not_the_offer, setup, teardown),
		cmocka_unit_test_setup_teardown(level_eoi_is_told_edge_is_not, setup, teardown),
		cmocka_unit_test_setup_teardown(a_directed_eoi_is_the_guests_to_tell, setup,
						teardown),
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
		cmocka_unit_test_setup_teardown(a_set_state_never_hides_the_logical_id, setup_x2,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
