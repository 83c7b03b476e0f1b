// SOURCES: svm/svm_exit.c svm/svm_inject.c
/* Exit codes become neutral exits; an event that an exit interrupted is delivered again, once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "svm/svm.h"

struct cpu_facts cpu_facts;
static const struct cpu_facts plain, assisted = {.svm_nrip = true};

static void decode(const struct vmcb *b, const struct cpu_facts *facts, struct hv_exit *x)
{
	cpu_facts = *facts;
	svm_exit_decode(b, x);
}

static const struct {
	u64 code;
	enum hv_exit_reason reason;
} reasons[] = {
	{VMEXIT_INTR, HV_EXIT_EXTINT},
	{VMEXIT_NMI, HV_EXIT_NMI},
	{VMEXIT_EXCP0 + 18, HV_EXIT_MC},
	{VMEXIT_EXCP0 + 1, HV_EXIT_EXCEPTION},
	{VMEXIT_EXCP0 + 17, HV_EXIT_EXCEPTION},
	{VMEXIT_EXCP0 + 14, HV_EXIT_UNKNOWN},
	{VMEXIT_CR0_WRITE + 3, HV_EXIT_UNKNOWN},
	{VMEXIT_CPUID, HV_EXIT_CPUID},
	{VMEXIT_HLT, HV_EXIT_HLT},
	{VMEXIT_PAUSE, HV_EXIT_PAUSE},
	{VMEXIT_IOIO, HV_EXIT_IO},
	{VMEXIT_MSR, HV_EXIT_MSR_READ},
	{VMEXIT_CR4_READ, HV_EXIT_CR},
	{VMEXIT_CR0_WRITE, HV_EXIT_CR},
	{VMEXIT_CR0_WRITE + 4, HV_EXIT_CR},
	{VMEXIT_DR0_READ, HV_EXIT_DR},
	{VMEXIT_DR15_WRITE, HV_EXIT_DR},
	{VMEXIT_XSETBV, HV_EXIT_XSETBV},
	{VMEXIT_VMMCALL, HV_EXIT_HYPERCALL},
	{VMEXIT_NPF, HV_EXIT_NPF},
	{VMEXIT_VINTR, HV_EXIT_WINDOW},
	{VMEXIT_IRET, HV_EXIT_WINDOW},
	{VMEXIT_SHUTDOWN, HV_EXIT_SHUTDOWN},
	{VMEXIT_VMRUN, HV_EXIT_UNDEFINED},
	{VMEXIT_VMLOAD, HV_EXIT_UNDEFINED},
	{VMEXIT_SKINIT, HV_EXIT_UNDEFINED},
	{VMEXIT_MWAIT_ARMED, HV_EXIT_UNDEFINED},
	{VMEXIT_RSM, HV_EXIT_UNDEFINED},
	{VMEXIT_INVD, HV_EXIT_WBINVD},
	{VMEXIT_WBINVD, HV_EXIT_WBINVD},
	{VMEXIT_INIT, HV_EXIT_UNKNOWN},
	{VMEXIT_INVALID, HV_EXIT_FAIL_ENTRY},
	{VMEXIT_BUSY, HV_EXIT_FAIL_ENTRY},
	{0xffffffff, HV_EXIT_FAIL_ENTRY}, /* as QEMU's TCG writes it */
	{0xfffffffd, HV_EXIT_UNKNOWN},
	{0, HV_EXIT_UNKNOWN},
	{0x7d, HV_EXIT_UNKNOWN},
	{0x8f, HV_EXIT_UNKNOWN},
	{0x401, HV_EXIT_UNKNOWN},
	{1ull << 63, HV_EXIT_UNKNOWN},
};

static void codes_have_their_reasons(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(reasons); i++) {
		struct vmcb b = {.exit_code = reasons[i].code, .rip = 0x1000, .next_rip = 0x1003};
		struct hv_exit x = {0};

		decode(&b, &plain, &x);
		if (x.reason != reasons[i].reason)
			fail_msg("code %#llx: expected %d, got %d",
				 (unsigned long long)reasons[i].code, reasons[i].reason, x.reason);
		if (reasons[i].code != VMEXIT_IOIO && x.insn_len)
			fail_msg("code %#llx: a length without nRIP save",
				 (unsigned long long)reasons[i].code);
	}
}

