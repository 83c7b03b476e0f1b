// SOURCES: kernel/pv.c kernel/vlapic.c kernel/vlapic_ipi.c kernel/vlapic_timer.c
// SOURCES: vmm/cpu_reset.c
/* The paravirtual ABI of the kernel: steal time, EOI by a flag, hypercalls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_cpu.h"
#include "fake_vcpu.h"
#include "kernel/pv.h"
#include "mm/window.h"

#define PAGES 4u
#define STEAL 0x1040u
#define FLAG 0x2ffcu
#define EPERM (-1ull)
#define EINVAL (-22ull)
#define ENOSYS (-1000ull)

static u8 memory[PAGES * PAGE_SIZE] __aligned(4096);
static u32 frame_of[PAGES]; /* guest page -> frame; ~0: none, or not writable */
static u32 windows;	    /* of them in use */
static u32 lookups;

enum fault aspace_fault(struct aspace *as, u64 va, u32 pf_error)
{
	assert_int_equal(pf_error, PF_WRITE);
	return va < sizeof(memory) && ~frame_of[va / PAGE_SIZE] ? FAULT_MAPPED : FAULT_NONE;
}

bool aspace_lookup(struct aspace *as, u64 va, u32 prot, hpa_t *out)
{
	assert_int_equal(prot, PROT_W);
	lookups++;
	*out = hpa(frame_of[va / PAGE_SIZE] * PAGE_SIZE + va % PAGE_SIZE);
	return true;
}

void *window_map(enum window w, hpa_t a)
{
	assert_in_range(w, WINDOW_PV, WINDOWS - 1);
	assert_false(windows & 1u << w);
	windows |= 1u << w;
	return memory + a.v;
}

void window_unmap(enum window w)
{
	assert_true(windows & 1u << w);
	windows &= ~(1u << w);
}

static bool yielded;
void sched_yield(void) { yielded = true; }

static struct hv_mode mode;

static void read_mode(struct vcpu *v, struct hv_mode *m) { *m = mode; }
static const struct hv_ops fake_ops = {.read_mode = read_mode};
const struct hv_ops *hv_ops = &fake_ops;

static struct vm vm;
static struct vcpu vcpus[3];
static struct vcpu_private private;
static struct vcpu_run run;
static struct thread thread;
static struct vcpu *const v = &vcpus[0];

static int setup(void **state)
{
	fake_cpu_install(&thread);
	memset(memory, 0xee, sizeof(memory));
	memset(&vm, 0, sizeof(vm));
	memset(&private, 0, sizeof(private));
	memset(vcpus, 0, sizeof(vcpus));
	vm.space.epoch = 1;
	for (u32 i = 0; i < PAGES; i++)
		frame_of[i] = i;
	for (u32 i = 0; i < ARRAY_SIZE(vcpus); i++) {
		vcpus[i] = (struct vcpu){.vm = &vm, .index = i, .run = &run, .priv = &private};
		vcpus[i].lapic.page = fake_apic_page(i);
		fake_apic_reset(&vcpus[i], false);
		*vlapic_reg(&vcpus[i], APIC_SVR) = 0x1ff;
		vm.vcpu[i] = &vcpus[i];
	}
	mode = (struct hv_mode){.efer = EFER_LMA, .cs_attr = SEG_ATTR_L};
	windows = lookups = fake_kicks = 0;
	fake_kicked = NULL;
	thread.waited_ns = 0;
	yielded = false;
	run = (struct vcpu_run){0};
	return 0;
}

static u32 *word(u32 at) { return (u32 *)(memory + at); }
static u64 steal(void) { return *(u64 *)(memory + STEAL); }

static void clear(u32 at, u32 bytes) { memset(memory + at, 0, bytes); }

/* ---- MSRs ---- */

static bool set_msr(u32 i, u64 value)
{
	u64 msr[PV_MSRS];

	memcpy(msr, v->pv.msr, sizeof(msr));
	msr[i] = value;
	if (!pv_valid(msr))
		return false;
	pv_set(v, msr);
	return true;
}

