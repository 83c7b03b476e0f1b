// SOURCES: svm/svm_tlb.c
/*
 * No vCPU ever runs with translations from before a flush that it owes, with and without
 * flush-by-ASID.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "svm/svm.h"

struct cpu_facts cpu_facts;

static struct vmcb block[3];
static struct vm vm;
static struct svm_vcpu vcpu[3];
static struct svm_cpu cpu[2];

static void fresh(u32 asids, bool by_asid)
{
	cpu_facts = (struct cpu_facts){.svm_asids = asids + 1, .svm_flush_by_asid = by_asid};
	vm = (struct vm){.space.epoch = 1};
	for (u32 i = 0; i < ARRAY_SIZE(vcpu); i++) {
		block[i] = (struct vmcb){0};
		vcpu[i] = (struct svm_vcpu){.vmcb = &block[i], .last_cpu = -1};
		vcpu[i].vcpu.vm = &vm;
	}
	for (u32 i = 0; i < ARRAY_SIZE(cpu); i++)
		cpu[i] = (struct svm_cpu){.next_asid = asids + 1, .asid_generation = 1};
}

/* As vcpu_load does. */
static void load(u32 v, u32 c)
{
	if (vcpu[v].last_cpu == (s32)c)
		return;
	vcpu[v].last_cpu = (s32)c;
	vcpu[v].asid_generation = 0;
}

static void enter(u32 v, u32 c)
{
	load(v, c);
	block[v].tlb_control = TLB_NOTHING; /* as the last exit left it */
	svm_tlb_prepare(&vcpu[v], &cpu[c]);
	assert_in_range(block[v].asid, 1, svm_max_asid());
}

static void first_entry_on_a_cpu_flushes_all(void **state)
{
	fresh(15, false);
	enter(0, 0);
	assert_int_equal(block[0].tlb_control, TLB_FLUSH_ALL);
	enter(0, 0);
	assert_int_equal(block[0].tlb_control, TLB_NOTHING);
	enter(1, 0);
	assert_int_equal(block[1].tlb_control, TLB_NOTHING);
	assert_int_not_equal(block[0].asid, block[1].asid);
}

static void removed_entries_are_flushed_once(void **state)
{
	for (u32 by_asid = 0; by_asid < 2; by_asid++) {
		u32 before;

		fresh(15, by_asid);
		enter(0, 0);
		enter(0, 0);
		before = block[0].asid;
		vm.space.epoch++;
		vcpu[0].vcpu.walk.page = 0xfff;
		enter(0, 0);
		assert_int_equal(vcpu[0].vcpu.walk.page, 0);
		if (by_asid)
			assert_true(block[0].asid == before &&
				    block[0].tlb_control == TLB_FLUSH_ASID);
		else
			assert_true(block[0].asid != before && block[0].tlb_control == TLB_NOTHING);
		before = block[0].asid;
		enter(0, 0);
		assert_true(block[0].asid == before && block[0].tlb_control == TLB_NOTHING);
		svm_flush(&vcpu[0]); /* a control register changed */
		enter(0, 0);
		assert_true(block[0].asid != before || block[0].tlb_control == TLB_FLUSH_ASID);
		assert_int_equal(vcpu[0].vcpu.npt_seen, vm.space.epoch);
	}
}

static void a_vcpu_that_comes_back_gets_a_new_asid(void **state)
{
	u32 before;

	fresh(15, true);
	enter(0, 0);
	before = block[0].asid;
	enter(0, 1);
	enter(0, 0);
	assert_int_not_equal(block[0].asid, before);
}

/*
 * Three vCPUs, two ASIDs: no two share one within a generation, and each generation begins with a
 * flush of all.
 */
static void exhaustion_starts_a_generation(void **state)
{
	u64 generation = 0;

	fresh(2, false);
	for (u32 i = 0; i < 100; i++) {
		u32 v = i % 3;

		enter(v, 0);
		if (cpu[0].asid_generation != generation) {
			assert_int_equal(block[v].tlb_control, TLB_FLUSH_ALL);
			generation = cpu[0].asid_generation;
		}
		for (u32 w = 0; w < 3; w++)
			if (w != v && vcpu[w].asid_generation == generation)
				assert_int_not_equal(block[v].asid, block[w].asid);
	}
	assert_true(generation > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_entry_on_a_cpu_flushes_all),
		cmocka_unit_test(removed_entries_are_flushed_once),
		cmocka_unit_test(a_vcpu_that_comes_back_gets_a_new_asid),
		cmocka_unit_test(exhaustion_starts_a_generation),
	};

	return cmocka_run_group_tests_name("svm_tlb", tests, NULL, NULL);
}
