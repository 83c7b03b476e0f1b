// SOURCES: kernel/fpu.c
/* No FPU area that ring 3 hands in can make XRSTOR fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake_cpu.h"
#include "hv/vendor.h"
#include "kernel/vcpu_run.h"

struct cpu_facts cpu_facts;
struct guest_bits guest_bits;

static struct vcpu vcpu;
static struct vcpu_state st;

static void fresh(u64 xcr0)
{
	fake_cpu_install(NULL);
	cpu_facts = (struct cpu_facts){.xsave = true, .mxcsr_mask = 0xffff};
	guest_bits.xcr0 = xcr0;
	if (!vcpu.priv)
		vcpu.priv = aligned_alloc(64, 4096);
	memset(&st, 0, sizeof(st));
	fpu_init_area(&vcpu);
}

static u64 field(const u8 *area, u32 at, u32 bytes)
{
	u64 v = 0;

	memcpy(&v, area + at, bytes);
	return v;
}

static void xcr0_follows_the_architecture(void **state)
{
	static const struct {
		u64 xcr0;
		bool valid;
	} cases[] = {
		{0, false},
		{1, true},
		{2, false},
		{3, true},
		{5, false},
		{7, true},
		{0x27, false},
		{0xe7, false},
		{0xe3, false},
		{0x207, false},
		{0x1f, false},
		{0x60007, false},
		{1ull << 63 | 1, false},
	};

	fresh(7);
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++)
		if (fpu_xcr0_valid(cases[i].xcr0) != cases[i].valid)
			fail_msg("XCR0 %#llx: expected %d", (unsigned long long)cases[i].xcr0,
				 cases[i].valid);
	fresh(1); /* no XSAVE */
	assert_true(fpu_xcr0_valid(1));
	assert_false(fpu_xcr0_valid(3));
}

static void a_hostile_area_is_made_harmless(void **state)
{
	fresh(7);
	memset(st.fpu, 0xff, sizeof(st.fpu));
	memset(st.fpu + 512, 0, 8);
	st.fpu[512] = 7;
	fpu_set(&vcpu, st.fpu);
	assert_int_equal(field(vcpu.priv->fpu, 24, 4), 0xffff); /* MXCSR */
	assert_int_equal(field(vcpu.priv->fpu, 512, 8), 7);
	for (u32 at = 520; at < 576; at += 8)
		assert_int_equal(field(vcpu.priv->fpu, at, 8), 0);
}

static void a_component_that_the_guest_cannot_have_is_dropped(void **state)
{
	fresh(7);
	st.fpu[513] = 2; /* PKRU */
	st.fpu[512] = 3;
	fpu_set(&vcpu, st.fpu);
	assert_int_equal(field(vcpu.priv->fpu, 512, 8), 3);
}

static void what_is_set_is_got(void **state)
{
	u8 out[FPU_STATE_BYTES];

	fresh(7);
	st.fpu[24] = 0x80;
	st.fpu[160] = 0x77;
	st.fpu[512] = 3;
	fpu_set(&vcpu, st.fpu);
	fpu_get(&vcpu, out);
	assert_memory_equal(out, st.fpu, sizeof(out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(xcr0_follows_the_architecture),
		cmocka_unit_test(a_hostile_area_is_made_harmless),
		cmocka_unit_test(a_component_that_the_guest_cannot_have_is_dropped),
		cmocka_unit_test(what_is_set_is_got),
	};

	return cmocka_run_group_tests_name("fpu", tests, NULL, NULL);
}
