// SOURCES: kernel/msr_policy.c kernel/vlapic.c kernel/vlapic_ipi.c kernel/vlapic_timer.c
/* The MSR policy: what guests may read and write; everything else is #GP and logged once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_cpu.h"
#include "fake_vcpu.h"
#include "kernel/pv.h"
#include "kernel/vcpu_run.h"

static u64 efer, tsc_offset;
static u64 logged_once;

u64 vcpu_efer_read(struct vcpu *v) { return efer; }
bool vcpu_efer_write(struct vcpu *v, u64 value)
{
	efer = value;
	return true;
}
static void set_tsc(struct vcpu *v, u64 offset) { tsc_offset = offset; }

/* MSRs that the back-end holds, as it keeps and checks them. */
static struct vcpu_state kept, room;

static void get_state(struct vcpu *v, struct vcpu_state *s, u32 groups)
{
	assert_int_equal(groups, STATE_MSR);
	s->msr = kept.msr;
}

static int set_state(struct vcpu *v, const struct vcpu_state *s, u32 groups)
{
	assert_int_equal(groups, STATE_MSR);
	if (s->msr.sfmask >> 32)
		return -E_INVAL;
	kept.msr = s->msr;
	return 0;
}

/* The paravirtual MSRs have their own test. */
static u32 pv_number, pv_clock_changes;

bool pv_msr_read(struct vcpu *v, u32 i, u64 *value)
{
	*value = 0x9000 + i;
	return true;
}

bool pv_msr_write(struct vcpu *v, u32 i, u64 value)
{
	pv_number = i;
	return value;
}

void pv_clock_changed(struct vcpu *v, u64 wall) { pv_clock_changes++; }

static const struct hv_ops fake_ops = {
	.set_tsc = set_tsc,
	.get_state = get_state,
	.set_state = set_state,
};
const struct hv_ops *hv_ops = &fake_ops;

bool vm_log_once(struct vm *vm, u32 key)
{
	bool first = key != logged_once;

	logged_once = key;
	return first;
}

static struct vm vm;
static struct vcpu vcpu;
static struct vcpu_private private;

static int setup(void **state)
{
	static struct thread thread;

	fake_cpu_install(&thread);
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.vm = &vm;
	vcpu.priv = &private;
	vcpu.lapic.page = fake_apic_page(0);
	vcpu.scratch = &room;
	vcpu.misc_enable = 1;
	vcpu.mtrr_def_type = 0x806;
	fake_log_lines = 0;
	vlapic_reset(&vcpu, false);
	return 0;
}

static int teardown(void **state)
{
	vlapic_timer_stop(&vcpu);
	return 0;
}

static void constant_reads(void **state)
{
	static const struct {
		u32 msr;
		u64 value;
	} rows[] = {
		{MSR_BIOS_SIGN_ID, 0},
		{MSR_MTRRCAP, 0},
		{MSR_MCG_CAP, 0},
		{MSR_MISC_ENABLE, 1},
		{MSR_MTRR_DEF_TYPE, 0x806},
		{MSR_SYSCFG, 0},
		{0xc0010015, 0},
		{0xc0011029, 2},
		{MSR_APIC_BASE, APIC_DEFAULT_BASE | APIC_BASE_ENABLE | APIC_BASE_BSP},
	};
	u64 value;

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_true(msr_policy_read(&vcpu, rows[i].msr, &value));
		assert_int_equal(value, rows[i].value);
	}
	assert_int_equal(fake_log_lines, 0);
}

static void the_rest_is_denied_and_logged_once(void **state)
{
	static const u32 denied[] = {0x3a,	 0x48,	     0x49,	 0x10a,
				     0x1d9,	 0x200,	     0x250,	 0x6e1,
				     0xda0,	 0x4b564d05, 0x4b564cff, 0xc0010114,
				     0xc0010117, 0xc0010140, 0x12345678, 0xffffffff};
	u64 value;

	for (u32 i = 0; i < ARRAY_SIZE(denied); i++) {
		assert_false(msr_policy_read(&vcpu, denied[i], &value));
		assert_false(msr_policy_write(&vcpu, denied[i], 0));
		assert_int_equal(fake_log_lines, i + 1);
	}
}

