// SOURCES: lib/guest_rules.c vmm/msr.c vmm/cpu_reset.c vmm/pvclock.c
/*
 * The MSRs of a guest that the monitor knows: what may be read and written; everything else is #GP
 * and logged once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "arch/apic.h"
#include "arch/msr.h"
#include "vmm/vcpu.h"

#define RAM_BYTES 0x8000u

static struct vcpu_state kept; /* what the kernel has */
static struct machine machine;
static struct vcpu vcpu;
static struct kinfo host = {.flags = KINFO_TSC, .tsc_mult = 1ull << 32};
static u8 ram[RAM_BYTES];
static u32 log_lines, timer_stands;

void rt_log(const char *fmt, ...) { log_lines++; }

/* vcpu_get and vcpu_set, with the kernel's checks of what is tested here. */
s64 sys_call6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	struct vcpu_state *s = (struct vcpu_state *)b;

	assert_int_equal(s->size, sizeof(*s));
	if (nr == SYS_VCPU_GET) {
		memset(&s->gpr, 0xee, offsetof(struct vcpu_state, fpu) - 8);
		if (s->groups & STATE_MSR)
			s->msr = kept.msr;
		if (s->groups & STATE_APIC)
			s->apic = kept.apic;
		if (s->groups & STATE_CLOCK)
			s->clock = kept.clock;
		timer_stands |= s->groups & STATE_TIMER_STOP;
		return 0;
	}
	assert_int_equal(nr, SYS_VCPU_SET);
	if ((s->groups & STATE_MSR && s->msr.sfmask >> 32) ||
	    (s->groups & STATE_APIC && s->apic.base & 0xff))
		return -E_INVAL;
	if (s->groups & STATE_MSR)
		kept.msr = s->msr;
	if (s->groups & STATE_APIC)
		kept.apic = s->apic;
	if (s->groups & STATE_CLOCK) {
		kept.clock = s->clock;
		timer_stands = 0;
	}
	return 0;
}

static int setup(void **state)
{
	memset(&kept, 0, sizeof(kept));
	memset(&machine, 0, sizeof(machine));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(ram, 0, sizeof(ram));
	machine.ram = (struct ram){.host = ram, .low = RAM_BYTES};
	machine.pvclock =
		(struct pvclock){.ram = &machine.ram, .host = &host, .clock = &machine.clock};
	vcpu.m = &machine;
	msr_init(&vcpu.msr);
	kept.apic.base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE | APIC_BASE_BSP;
	vcpu.emul.phys_bits = 40;
	log_lines = 0;
	return 0;
}

static enum emul_result read(u32 msr, u64 *value)
{
	*value = 0x5555;
	return msr_access(&vcpu, msr, false, value);
}

static bool write(u32 msr, u64 value)
{
	enum emul_result r = msr_access(&vcpu, msr, true, &value);

	assert_true(r == EMUL_OK || r == EMUL_FAULT);
	assert_int_equal(timer_stands, 0);
	return r == EMUL_OK;
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
		assert_int_equal(read(rows[i].msr, &value), EMUL_OK);
		assert_int_equal(value, rows[i].value);
	}
	assert_int_equal(log_lines, 0);
}

static void the_rest_is_denied_and_logged_once(void **state)
{
	static const u32 denied[] = {0x3a,	 0x48,	     0x49,	 0x10a,
				     0x1d9,	 0x200,	     0x250,	 0x6e1,
				     0xda0,	 0x4b564d05, 0x4b564cff, 0xc0010114,
				     0xc0010117, 0xc0010140, 0x12345678, 0xffffffff};
	u64 value;

	for (u32 i = 0; i < ARRAY_SIZE(denied); i++) {
		setup(state);
		assert_int_equal(read(denied[i], &value), EMUL_FAULT);
		assert_false(write(denied[i], 0));
		assert_int_equal(log_lines, 1);
	}
}

static void what_the_kernel_knows_is_left_to_it(void **state)
{
	static const u32 its[] = {0x800, 0x80b, 0x8ff, MSR_TSC_DEADLINE};
	u64 value = 0;

	for (u32 i = 0; i < ARRAY_SIZE(its); i++) {
		assert_int_equal(read(its[i], &value), EMUL_KERNEL);
		assert_int_equal(msr_access(&vcpu, its[i], true, &value), EMUL_KERNEL);
	}
}