static bool intercepted(const struct vmcb *b, u32 code)
{
	return b->intercept[code / 32] >> code % 32 & 1;
}

/* The offsets and bits of APM 2, Appendix B. */
static void all_that_is_decoded_is_intercepted(void **state)
{
	struct vmcb b = {0};

	svm_intercepts_init(&b);
	/* reads of CR4, writes of CR0 and CR4 */
	assert_int_equal(b.intercept[0], 1u << 4 | 1u << 16 | 1u << 20);
	assert_int_equal(b.intercept[1], ~0u);				 /* DR */
	assert_int_equal(b.intercept[2], 1u << 1 | 1u << 17 | 1u << 18); /* #DB #AC #MC */
	/*
	 * INTR NMI INIT RDPMC CPUID RSM INVD HLT INVLPGA IOIO MSR SHUTDOWN; VINTR, IRET, PAUSE when
	 * asked
	 */
	assert_int_equal(b.intercept[3], 1u << 0 | 1u << 1 | 1u << 3 | 1u << 15 | 1u << 18 |
						 1u << 19 | 1u << 22 | 1u << 24 | 1u << 26 |
						 1u << 27 | 1u << 28 | 1u << 31);
	/*
	 * VMRUN VMMCALL VMLOAD VMSAVE STGI CLGI SKINIT WBINVD MONITOR MWAIT MWAIT_ARMED XSETBV
	 * RDPRU; not RDTSCP ICEBP
	 */
	assert_int_equal(b.intercept[4], 0x7e7f);
	assert_int_equal(b.intercept[5], 0);
}

static void next_rip_gives_the_length_where_it_makes_sense(void **state)
{
	struct vmcb b = {.exit_code = VMEXIT_CPUID, .rip = 0x1000, .next_rip = 0x1003};
	struct hv_exit x = {0};

	decode(&b, &assisted, &x);
	assert_int_equal(x.insn_len, 3);
	b.next_rip = 0;
	decode(&b, &assisted, &x);
	assert_int_equal(x.insn_len, 0);
	b.next_rip = 0x1003;
	b.exit_code = VMEXIT_INTR;
	decode(&b, &assisted, &x);
	assert_int_equal(x.insn_len, 0);
}

static void port_exits_decode(void **state)
{
	struct vmcb b = {.exit_code = VMEXIT_IOIO,
			 .rip = 0x100,
			 .exit_info2 = 0x102,
			 .exit_info1 = 0x3f8ull << 16 | 1u << 4 | IOIO_IN};
	struct hv_exit x = {0};

	decode(&b, &plain, &x);
	assert_int_equal(x.io.port, 0x3f8);
	assert_int_equal(x.io.size, 1);
	assert_true(x.io.in && !x.io.string);
	assert_int_equal(x.insn_len, 2);
	b.exit_info1 = 0xffffull << 16 | 4u << 4 | IOIO_STR | 1u << 3;
	decode(&b, &plain, &x);
	assert_int_equal(x.io.port, 0xffff);
	assert_int_equal(x.io.size, 4);
	assert_true(!x.io.in && x.io.string);
}

static void nested_faults_decode(void **state)
{
	struct vmcb b = {.exit_code = VMEXIT_NPF,
			 .exit_info1 = PF_WRITE | PF_USER | 1ull << 32,
			 .exit_info2 = 0xfee00300};
	struct hv_exit x = {0};

	decode(&b, &plain, &x);
	assert_int_equal(x.npf.gpa.v, 0xfee00300);
	assert_true(x.npf.write && !x.npf.fetch && !x.npf.table_walk);
	b.exit_info1 = PF_PRESENT | NPF_TABLE_WALK;
	decode(&b, &plain, &x);
	assert_true(!x.npf.write && x.npf.table_walk);
}