static void what_the_back_end_holds_is_its_to_keep_and_to_check(void **state)
{
	static const struct {
		u32 msr;
		u64 *kept;
	} rows[] = {
		{MSR_PAT, &kept.msr.pat},	{MSR_STAR, &kept.msr.star},
		{MSR_LSTAR, &kept.msr.lstar},	{MSR_CSTAR, &kept.msr.cstar},
		{MSR_SFMASK, &kept.msr.sfmask}, {MSR_TSC_AUX, &kept.msr.tsc_aux},
	};
	u64 value;

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_true(msr_policy_write(&vcpu, rows[i].msr, 0x1000 + i));
		assert_int_equal(*rows[i].kept, 0x1000 + i);
		assert_true(msr_policy_read(&vcpu, rows[i].msr, &value));
		assert_int_equal(value, 0x1000 + i);
	}
	assert_false(msr_policy_write(&vcpu, MSR_SFMASK, 1ull << 32));
	assert_int_equal(kept.msr.sfmask, 0x1004);
	assert_int_equal(fake_log_lines, 0);
}

static void read_only_rows(void **state)
{
	assert_false(msr_policy_write(&vcpu, MSR_MTRRCAP, 0));
	assert_false(msr_policy_write(&vcpu, MSR_MCG_CAP, 0));
	assert_false(msr_policy_write(&vcpu, MSR_APIC_BASE, APIC_BASE_X2APIC));
}

static void mtrr_default_type_is_checked_state(void **state)
{
	static const struct {
		u64 value;
		bool ok;
	} rows[] = {{0xc06, true}, {0, true},  {0x800, true},	{2, false},
		    {3, false},	   {7, false}, {0x1000, false}, {0x1ull << 32, false}};
	u64 value;

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(msr_policy_write(&vcpu, MSR_MTRR_DEF_TYPE, rows[i].value),
				 rows[i].ok);
	assert_true(msr_policy_read(&vcpu, MSR_MTRR_DEF_TYPE, &value));
	assert_int_equal(value, 0x800);
}

static void tsc_write_moves_the_offset(void **state)
{
	u64 value;

	assert_true(msr_policy_write(&vcpu, MSR_TSC, 1000));
	assert_true(msr_policy_read(&vcpu, MSR_TSC, &value));
	assert_in_range(value, 1000, 1000 + 10000000);
	assert_int_equal(tsc_offset, vcpu.tsc_offset);
	assert_int_equal(pv_clock_changes, 0);
	vcpu.pv.msr[PV_SYSTEM_TIME] = 0x1001;
	assert_true(msr_policy_write(&vcpu, MSR_TSC, 1000));
	assert_int_equal(pv_clock_changes, 1);
}

static void paravirtual_range_is_passed_on(void **state)
{
	u64 value;

	assert_true(msr_policy_read(&vcpu, MSR_KVM_BASE + PV_EOI, &value));
	assert_int_equal(value, 0x9000 + PV_EOI);
	assert_true(msr_policy_write(&vcpu, MSR_KVM_BASE + PV_STEAL_TIME, 1));
	assert_int_equal(pv_number, PV_STEAL_TIME);
	assert_false(msr_policy_write(&vcpu, MSR_KVM_BASE + PV_STEAL_TIME, 0));
}

static void x2apic_range_goes_to_the_local_apic(void **state)
{
	u64 value;

	assert_false(msr_policy_read(&vcpu, 0x803, &value));
	assert_true(msr_policy_write(&vcpu, MSR_APIC_BASE,
				     APIC_DEFAULT_BASE | APIC_BASE_ENABLE | APIC_BASE_X2APIC));
	assert_true(msr_policy_read(&vcpu, 0x803, &value));
	assert_int_equal(value, VLAPIC_VERSION);
	assert_false(msr_policy_read(&vcpu, 0x8ff, &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(constant_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(the_rest_is_denied_and_logged_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_the_back_end_holds_is_its_to_keep_and_to_check,
						setup, teardown),
		cmocka_unit_test_setup_teardown(read_only_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(mtrr_default_type_is_checked_state, setup,
						teardown),
		cmocka_unit_test_setup_teardown(tsc_write_moves_the_offset, setup, teardown),
		cmocka_unit_test_setup_teardown(paravirtual_range_is_passed_on, setup, teardown),
		cmocka_unit_test_setup_teardown(x2apic_range_goes_to_the_local_apic, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
