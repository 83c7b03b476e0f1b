// SOURCES: kernel/spec.c
/*
 * Which defences against speculation a CPU gets: what it has, less what it says it does not need.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "kernel/options.h"

#define ALL (SPEC_IBPB | SPEC_L1D | SPEC_BUFFERS)

static void each_cpu_gets_what_it_needs(void **state)
{
	static const struct {
		const char *cpu;
		u32 offered;
		u64 capabilities;
		u32 automatic, on;
	} rows[] = {
		{"QEMU's TCG: nothing", 0, 0, 0, SPEC_BUFFERS},
		{"an AMD with IBPB", SPEC_IBPB, 0, SPEC_IBPB, SPEC_IBPB | SPEC_BUFFERS},
		{"Skylake with microcode", ALL, 0, ALL, ALL},
		{"the same under a hypervisor that flushes", ALL, 1u << 3, SPEC_IBPB | SPEC_BUFFERS,
		 ALL},
		{"Cascade Lake: RDCL_NO, MDS_NO, but TSX's aborts", ALL, 1u << 0 | 1u << 5,
		 SPEC_IBPB | SPEC_BUFFERS, ALL},
		{"Ice Lake: RDCL_NO, MDS_NO, TAA_NO", ALL, 1u << 0 | 1u << 5 | 1u << 8, SPEC_IBPB,
		 ALL},
		{"TAA_NO alone, as of a CPU without TSX", ALL, 1u << 8, ALL, ALL},
		{"Goldmont: RDCL_NO alone", ALL, 1u << 0, SPEC_IBPB | SPEC_BUFFERS, ALL},
		{"Alder Lake: MDS_NO, but RFDS_CLEAR", ALL, 1u << 0 | 1u << 5 | 1u << 8 | 1u << 28,
		 SPEC_IBPB | SPEC_BUFFERS, ALL},
		{"RFDS_CLEAR without MD_CLEAR", SPEC_IBPB, 1u << 28, SPEC_IBPB,
		 SPEC_IBPB | SPEC_BUFFERS},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		struct cpu_facts f = {.spec_offered = rows[i].offered,
				      .arch_capabilities = rows[i].capabilities};

		if (spec_choose(&f, SPEC_AUTO) != rows[i].automatic)
			fail_msg("%s: got %#x, expected %#x", rows[i].cpu,
				 spec_choose(&f, SPEC_AUTO), rows[i].automatic);
		if (spec_choose(&f, SPEC_ON) != rows[i].on)
			fail_msg("%s, on: got %#x, expected %#x", rows[i].cpu,
				 spec_choose(&f, SPEC_ON), rows[i].on);
		assert_int_equal(spec_choose(&f, SPEC_OFF), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_cpu_gets_what_it_needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