/* ---- Events across an exit ---- */

static struct vmcb block;
static struct vcpu_private private;
static u32 apic_page[PAGE_SIZE / sizeof(u32)];
static struct svm_vcpu vcpu;

static struct svm_cpu cpu;

static struct svm_vcpu *fresh(void)
{
	memset(&block, 0, sizeof(block));
	block.cr0 = CR0_PE;
	memset(&private, 0, sizeof(private));
	cpu = (struct svm_cpu){.next_asid = 2};
	vcpu = (struct svm_vcpu){.vmcb = &block, .cpu = &cpu};
	vcpu.vcpu.priv = &private;
	vcpu.vcpu.lapic.page = apic_page;
	private.regs.rflags = RFLAGS_IF;
	cpu_facts = (struct cpu_facts){.tcg = true, .svm_asids = 16};
	return &vcpu;
}

/* As the kernel does it: what was delivered is not offered any more. */
static bool complete(struct svm_vcpu *s)
{
	bool taken = svm_event_complete(s);

	if (taken)
		s->vcpu.lapic.offered = 0;
	return taken;
}

/* One entry and exit: V_IRQ consumed or not, EXITINTINFO as given. */
static bool run(struct svm_vcpu *s, u64 code, bool consumed, u32 info)
{
	svm_event_prepare(s);
	block.exit_code = code;
	block.exit_int_info = info;
	if (consumed)
		block.int_ctl &= ~(u32)V_IRQ;
	return complete(s);
}

static void offered_interrupt_is_taken_when_v_irq_clears(void **state)
{
	struct svm_vcpu *s = fresh();

	s->vcpu.lapic.offered = 0x31;
	assert_false(run(s, VMEXIT_HLT, false, 0));
	assert_int_equal(block.int_vector, 0x31);
	assert_int_equal(block.int_ctl >> V_INTR_PRIO_SHIFT & 0xf, 2); /* TCG: above V_TPR */
	assert_int_equal(s->vcpu.lapic.offered, 0x31);
	assert_true(run(s, VMEXIT_HLT, true, 0));
	assert_int_equal(s->vcpu.lapic.offered, 0);
	assert_false(run(s, VMEXIT_HLT, false, 0));
	assert_false(block.int_ctl & V_IRQ);
}