static void what_the_kernel_holds_is_its_to_keep_and_to_check(void **state)
{
	static const struct {
		u32 msr;
		u64 *kept;
	} rows[] = {
		{MSR_STAR, &kept.msr.star},	  {MSR_LSTAR, &kept.msr.lstar},
		{MSR_CSTAR, &kept.msr.cstar},	  {MSR_SFMASK, &kept.msr.sfmask},
		{MSR_TSC_AUX, &kept.msr.tsc_aux}, {MSR_SYSENTER_EIP, &kept.msr.sysenter_eip},
	};
	u64 value;

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_true(write(rows[i].msr, 0x1000 + i));
		assert_int_equal(*rows[i].kept, 0x1000 + i);
		assert_int_equal(read(rows[i].msr, &value), EMUL_OK);
		assert_int_equal(value, 0x1000 + i);
	}
	assert_false(write(MSR_SFMASK, 1ull << 32));
	assert_int_equal(kept.msr.sfmask, 0x1003);
}

static void pat_has_memory_types_that_exist(void **state)
{
	u64 value;

	assert_true(write(MSR_PAT, PAT_RESET ^ 1));
	assert_int_equal(kept.msr.pat, PAT_RESET ^ 1);
	for (u32 i = 0; i < 64; i += 8) {
		assert_false(write(MSR_PAT, PAT_RESET | 8ull << i));
		assert_false(write(MSR_PAT, (PAT_RESET & ~(7ull << i)) | 2ull << i));
	}
	assert_int_equal(read(MSR_PAT, &value), EMUL_OK);
	assert_int_equal(value, PAT_RESET ^ 1);
}

static void some_are_read_only(void **state)
{
	u64 value;

	assert_false(write(MSR_MTRRCAP, 0));
	assert_false(write(MSR_MCG_CAP, 0));
	assert_true(write(MSR_BIOS_UPDT_TRIG, 0)); /* and this one is write-only */
	assert_int_equal(read(MSR_BIOS_UPDT_TRIG, &value), EMUL_FAULT);
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
		assert_int_equal(write(MSR_MTRR_DEF_TYPE, rows[i].value), rows[i].ok);
	assert_int_equal(read(MSR_MTRR_DEF_TYPE, &value), EMUL_OK);
	assert_int_equal(value, 0x800);
}

static void a_write_of_the_tsc_moves_the_offset_and_keeps_the_clock(void **state)
{
	u64 value, *at = (u64 *)(ram + 0x1008);

	assert_true(write(MSR_TSC, 1000));
	assert_int_equal(read(MSR_TSC, &value), EMUL_OK);
	assert_in_range(value, 1000, 1000 + 1000000000);
	assert_int_equal(*at, 0);
	assert_true(write(MSR_KVM_BASE + PV_SYSTEM_TIME, 0x1001));
	assert_int_equal(*at, kept.clock.tsc_offset);
	assert_true(write(MSR_TSC, 1ull << 50));
	assert_int_equal(*at, kept.clock.tsc_offset);
}

/* The offset has all that the guest did to its TSC, whichever register it wrote. */
static void tsc_adjust_says_how_far_the_tsc_was_moved(void **state)
{
	u64 value, before = 5000, *at = (u64 *)(ram + 0x1008);

	kept.clock.tsc_offset = before;
	assert_true(write(MSR_KVM_BASE + PV_SYSTEM_TIME, 0x1001));
	assert_int_equal(read(MSR_TSC_ADJUST, &value), EMUL_OK);
	assert_int_equal(value, 0);
	assert_true(write(MSR_TSC_ADJUST, 1ull << 40));
	assert_int_equal(kept.clock.tsc_offset, before + (1ull << 40));
	assert_int_equal(*at, kept.clock.tsc_offset);
	assert_true(write(MSR_TSC_ADJUST, ~0ull)); /* any value: here one tick back */
	assert_int_equal(kept.clock.tsc_offset, before - 1);
	assert_true(write(MSR_TSC, 1000));
	assert_int_equal(read(MSR_TSC_ADJUST, &value), EMUL_OK);
	assert_int_equal(value, kept.clock.tsc_offset - before);
	msr_init(&vcpu.msr);
	assert_int_equal(read(MSR_TSC_ADJUST, &value), EMUL_OK);
	assert_int_equal(value, 0);
}

