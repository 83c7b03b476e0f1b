// SOURCES: kernel/vlapic.c kernel/vlapic_ipi.c kernel/vlapic_timer.c
// SOURCES: vmm/cpu_reset.c
/*
 * Interrupt messages of local APICs, devices and I/O APICs: who gets them, and as what. Intel SDM
 * 3, chapter "APIC".
 */
#include "fake_vlapic.h"

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

static void none_to_itself_while_software_has_it_disabled(void **state)
{
	assert_true(vlapic_msr_write(&vcpu[2], 0x80f, 0xff));
	assert_true(vlapic_msr_write(&vcpu[2], 0x83f, 0x77));
	ipi(&vcpu[2], VLAPIC_SELF << 18 | 0x78, 0);
	ipi(&vcpu[2], 0x79, 2);
	assert_int_equal(who_has(0x77) | who_has(0x78) | who_has(0x79), 0);
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

/* Destination: all of four, logical; the class of the processor priority decides. */
static void lowest_priority(u8 vector)
{
	vlapic_msi(&vm, MSI_ADDR_BASE | 0x0fu << 12 | MSI_ADDR_LOGICAL,
		   APIC_DM_LOWEST << 8 | vector);
}

static void set_up_flat(void)
{
	for (u32 i = 0; i < 4; i++)
		vlapic_mmio_write(&vcpu[i], APIC_LDR, 1u << (24 + i));
}

static void lowest_priority_takes_the_least_busy(void **state)
{
	set_up_flat();
	for (u32 i = 0; i < 4; i++)
		vlapic_mmio_write(&vcpu[i], APIC_TPR, i == 2 ? 0x10 : 0x20);
	lowest_priority(0x91);
	assert_int_equal(who_has(0x91), BIT(2));
	vlapic_set_bit(&vcpu[2].lapic, APIC_ISR, 0x85, true); /* in a handler: PPR counts */
	vlapic_mmio_write(&vcpu[3], APIC_TPR, 0x1f);
	lowest_priority(0x92);
	assert_int_equal(who_has(0x92), BIT(3));
	vlapic_mmio_write(&vcpu[3], APIC_SVR, 0xff); /* takes no part */
	vlapic_mmio_write(&vcpu[1], APIC_TPR, 0);
	lowest_priority(0x93);
	assert_int_equal(who_has(0x93), BIT(1));
}

static void lowest_priority_goes_round_among_equals(void **state)
{
	u32 count[4] = {0};

	set_up_flat();
	for (u32 i = 0; i < 4; i++)
		vlapic_mmio_write(&vcpu[i], APIC_TPR, i == 1 ? 0x20 : i); /* one class but for 1 */
	for (u8 n = 0; n < 9; n++) {
		u64 who;

		lowest_priority(0xa0 + n);
		who = who_has(0xa0 + n);
		assert_int_equal(__builtin_popcountll(who), 1);
		count[__builtin_ctzll(who)]++;
	}
	assert_int_equal(count[1], 0);
	assert_int_equal(count[0], 3);
	assert_int_equal(count[2], 3);
	assert_int_equal(count[3], 3);
}

static void a_redirected_msi_goes_to_one(void **state)
{
	set_up_flat();
	vlapic_msi(&vm, MSI_ADDR_BASE | 0x0fu << 12 | MSI_ADDR_LOGICAL | MSI_ADDR_REDIRECT, 0x91);
	assert_int_equal(__builtin_popcountll(who_has(0x91)), 1);
	vlapic_msi(&vm, MSI_ADDR_BASE | 3u << 12 | MSI_ADDR_REDIRECT, 0x92); /* physical: as ever */
	assert_int_equal(who_has(0x92), BIT(3));
}

static void what_names_nobody_reaches_nobody(void **state)
{
	static const struct {
		u32 low, dest;
	} rows[] = {
		{0x41, 19 + 1},				     /* absent */
		{0x41, 0x80000003},			     /* beyond any id */
		{APIC_DM_NMI << 8, 63},			     /* absent */
		{APIC_DM_STARTUP << 8 | 0x10, 64},	     /* beyond the last */
		{APIC_ICR_LOGICAL | 0x41, 3 << 16 | 1},	     /* no such cluster */
		{APIC_ICR_LOGICAL | 0x41, 1 << 16 | 0x8000}, /* no such member */
		{APIC_ICR_LOGICAL | APIC_DM_LOWEST << 8 | 0x41, 2 << 16 | 1},
		{VLAPIC_SELF << 18 | APIC_DM_NMI << 8, 0}, /* self takes fixed ones only */
		{VLAPIC_ALL << 18 | APIC_DM_NMI << 8, 0},  /* so does all with self */
		{APIC_DM_EXTINT << 8, 1},		   /* of no CPU */
		{2 << 8, 1},				   /* SMI */
		{3 << 8 | 0x41, 1},			   /* reserved */
		{APIC_DM_INIT << 8 | APIC_ICR_LEVEL, 1},   /* the end of an INIT */
	};
	u64 esr;

	for (u32 i = 0; i < 20; i++)
		vcpu[i].kick = 0;
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		ipi(&vcpu[0], rows[i].low, rows[i].dest);
		for (u32 n = 0; n < 20; n++)
			if (vcpu[n].kick || irr_has(&vcpu[n], 0x41))
				fail_msg("%#x to %#x: reached vCPU %u", rows[i].low, rows[i].dest,
					 n);
	}
	assert_true(vlapic_msr_write(&vcpu[0], 0x828, 0));
	assert_true(vlapic_msr_read(&vcpu[0], 0x828, &esr));
	assert_int_equal(esr, 0); /* CPUs of today know no send accept error */
}