static void what_the_kernel_writes_to_lies_in_one_page(void **state)
{
	static const struct {
		u32 i;
		u64 value;
		bool ok;
	} rows[] = {
		{PV_STEAL_TIME, STEAL | 1, true},
		{PV_STEAL_TIME, 0x1021, false},
		{PV_STEAL_TIME, 0x1043, false},
		{PV_STEAL_TIME, sizeof(memory) | 1, true}, /* no memory: nothing is written */
		{PV_EOI, FLAG | 1, true},
		{PV_EOI, 0x2003, false},
		{PV_EOI, ~0ull - 2, true},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 before = v->pv.msr[rows[i].i];

		assert_int_equal(set_msr(rows[i].i, rows[i].value), rows[i].ok);
		assert_int_equal(v->pv.msr[rows[i].i], rows[i].ok ? rows[i].value : before);
		pv_running(v);
		pv_eoi_offer(v, 0x40);
	}
}

static void a_state_is_checked_and_taken_whole(void **state)
{
	const u64 good[PV_MSRS] = {0x2000, 0x1001, 0, STEAL | 1, FLAG | 1};
	u64 bad[PV_MSRS];

	assert_true(pv_valid(good));
	for (u32 i = PV_STEAL_TIME; i < PV_MSRS; i++) {
		memcpy(bad, good, sizeof(bad));
		bad[i] += 2;
		assert_false(pv_valid(bad));
	}
	pv_set(v, good);
	assert_memory_equal(v->pv.msr, good, sizeof(good));
	assert_true(v->kick & KICK_PV);
}

/* ---- Steal time ---- */

static void waiting_is_stolen_once(void **state)
{
	clear(STEAL, 64);
	thread.waited_ns = 1000; /* before it asked */
	assert_true(set_msr(PV_STEAL_TIME, STEAL | 1));
	pv_running(v);
	assert_int_equal(steal(), 0);
	assert_int_equal(*word(STEAL + 8), 2);
	thread.waited_ns = 50;
	pv_running(v);
	pv_running(v);
	assert_int_equal(steal(), 50);
	assert_int_equal(*word(STEAL + 8) & 1, 0);
	assert_int_equal(memory[STEAL + 64], 0xee);
}

static void who_is_not_loaded_is_preempted(void **state)
{
	clear(STEAL, 64);
	assert_true(set_msr(PV_STEAL_TIME, STEAL | 1));
	assert_true(set_msr(PV_EOI, FLAG | 1));
	pv_running(v);
	assert_int_equal(memory[STEAL + 16], 0);
	pv_unload(v);
	assert_int_equal(memory[STEAL + 16], 1);
	assert_int_equal(windows, 0);
	pv_unload(v); /* nothing is shown any more */
	pv_running(v);
	assert_int_equal(memory[STEAL + 16], 0);
}

static void memory_that_goes_is_not_written(void **state)
{
	clear(STEAL, 64);
	assert_true(set_msr(PV_STEAL_TIME, STEAL | 1));
	pv_running(v);
	frame_of[STEAL / PAGE_SIZE] = ~0u;
	vm.space.epoch++;
	thread.waited_ns = 9;
	pv_running(v);
	pv_unload(v);
	assert_int_equal(steal(), 0);
	assert_int_equal(memory[STEAL + 16], 0);
	assert_int_equal(windows, 0);
	frame_of[STEAL / PAGE_SIZE] = 3; /* other memory is there now */
	vm.space.epoch++;
	pv_running(v);
	assert_int_equal(steal(), 0);
	assert_int_equal(memory[0x3000 + STEAL % PAGE_SIZE + 16], 0);
}

static void a_page_is_looked_up_once(void **state)
{
	assert_true(set_msr(PV_STEAL_TIME, STEAL | 1));
	for (u32 i = 0; i < 10; i++)
		pv_running(v);
	assert_int_equal(lookups, 1);
}

/* ---- EOI ---- */

static bool bit(enum apic_reg map, u8 n) { return *vlapic_word(&v->lapic, map, n) >> n % 32 & 1; }

static void flag_on(void)
{
	clear(FLAG, 4);
	assert_true(set_msr(PV_EOI, FLAG | 1));
}