static void interrupted_delivery_is_repeated(void **state)
{
	static const struct {
		const char *what;
		u64 code;
		bool consumed;
		u32 info, injected;
		bool taken;
		u32 again; /* EVENTINJ for the next entry */
		u8 offered;
	} cases[] = {
		{"virtual interrupt", VMEXIT_NPF, true, HV_EVENT_VALID | 0x31, 0, true,
		 HV_EVENT_VALID | 0x31, 0},
		{"the same under TCG: V_IRQ stays, type exception", VMEXIT_NPF, false,
		 HV_EVENT_VALID | HV_EVENT_EXCEPTION | 0x31, 0, true, HV_EVENT_VALID | 0x31, 0},
		{"virtual interrupt after an injected event, TCG", VMEXIT_NPF, false,
		 HV_EVENT_VALID | HV_EVENT_EXCEPTION | 0x31,
		 HV_EVENT_VALID | HV_EVENT_EXCEPTION | 6, true, HV_EVENT_VALID | 0x31, 0},
		{"page fault", VMEXIT_NPF, false,
		 HV_EVENT_VALID | HV_EVENT_EXCEPTION | HV_EVENT_ERROR | 14, 0, false,
		 HV_EVENT_VALID | HV_EVENT_EXCEPTION | HV_EVENT_ERROR | 14, 0x31},
		{"INT n runs again", VMEXIT_NPF, false, HV_EVENT_VALID | HV_EVENT_SOFT_INT | 0x80,
		 0, false, 0, 0x31},
		{"INT3 runs again", VMEXIT_NPF, false, HV_EVENT_VALID | HV_EVENT_EXCEPTION | 3, 0,
		 false, 0, 0x31},
		{"injected INT n is injected again", VMEXIT_NPF, false,
		 HV_EVENT_VALID | HV_EVENT_SOFT_INT | 0x80,
		 HV_EVENT_VALID | HV_EVENT_SOFT_INT | 0x80, false,
		 HV_EVENT_VALID | HV_EVENT_SOFT_INT | 0x80, 0x31},
		{"#AC replaces the event, the interrupt stays offered", VMEXIT_EXCP0 + 17, true,
		 HV_EVENT_VALID | 0x31, 0, false, 0, 0x31},
		{"a machine check does not", VMEXIT_EXCP0 + 18, true, HV_EVENT_VALID | 0x31, 0,
		 true, HV_EVENT_VALID | 0x31, 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct svm_vcpu *s = fresh();
		bool taken;

		s->vcpu.lapic.offered = 0x31;
		block.event_inj = cases[i].injected;
		taken = run(s, cases[i].code, cases[i].consumed, cases[i].info);
		if (taken != cases[i].taken || block.event_inj != cases[i].again ||
		    s->vcpu.lapic.offered != cases[i].offered)
			fail_msg("%s: expected taken %d EVENTINJ %#x offered %#x, got %d %#x %#x",
				 cases[i].what, cases[i].taken, cases[i].again, cases[i].offered,
				 taken, block.event_inj, s->vcpu.lapic.offered);
		if (block.event_inj && svm_can_inject(&s->vcpu, HV_EVENT_EXCEPTION))
			fail_msg("%s: a second event may be injected", cases[i].what);
	}
}

/* Under QEMU's TCG an interrupt in EVENTINJ can arrive twice; V_IRQ arrives once. */
static void interrupt_to_inject_goes_as_a_virtual_one(void **state)
{
	static const u32 irq = HV_EVENT_VALID | HV_EVENT_IRQ | 8;
	static const struct {
		const char *what;
		u64 code;
		bool consumed;
		u32 info, again; /* EXITINTINFO; EVENTINJ after the exit */
	} cases[] = {
		{"delivered", VMEXIT_HLT, true, 0, 0},
		{"an exit came before it", VMEXIT_INTR, false, 0, irq},
		{"its delivery was broken off", VMEXIT_NPF, true, irq, irq},
		{"the same under TCG", VMEXIT_NPF, false, irq | HV_EVENT_EXCEPTION, irq},
		{"an exception's delivery after it was broken off", VMEXIT_NPF, true,
		 HV_EVENT_VALID | HV_EVENT_EXCEPTION | 6, HV_EVENT_VALID | HV_EVENT_EXCEPTION | 6},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct svm_vcpu *s = fresh();

		svm_inject(&s->vcpu, irq, 0);
		svm_event_prepare(s);
		assert_int_equal(block.event_inj, 0);
		assert_int_equal(block.int_vector, 8);
		assert_int_equal(block.int_ctl & (V_IRQ | V_IGN_TPR), V_IRQ | V_IGN_TPR);
		block.event_inj = irq;
		assert_false(run(s, cases[i].code, cases[i].consumed, cases[i].info));
		if (block.event_inj != cases[i].again)
			fail_msg("%s: expected EVENTINJ %#x, got %#x", cases[i].what,
				 cases[i].again, block.event_inj);
	}
}

/* On every other engine EVENTINJ is for interrupts too. */
static void without_tcg_an_interrupt_goes_by_eventinj_once_the_guest_is_ready(void **state)
{
	static const u32 irq = HV_EVENT_VALID | HV_EVENT_IRQ | 0x31;
	static const struct {
		const char *what;
		u64 rflags, int_state, cr8;
		u32 event, eventinj;
	} cases[] = {
		{"ready", RFLAGS_IF, 0, 2, 0, irq},
		{"IF is clear", 0, 0, 0, 0, 0},
		{"behind STI", RFLAGS_IF, INT_STATE_SHADOW, 0, 0, 0},
		{"TPR holds it back", RFLAGS_IF, 0, 3, 0, 0},
		{"behind an exception", RFLAGS_IF, 0, 0, HV_EVENT_VALID | HV_EVENT_EXCEPTION | 6,
		 HV_EVENT_VALID | HV_EVENT_EXCEPTION | 6},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct svm_vcpu *s = fresh();
		bool waits = cases[i].eventinj != irq;

		cpu_facts.tcg = false;
		private.regs.rflags = cases[i].rflags;
		block.int_state = cases[i].int_state;
		vlapic_cr8_set(&s->vcpu.lapic, cases[i].cr8);
		block.event_inj = cases[i].event;
		s->vcpu.lapic.offered = 0x31;
		svm_event_prepare(s);
		if (block.event_inj != cases[i].eventinj)
			fail_msg("%s: expected EVENTINJ %#x, got %#x", cases[i].what,
				 cases[i].eventinj, block.event_inj);
		/* what waits leaves the guest at the moment of its delivery */
		assert_int_equal(!!(block.int_ctl & V_IRQ), waits);
		assert_int_equal(intercepted(&block, VMEXIT_VINTR), waits);
		assert_int_equal(block.int_ctl >> V_INTR_PRIO_SHIFT & 0x1f, waits ? 3 : 0);
		block.exit_code = waits ? VMEXIT_VINTR : VMEXIT_HLT;
		assert_int_equal(complete(s), !waits);
	}
}

static void without_tcg_an_interrupted_delivery_is_repeated(void **state)
{
	static const u32 irq = HV_EVENT_VALID | HV_EVENT_IRQ | 0x31;
	static const struct {
		const char *what;
		u64 code;
		bool taken;
		u32 again;
	} cases[] = {
		{"a nested page fault", VMEXIT_NPF, true, irq},
		{"#AC takes its place, it stays offered", VMEXIT_EXCP0 + 17, false, 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct svm_vcpu *s = fresh();

		cpu_facts.tcg = false;
		s->vcpu.lapic.offered = 0x31;
		if (run(s, cases[i].code, false, irq) != cases[i].taken ||
		    block.event_inj != cases[i].again || !s->vcpu.lapic.offered != cases[i].taken)
			fail_msg("%s: EVENTINJ %#x, offered %#x", cases[i].what, block.event_inj,
				 s->vcpu.lapic.offered);
	}
	fresh();
	cpu_facts.tcg = false;
	svm_inject(&vcpu.vcpu, HV_EVENT_IRQ | 8, 0);
	svm_event_prepare(&vcpu);
	assert_int_equal(block.event_inj, HV_EVENT_VALID | HV_EVENT_IRQ | 8);
	assert_false(block.int_ctl & V_IRQ);
}

/* The CPU has cleared EVENTINJ, and EXITINTINFO is of no entry: TCG copies EVENTINJ there. */
static void refused_entry_delivers_nothing_and_loses_nothing(void **state)
{
	static const u32 ud = HV_EVENT_VALID | HV_EVENT_EXCEPTION | EXC_UD,
			 irq = HV_EVENT_VALID | HV_EVENT_IRQ | 8;
	static const u64 codes[] = {VMEXIT_INVALID, (u32)VMEXIT_INVALID, VMEXIT_BUSY};
	static const struct {
		const char *what;
		bool tcg;
		u8 offered;
		u32 event;
		bool v_irq; /* left */
	} cases[] = {
		{"an offer in EVENTINJ", false, 0x31, 0, false},
		{"an offer behind an exception", false, 0x31, ud, true},
		{"an exception", false, 0, ud, false},
		{"an interrupt", false, 0, irq, false},
		{"an offer as V_IRQ", true, 0x31, 0, true},
		{"an offer as V_IRQ, which is gone", true, 0x31, 0, false},
		{"an interrupt as V_IRQ", true, 0, irq, false},
		{"an exception and an offer as V_IRQ", true, 0x31, ud, true},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases) * ARRAY_SIZE(codes); i++) {
		u32 n = i / ARRAY_SIZE(codes), event = cases[n].event;
		struct svm_vcpu *s = fresh();

		cpu_facts.tcg = cases[n].tcg;
		s->vcpu.lapic.offered = cases[n].offered;
		block.event_inj = event;
		svm_event_prepare(s);
		block.exit_code = codes[i % ARRAY_SIZE(codes)];
		block.exit_int_info = block.event_inj;
		block.event_inj = 0;
		if (!cases[n].v_irq)
			block.int_ctl &= ~(u32)V_IRQ;
		if (complete(s))
			fail_msg("%s, code %#lx: taken", cases[n].what, block.exit_code);
		if (block.event_inj != event || s->vcpu.lapic.offered != cases[n].offered)
			fail_msg("%s, code %#lx: expected EVENTINJ %#x, offered %#x; got %#x, %#x",
				 cases[n].what, block.exit_code, event, cases[n].offered,
				 block.event_inj, s->vcpu.lapic.offered);
		if (s->virq != SVM_VIRQ_OTHER)
			fail_msg("%s: a virtual interrupt is left over", cases[n].what);
		/* the flush of all that may have been asked for was not made either */
		assert_true(cpu.next_asid > svm_max_asid());
	}
}

static void interrupt_stays_in_eventinj_where_v_irq_cannot_carry_it(void **state)
{
	static const u32 irq = HV_EVENT_VALID | HV_EVENT_IRQ | 8;
	static const struct {
		const char *what;
		u8 offered;
		bool window;
		u32 event;
	} cases[] = {
		{"another is offered", 0x31, false, irq},
		{"a window is wanted", 0, true, irq},
		{"INT n", 0, false, HV_EVENT_VALID | HV_EVENT_SOFT_INT | 8},
		{"an exception", 0, false, HV_EVENT_VALID | HV_EVENT_EXCEPTION | 6},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct svm_vcpu *s = fresh();

		block.event_inj = cases[i].event;
		s->vcpu.lapic.offered = cases[i].offered;
		if (cases[i].window)
			svm_want_window(&s->vcpu, HV_EVENT_IRQ);
		svm_event_prepare(s);
		if (block.event_inj != cases[i].event)
			fail_msg("%s: expected EVENTINJ %#x, got %#x", cases[i].what,
				 cases[i].event, block.event_inj);
	}
}

static void window_takes_the_place_of_the_offer(void **state)
{
	struct svm_vcpu *s = fresh();

	s->vcpu.lapic.offered = 0x31;
	svm_want_window(&s->vcpu, HV_EVENT_IRQ);
	assert_false(run(s, VMEXIT_VINTR, false, 0));
	assert_true(intercepted(&block, VMEXIT_VINTR));
	assert_true(block.int_ctl & V_IGN_TPR);
	assert_int_equal(s->vcpu.lapic.offered, 0x31);
	assert_true(run(s, VMEXIT_HLT, true, 0));
	assert_false(intercepted(&block, VMEXIT_VINTR));
}

static void nmi_is_blocked_until_its_iret_is_over(void **state)
{
	struct svm_vcpu *s = fresh();

	assert_true(svm_can_inject(&s->vcpu, HV_EVENT_NMI));
	svm_inject(&s->vcpu, HV_EVENT_NMI, 0);
	assert_int_equal(block.event_inj, HV_EVENT_VALID | 2u << 8 | 2);
	block.rip = 0x2000;
	run(s, VMEXIT_INTR, false, 0);
	assert_false(svm_can_inject(&s->vcpu, HV_EVENT_NMI));
	assert_true(intercepted(&block, VMEXIT_IRET));
	run(s, VMEXIT_IRET, false, 0);
	assert_false(intercepted(&block, VMEXIT_IRET));
	assert_false(svm_can_inject(&s->vcpu, HV_EVENT_NMI));
	run(s, VMEXIT_INTR, false, 0); /* the IRET has not run yet */
	assert_false(svm_can_inject(&s->vcpu, HV_EVENT_NMI));
	block.rip = 0x1000;
	run(s, VMEXIT_INTR, false, 0);
	assert_true(svm_can_inject(&s->vcpu, HV_EVENT_NMI));
}

static void nmi_waits_for_one_instruction_under_tf(void **state)
{
	struct svm_vcpu *s = fresh();
	u64 flags = private.regs.rflags;

	block.int_state = INT_STATE_SHADOW;
	assert_false(svm_can_inject(&s->vcpu, HV_EVENT_NMI));
	svm_want_window(&s->vcpu, HV_EVENT_NMI);
	svm_event_prepare(s);
	assert_true(private.regs.rflags & RFLAGS_TF);
	private.regs.dr6 |= DR6_BS;
	block.exit_code = VMEXIT_EXCP0 + EXC_DB;
	svm_event_complete(s);
	assert_int_equal(private.regs.rflags, flags);
	assert_false(private.regs.dr6 & DR6_BS);
	assert_int_equal(block.exit_code, VMEXIT_IRET);

	/* Bochs names no cause. */
	svm_want_window(&s->vcpu, HV_EVENT_NMI);
	run(s, VMEXIT_EXCP0 + EXC_DB, false, 0);
	assert_int_equal(block.exit_code, VMEXIT_IRET);

	/*
	 * A guest that steps itself gets its trap; a breakpoint that was hit with ours is the
	 * guest's.
	 */
	private.regs.rflags |= RFLAGS_TF;
	private.regs.dr6 |= DR6_BS;
	svm_want_window(&s->vcpu, HV_EVENT_NMI);
	run(s, VMEXIT_EXCP0 + EXC_DB, false, 0);
	assert_int_equal(block.exit_code, VMEXIT_EXCP0 + EXC_DB);
	assert_true(private.regs.dr6 & DR6_BS);
	private.regs.rflags = flags;
	private.regs.dr6 |= 1;
	svm_want_window(&s->vcpu, HV_EVENT_NMI);
	run(s, VMEXIT_EXCP0 + EXC_DB, false, 0);
	assert_int_equal(block.exit_code, VMEXIT_EXCP0 + EXC_DB);
}

static void interrupts_need_if_and_no_shadow(void **state)
{
	struct svm_vcpu *s = fresh();

	assert_true(svm_can_inject(&s->vcpu, HV_EVENT_IRQ));
	block.int_state = INT_STATE_SHADOW;
	assert_false(svm_can_inject(&s->vcpu, HV_EVENT_IRQ));
	block.int_state = 0;
	private.regs.rflags = 0;
	assert_false(svm_can_inject(&s->vcpu, HV_EVENT_IRQ));
	assert_true(svm_can_inject(&s->vcpu, HV_EVENT_EXCEPTION));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codes_have_their_reasons),
		cmocka_unit_test(all_that_is_decoded_is_intercepted),
		cmocka_unit_test(next_rip_gives_the_length_where_it_makes_sense),
		cmocka_unit_test(port_exits_decode),
		cmocka_unit_test(nested_faults_decode),
		cmocka_unit_test(offered_interrupt_is_taken_when_v_irq_clears),
		cmocka_unit_test(interrupted_delivery_is_repeated),
		cmocka_unit_test(interrupt_to_inject_goes_as_a_virtual_one),
		cmocka_unit_test(without_tcg_an_interrupt_goes_by_eventinj_once_the_guest_is_ready),
		cmocka_unit_test(without_tcg_an_interrupted_delivery_is_repeated),
		cmocka_unit_test(refused_entry_delivers_nothing_and_loses_nothing),
		cmocka_unit_test(interrupt_stays_in_eventinj_where_v_irq_cannot_carry_it),
		cmocka_unit_test(window_takes_the_place_of_the_offer),
		cmocka_unit_test(nmi_is_blocked_until_its_iret_is_over),
		cmocka_unit_test(nmi_waits_for_one_instruction_under_tf),
		cmocka_unit_test(interrupts_need_if_and_no_shadow),
	};

	return cmocka_run_group_tests_name("svm_exit", tests, NULL, NULL);
}