static void a_low_vector_that_arrives_is_the_receivers_error(void **state)
{
	struct vcpu *v = &vcpu[1];

	vlapic_mmio_write(v, APIC_LVT_ERROR, 0x45);
	vlapic_msi(&vm, MSI_ADDR_BASE | 1u << 12, 0x0e);
	assert_true(irr_has(v, 0x45));
	vlapic_taken(v, 0x45);
	vlapic_mmio_read(v, 0x010); /* another error, before ESR was written: no interrupt more */
	assert_false(irr_has(v, 0x45));
	vlapic_mmio_write(v, APIC_ESR, 0);
	assert_int_equal(vlapic_mmio_read(v, APIC_ESR), ESR_RECEIVE_ILLEGAL | ESR_ILLEGAL_REGISTER);
	vlapic_mmio_read(v, 0x010);
	assert_true(irr_has(v, 0x45));
}

static void icr_reads_what_was_sent(void **state)
{
	u64 icr;

	ipi(&vcpu[0], APIC_ICR_LOGICAL | APIC_ICR_ASSERT | 0x41, 0x10007);
	assert_true(vlapic_msr_write(&vcpu[0], 0x83f, 0x55)); /* a self-IPI leaves it alone */
	assert_true(vlapic_msr_read(&vcpu[0], 0x830, &icr));
	assert_int_equal(icr, 0x10007ull << 32 | APIC_ICR_LOGICAL | APIC_ICR_ASSERT | 0x41);
}

static void an_apic_that_is_off_gets_nothing_but_the_pics_line(void **state)
{
	struct vcpu *v = &vcpu[0];

	fake_set_base(v, APIC_DEFAULT_BASE);
	v->kick = 0;
	vlapic_msi(&vm, MSI_ADDR_BASE, 0x41);
	vlapic_msi(&vm, MSI_ADDR_BASE, APIC_DM_NMI << 8);
	vlapic_msi(&vm, MSI_ADDR_BASE, APIC_DM_INIT << 8);
	assert_int_equal(v->kick, 0);
	vlapic_msi(&vm, MSI_ADDR_BASE, APIC_DM_EXTINT << 8);
	assert_int_equal(v->kick, KICK_IRQ);
	assert_true(vlapic_extint_pending(v));
}

static void startup(struct vcpu *from, u32 dest, u32 mode_and_vector)
{
	vlapic_mmio_write(from, APIC_ICR_HIGH, dest << 24);
	vlapic_mmio_write(from, APIC_ICR, mode_and_vector);
}