static void request(u8 vector) { vlapic_set_bit(&v->lapic, APIC_IRR, vector, true); }

/* The CPU takes what was offered; the guest ends it by the flag or leaves it. */
static void enter(u8 vector, bool ended)
{
	vlapic_taken(v, vector);
	if (ended)
		*word(FLAG) = 0;
	if (v->pv.eoi_offered)
		pv_eoi_taken(v);
}

static void what_the_guest_ends_by_the_flag_has_ended(void **state)
{
	flag_on();
	request(0x41);
	pv_eoi_offer(v, 0x41);
	assert_int_equal(*word(FLAG), 1);
	assert_true(bit(APIC_IRR, 0x41));
	enter(0x41, true);
	assert_false(bit(APIC_ISR, 0x41));
	assert_false(v->pv.eoi_offered);
	assert_true(v->lapic.update);
}

static void what_it_has_not_ended_goes_on(void **state)
{
	flag_on();
	request(0x41);
	pv_eoi_offer(v, 0x41);
	enter(0x41, false);
	assert_true(bit(APIC_ISR, 0x41));
	assert_true(v->pv.eoi_offered);
	pv_eoi_withdraw(v);
	assert_int_equal(*word(FLAG), 0);
	assert_true(bit(APIC_ISR, 0x41));
	pv_eoi_offer(v, 0); /* in service, and nobody waits */
	assert_int_equal(*word(FLAG), 1);
	*word(FLAG) = 0;
	pv_eoi_taken(v);
	assert_false(bit(APIC_ISR, 0x41));
}

static void an_end_that_somebody_waits_for_is_not_offered(void **state)
{
	static const struct {
		u8 offered, requested, in_service;
		bool level, by_cpu;
	} rows[] = {
		{0x61, 0x41, 0, false, false}, /* the next one waits */
		{0, 0x41, 0x61, false, false}, /* the same, in service */
		{0x61, 0, 0x41, false, false}, /* the flag would not tell which */
		{0x61, 0, 0, true, false},     /* its line waits */
		{0, 0, 0x61, true, false},     {0, 0, 0, false, false}, /* there is none */
		{0x61, 0, 0, false, true}, /* nobody would see the flag */
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		setup(state);
		flag_on();
		if (rows[i].offered)
			request(rows[i].offered);
		if (rows[i].requested)
			request(rows[i].requested);
		if (rows[i].in_service)
			vlapic_set_bit(&v->lapic, APIC_ISR, rows[i].in_service, true);
		if (rows[i].level)
			vlapic_set_bit(&v->lapic, APIC_TMR, 0x61, true);
		v->lapic.by_cpu = rows[i].by_cpu;
		pv_eoi_offer(v, rows[i].offered);
		assert_int_equal(*word(FLAG), 0);
		assert_false(v->pv.eoi_offered);
		assert_int_equal(bit(APIC_IRR, 0x61), rows[i].offered == 0x61);
	}
}

static void a_flag_whose_memory_goes_ends_nothing(void **state)
{
	flag_on();
	request(0x41);
	pv_eoi_offer(v, 0x41);
	frame_of[FLAG / PAGE_SIZE] = ~0u;
	vm.space.epoch++;
	enter(0x41, true);
	assert_true(bit(APIC_ISR, 0x41));
	assert_false(v->pv.eoi_offered);
	pv_eoi_offer(v, 0);
	assert_false(v->pv.eoi_offered);
}

/* ---- Hypercalls ---- */

static u64 call(u64 number, u64 a, u64 b, u64 c, u64 d)
{
	u64 *gpr = private.regs.gpr;

	gpr[GPR_RAX] = number;
	gpr[GPR_RBX] = a;
	gpr[GPR_RCX] = b;
	gpr[GPR_RDX] = c;
	gpr[GPR_RSI] = d;
	pv_hypercall(v);
	return gpr[GPR_RAX];
}

static void only_ring_0_of_the_guest_calls(void **state)
{
	for (mode.cpl = 1; mode.cpl <= 3; mode.cpl++)
		for (u64 n = 0; n < 16; n++)
			assert_int_equal(call(n, 7, 0, 0, 0x41), EPERM);
	assert_int_equal(fake_kicks, 0);
}