static void what_the_abi_reserves_is_refused(void **state)
{
	static const struct {
		u32 i;
		u64 value;
		bool ok;
	} rows[] = {
		{PV_WALL_CLOCK, 0x1004, true},	  {PV_WALL_CLOCK, 0x1002, false},
		{PV_WALL_CLOCK, 0x1ff8, false},	  {PV_SYSTEM_TIME, 0x1021, true},
		{PV_SYSTEM_TIME, 0x1020, true},	  {PV_SYSTEM_TIME, 0x1023, false},
		{PV_SYSTEM_TIME, 0x1fe5, false},  {PV_ASYNC_PF, 0, false},
		{PV_STEAL_TIME, 0x1041, true},	  {PV_STEAL_TIME, 0x1021, false},
		{PV_STEAL_TIME, 0x1043, false},	  {PV_STEAL_TIME, RAM_BYTES | 1, false},
		{PV_STEAL_TIME, RAM_BYTES, true}, /* off: nobody looks */
		{PV_EOI, 0x2ffd, true},		  {PV_EOI, 0x2003, false},
		{PV_EOI, ~0ull - 2, false},
	};
	u64 value;

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 before = kept.msr.pv[rows[i].i];

		assert_int_equal(write(MSR_KVM_BASE + rows[i].i, rows[i].value), rows[i].ok);
		assert_int_equal(kept.msr.pv[rows[i].i], rows[i].ok ? rows[i].value : before);
		assert_int_equal(read(MSR_KVM_BASE + rows[i].i, &value),
				 rows[i].i == PV_ASYNC_PF ? EMUL_FAULT : EMUL_OK);
	}
}

static void the_local_apics_modes_change_in_their_order(void **state)
{
	u64 base = APIC_DEFAULT_BASE, en = APIC_BASE_ENABLE, x2 = APIC_BASE_X2APIC;

	assert_true(write(MSR_APIC_BASE, base | en | x2));
	assert_false(write(MSR_APIC_BASE, base | en));
	kept.apic.reg[APIC_TPR >> 4] = 0x60;
	assert_true(write(MSR_APIC_BASE, base));
	assert_int_equal(kept.apic.reg[APIC_SVR >> 4], 0xff);
	assert_int_equal(kept.apic.reg[APIC_TPR >> 4], 0);
	assert_false(write(MSR_APIC_BASE, base | en | x2));
	assert_true(write(MSR_APIC_BASE, base | en));
	assert_false(write(MSR_APIC_BASE, base | en | 1));
	assert_false(write(MSR_APIC_BASE, base | x2));
	assert_false(write(MSR_APIC_BASE, 1ull << 40 | en));
	assert_int_equal(kept.apic.base, base | en | APIC_BASE_BSP);
}

static void a_refused_apic_base_changes_nothing(void **state)
{
	u64 base = kept.apic.base;

	kept.apic.reg[APIC_TPR >> 4] = 0x60;
	kept.clock.apic_deadline = 5;
	assert_false(write(MSR_APIC_BASE, APIC_DEFAULT_BASE | 1)); /* off, and a reserved bit */
	assert_int_equal(kept.apic.base, base);
	assert_int_equal(kept.apic.reg[APIC_TPR >> 4], 0x60);
	assert_int_equal(kept.clock.apic_deadline, 5);
	assert_true(write(MSR_APIC_BASE, APIC_DEFAULT_BASE));
	assert_int_equal(kept.apic.reg[APIC_TPR >> 4], 0);
	assert_int_equal(kept.clock.apic_deadline, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(constant_reads, setup),
		cmocka_unit_test_setup(the_rest_is_denied_and_logged_once, setup),
		cmocka_unit_test_setup(what_the_kernel_knows_is_left_to_it, setup),
		cmocka_unit_test_setup(what_the_kernel_holds_is_its_to_keep_and_to_check, setup),
		cmocka_unit_test_setup(pat_has_memory_types_that_exist, setup),
		cmocka_unit_test_setup(some_are_read_only, setup),
		cmocka_unit_test_setup(mtrr_default_type_is_checked_state, setup),
		cmocka_unit_test_setup(a_write_of_the_tsc_moves_the_offset_and_keeps_the_clock,
				       setup),
		cmocka_unit_test_setup(tsc_adjust_says_how_far_the_tsc_was_moved, setup),
		cmocka_unit_test_setup(what_the_abi_reserves_is_refused, setup),
		cmocka_unit_test_setup(the_local_apics_modes_change_in_their_order, setup),
		cmocka_unit_test_setup(a_refused_apic_base_changes_nothing, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