static void the_first_startup_behind_an_init_counts(void **state)
{
	startup(&vcpu[0], 1, APIC_DM_STARTUP << 8 | 0x10);
	startup(&vcpu[0], 1, APIC_DM_INIT << 8);
	assert_int_equal(vcpu[1].lapic.reset, VLAPIC_INIT); /* it found a running CPU */
	startup(&vcpu[0], 1, APIC_DM_STARTUP << 8 | 0x11);
	startup(&vcpu[0], 1, APIC_DM_STARTUP << 8 | 0x12);
	assert_int_equal(vcpu[1].lapic.reset, VLAPIC_INIT | VLAPIC_SIPI | 0x11);
}

static void a_level_that_ends_is_no_message(void **state)
{
	vlapic_msi(&vm, MSI_ADDR_BASE, MSI_DATA_LEVEL | 0x41);
	assert_int_equal(who_has(0x41), 0);
	vlapic_msi(&vm, MSI_ADDR_BASE, MSI_DATA_LEVEL | APIC_ICR_ASSERT | 0x41);
	assert_int_equal(who_has(0x41), BIT(0));
}

static void nmi_init_sipi_extint(void **state)
{
	vlapic_mmio_write(&vcpu[0], APIC_ICR_HIGH, 1u << 24);
	vlapic_mmio_write(&vcpu[0], APIC_ICR, APIC_DM_INIT << 8 | APIC_ICR_LEVEL | APIC_ICR_ASSERT);
	assert_int_equal(vcpu[1].lapic.reset, VLAPIC_INIT);
	vcpu[1].lapic.reset = 0;
	vlapic_mmio_write(&vcpu[0], APIC_ICR, APIC_DM_INIT << 8 | APIC_ICR_LEVEL);
	assert_int_equal(vcpu[1].lapic.reset, 0);
	vlapic_mmio_write(&vcpu[0], APIC_ICR, APIC_DM_STARTUP << 8 | 0x9a);
	assert_int_equal(vcpu[1].lapic.reset, VLAPIC_SIPI | 0x9a);
	assert_true(vcpu[1].kick & KICK_RESET);
	vlapic_msi(&vm, MSI_ADDR_BASE | 3u << 12, APIC_DM_NMI << 8);
	assert_true(vcpu[3].nmi_pending);
	vlapic_msi(&vm, MSI_ADDR_BASE, APIC_DM_EXTINT << 8);
	assert_true(vlapic_extint_pending(&vcpu[0]));
	vlapic_mmio_write(&vcpu[0], APIC_LVT_LINT0, APIC_LVT_MASKED | APIC_DM_EXTINT << 8);
	assert_false(vlapic_extint_pending(&vcpu[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(x2apic_destinations, setup_x2, teardown),
		cmocka_unit_test_setup_teardown(self_ipi_needs_no_kick, setup_x2, teardown),
		cmocka_unit_test_setup_teardown(none_to_itself_while_software_has_it_disabled,
						setup_x2, teardown),
		cmocka_unit_test_setup_teardown(illegal_vector_is_not_sent, setup_x2, teardown),
		cmocka_unit_test_setup_teardown(xapic_logical_flat_and_cluster, setup_xapic,
						teardown),
		cmocka_unit_test_setup_teardown(lowest_priority_takes_the_least_busy, setup_xapic,
						teardown),
		cmocka_unit_test_setup_teardown(nmi_init_sipi_extint, setup_xapic, teardown),
		cmocka_unit_test_setup_teardown(lowest_priority_goes_round_among_equals,
						setup_xapic, teardown),
		cmocka_unit_test_setup_teardown(a_redirected_msi_goes_to_one, setup_xapic,
						teardown),
		cmocka_unit_test_setup_teardown(what_names_nobody_reaches_nobody, setup_x2,
						teardown),
		cmocka_unit_test_setup_teardown(a_low_vector_that_arrives_is_the_receivers_error,
						setup_xapic, teardown),
		cmocka_unit_test_setup_teardown(icr_reads_what_was_sent, setup_x2, teardown),
		cmocka_unit_test_setup_teardown(an_apic_that_is_off_gets_nothing_but_the_pics_line,
						setup_xapic, teardown),
		cmocka_unit_test_setup_teardown(the_first_startup_behind_an_init_counts,
						setup_xapic, teardown),
		cmocka_unit_test_setup_teardown(a_level_that_ends_is_no_message, setup_xapic,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