static void what_is_not_known_says_so(void **state)
{
	for (u64 n = 0; n < 100; n++)
		if (n != 1 && n != 5 && n != 10 && n != 11)
			assert_int_equal(call(n, 7, 0, 0, 0x41), ENOSYS);
	assert_int_equal(call(1ull << 32 | 1, 0, 0, 0, 0), ENOSYS);
	assert_int_equal(call(1, 0, 0, 0, 0), 0);
	mode.cs_attr = 0; /* 32 bits of each register count, and of the result */
	assert_int_equal(call(1ull << 32 | 1, 0, 0, 0, 0), 0);
	assert_int_equal(call(99, 0, 0, 0, 0), (u32)ENOSYS);
}

static void a_kick_is_for_one(void **state)
{
	assert_int_equal(call(5, 0, 2, 0, 0), 0);
	assert_ptr_equal(fake_kicked, &vcpus[2]);
	assert_true(vcpus[2].pv.unhalted);
	assert_false(vcpus[1].pv.unhalted);
	assert_int_equal(call(5, 0, 3, 0, 0), 0);
	assert_int_equal(call(5, 0, ~0ull, 0, 0), 0);
	assert_int_equal(fake_kicks, 1);
}

static bool posted(u32 n, u8 vector)
{
	return vcpus[n].lapic.posted.edge[vector / 32] >> vector % 32 & 1;
}

static void an_ipi_reaches_those_that_are_named(void **state)
{
	assert_int_equal(call(10, 6, 0, 0, 0x41), 2);
	assert_true(posted(1, 0x41) && posted(2, 0x41));
	assert_int_equal(call(10, 1ull << 63, 2, -63ull, 0x42), 0); /* ids do not wrap */
	assert_int_equal(call(10, 1, 0, 1, 0x43), 1);
	assert_true(posted(1, 0x43) && !posted(2, 0x43));
	assert_int_equal(call(10, 0, ~0ull, 0, 0x44), 0); /* from 64 on */
	assert_int_equal(call(10, 0, 1, -64ull, 0x45), 0);
	assert_int_equal(call(10, ~0ull, ~0ull, 0, 0x400), 3); /* NMI */
	assert_true(vcpus[1].nmi_pending);
	assert_int_equal(call(10, 6, 0, 0, 0x80041), EINVAL);
	assert_int_equal(call(10, 6, 0, 0, 0x841), EINVAL);
	mode.cs_attr = 0; /* words of 32 ids */
	assert_int_equal(call(10, 0xffffffff00000000, 0, 0, 0x46), 0);
}

static void a_yield_lets_others_run(void **state)
{
	assert_int_equal(call(11, 1, 0, 0, 0), 0);
	assert_true(yielded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_the_kernel_writes_to_lies_in_one_page, setup),
		cmocka_unit_test_setup(a_state_is_checked_and_taken_whole, setup),
		cmocka_unit_test_setup(waiting_is_stolen_once, setup),
		cmocka_unit_test_setup(who_is_not_loaded_is_preempted, setup),
		cmocka_unit_test_setup(memory_that_goes_is_not_written, setup),
		cmocka_unit_test_setup(a_page_is_looked_up_once, setup),
		cmocka_unit_test_setup(what_the_guest_ends_by_the_flag_has_ended, setup),
		cmocka_unit_test_setup(what_it_has_not_ended_goes_on, setup),
		cmocka_unit_test_setup(an_end_that_somebody_waits_for_is_not_offered, setup),
		cmocka_unit_test_setup(a_flag_whose_memory_goes_ends_nothing, setup),
		cmocka_unit_test_setup(only_ring_0_of_the_guest_calls, setup),
		cmocka_unit_test_setup(what_is_not_known_says_so, setup),
		cmocka_unit_test_setup(a_kick_is_for_one, setup),
		cmocka_unit_test_setup(an_ipi_reaches_those_that_are_named, setup),
		cmocka_unit_test_setup(a_yield_lets_others_run, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
