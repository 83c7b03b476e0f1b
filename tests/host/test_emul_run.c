// SOURCES: vmm/emul.c vmm/emul_walk.c vmm/emul_operand.c vmm/emul_alu.c vmm/emul_string.c
// SOURCES: vmm/emul_system.c vmm/emul_segment.c vmm/emul_flow.c vmm/emul_integer.c
// SOURCES: vmm/emul_any.c vmm/emul_task.c lib/insn_decode.c vmm/insn_forms.c lib/guest_rules.c
/*
 * Code that the CPU can't run: events through the real-mode table, what is left to the kernel, when
 * it must be asked, and segments of protected mode. What single instructions do: real-insns.
 */
#include "emul_machine.h"

#include "vmm/emul_priv.h"

#define HANDLER 0x1500u
#define STACK 0x7000u
#define EVENT(type, vector) (1u << 31 | (type) << 8 | (vector))

/* Real mode, code segment 0, all vectors lead to HANDLER. */
static void enter_real(const void *code, u32 n)
{
	enter_flat(false, false);
	for (u32 i = 0; i < 256; i++)
		put32(i * 4, HANDLER);
	m.s.idtr.limit = 0x3ff;
	m.s.gpr[GPR_RSP] = STACK;
	memcpy(m.ram + CODE, code, n);
}

#define ENTER(...) enter_real((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

static u16 pushed(u32 n)
{
	u16 v;

	memcpy(&v, m.ram + STACK - n * 2, 2);
	return v;
}

static void an_interrupt_goes_through_the_table(void **state)
{
	ENTER(0x90);
	m.s.rflags = 2 | RFLAGS_IF | RFLAGS_TF;
	m.s.seg[SEG_CS].selector = 0x100;
	m.s.seg[SEG_CS].base = 0x1000;
	m.s.rip = 0;
	m.s.event.injecting = EVENT(0u, 0x40);
	assert_int_equal(emul_run(&m.e, 1), EMUL_OK);
	assert_int_equal(m.s.rip, HANDLER);
	assert_int_equal(m.s.seg[SEG_CS].base, 0);
	assert_int_equal(m.s.rflags, 2);
	assert_int_equal(m.s.event.injecting, 0);
	assert_int_equal(pushed(1), 2 | RFLAGS_IF | RFLAGS_TF);
	assert_int_equal(pushed(2), 0x100);
	assert_int_equal(pushed(3), 0);
	assert_int_equal(m.e.dirty, STATE_GPR | STATE_SEG | STATE_EVENT);
}

static void a_long_string_ends_the_run(void **state)
{
	ENTER(0x67, 0xf3, 0x6e); /* rep outsb, by ECX */
	m.s.gpr[GPR_RCX] = 0xffffffff;
	m.s.gpr[GPR_RSI] = 0;
	m.s.seg[SEG_DS].limit = 0xffffffff;
	assert_int_equal(emul_run(&m.e, 256), EMUL_OK);
	assert_int_equal(m.s.rip, CODE);
	assert_in_range(0xffffffff - m.s.gpr[GPR_RCX], 1, EMUL_STRING_MAX);
}

static void a_single_step_ends_a_hlt(void **state)
{
	ENTER(0xf4);
	m.s.rflags = 2 | RFLAGS_TF;
	assert_int_equal(emul_run(&m.e, 1), EMUL_OK);
	assert_int_equal(m.s.event.activity, VCPU_RUNNABLE);
	ENTER(0xf4);
	m.s.rflags = 2;
	assert_int_equal(emul_run(&m.e, 1), EMUL_OK);
	assert_int_equal(m.s.event.activity, VCPU_HALTED);
}

static void an_nmi_blocks_others_until_iret(void **state)
{
	ENTER(0x90);
	m.ram[HANDLER] = 0xcf;
	m.s.event.injecting = EVENT(2u, 2);
	assert_int_equal(emul_run(&m.e, 1), EMUL_OK);
	assert_int_equal(m.s.event.nmi_blocked, 1);
	/* the kernel may have another: it is asked */
	assert_int_equal(emul_run(&m.e, 100), EMUL_OK);
	assert_int_equal(m.s.event.nmi_blocked, 0);
	assert_int_equal(m.s.rip, CODE);
}

/* Without a table of its size, or without a stack, it ends as on a CPU. */
static void a_table_that_is_too_short_ends_in_a_triple_fault(void **state)
{
	ENTER(0xcd, 0x40); /* INT 0x40 */
	m.s.idtr.limit = 0x40 * 4 + 2;
	assert_int_equal(emul_run(&m.e, 2), EMUL_OK);
	assert_int_equal(m.s.rip, HANDLER); /* of #GP */
	assert_int_equal(pushed(3), CODE);

	ENTER(0xcd, 0x40);
	m.s.idtr.limit = EXC_DF * 4 + 3;
	assert_int_equal(emul_run(&m.e, 3), EMUL_OK);
	assert_int_equal(m.s.rip, HANDLER); /* of #DF */

	ENTER(0xcd, 0x40);
	m.s.idtr.limit = 0;
	assert_int_equal(emul_run(&m.e, 100), EMUL_SHUTDOWN);
}

static void a_single_step_traps_behind_the_instruction(void **state)
{
	ENTER(0x40, 0x40);
	m.s.rflags |= RFLAGS_TF;
	assert_int_equal(emul_run(&m.e, 2), EMUL_OK);
	assert_int_equal(m.s.rip, HANDLER);
	assert_int_equal(pushed(3), CODE + 1);
	assert_int_equal(m.s.dr6 & DR6_BS, DR6_BS);

	ENTER(0x8e, 0xd0, 0x40); /* MOV SS, AX: behind the next one */
	m.s.rflags |= RFLAGS_TF;
	assert_int_equal(emul_run(&m.e, 3), EMUL_OK);
	assert_int_equal(m.s.rip, HANDLER);
	assert_int_equal(pushed(3), CODE + 3);

	ENTER(0xfb, 0x40); /* STI holds off interrupts only */
	m.s.rflags |= RFLAGS_TF;
	assert_int_equal(emul_run(&m.e, 2), EMUL_OK);
	assert_int_equal(m.s.rip, HANDLER);
	assert_int_equal(pushed(3), CODE + 1);
}

static void code_ends_with_its_segment(void **state)
{
	for (u32 missing = 0; missing < 3; missing++) {
		ENTER(0xb8, 0x34, 0x12); /* MOV AX, 0x1234 */
		m.s.seg[SEG_CS].limit = CODE + 2 - missing;
		assert_int_equal(emul_run(&m.e, 1), EMUL_OK);
		if (!missing) {
			assert_int_equal(m.s.rip, CODE + 3);
			continue;
		}
		assert_int_equal(m.s.event.injecting, EVENT(3u, EXC_GP));
		assert_int_equal(m.s.rip, CODE);
	}
	ENTER(0x90);
	m.s.seg[SEG_CS].limit = CODE;
	assert_int_equal(emul_run(&m.e, 2), EMUL_OK);
	assert_int_equal(m.s.rip, CODE + 1);
	assert_int_equal(m.s.event.injecting, EVENT(3u, EXC_GP));
}

static void xcr0_is_read_where_the_guest_enabled_it(void **state)
{
	ENTER(0x0f, 0x01, 0xd0);
	m.s.gpr[GPR_RCX] = 0;
	m.s.xcr0 = 7;
	assert_int_equal(emul_run(&m.e, 1), EMUL_OK);
	assert_int_equal(m.s.event.injecting, EVENT(3u, EXC_UD));
	for (u32 rcx = 0; rcx < 2; rcx++) {
		ENTER(0x0f, 0x01, 0xd0);
		m.s.cr4 = CR4_OSXSAVE;
		m.s.xcr0 = 7;
		m.s.gpr[GPR_RAX] = m.s.gpr[GPR_RDX] = ~0ull;
		m.s.gpr[GPR_RCX] = rcx;
		assert_int_equal(emul_run(&m.e, 1), EMUL_OK);
		assert_int_equal(m.s.event.injecting, rcx ? EVENT(3u, EXC_GP) : 0);
		assert_int_equal(m.s.gpr[GPR_RAX], rcx ? ~0ull : 7);
	}
}

/* Where an interrupt could come the kernel looks, after so many instructions anyway. */
static void the_kernel_is_asked_in_time(void **state)
{
	static const struct {
		u8 code[6];
		u32 executed; /* bytes */
		bool open, halted;
	} cases[] = {
		{{0x40, 0x40, 0x40, 0x40, 0x40, 0x40}, 5, false, false},
		{{0xfb, 0x40, 0x41, 0x41, 0x41, 0x41}, 2, false, false}, /* STI has a shadow */
		{{0xfb, 0xfb, 0x41, 0x41, 0x41, 0x41}, 2, false, false},
		{{0xfb, 0x40, 0x41, 0x41, 0x41, 0x41}, 5, true, false},
		{{0x40, 0xf4, 0x41, 0x41, 0x41, 0x41}, 2, true, true},	 /* HLT */
		{{0x0f, 0x01, 0xf0, 0x40, 0x40, 0x40}, 3, false, false}, /* LMSW: PE */
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		enter_real(cases[i].code, sizeof(cases[i].code));
		m.s.gpr[GPR_RAX] = CR0_PE;
		m.s.rflags |= cases[i].open ? RFLAGS_IF : 0u;
		assert_int_equal(emul_run(&m.e, 5), EMUL_OK);
		assert_int_equal(m.s.rip, CODE + cases[i].executed);
		assert_int_equal(m.s.event.activity, cases[i].halted ? VCPU_HALTED : VCPU_RUNNABLE);
		assert_int_equal(m.s.event.sti_blocked, 0);
	}
}

static void a_wrmsr_ends_the_run(void **state)
{
	ENTER(0x0f, 0x30, 0x90, 0x90); /* wrmsr; nop; nop */
	m.s.gpr[GPR_RCX] = 0x10;
	assert_int_equal(emul_run(&m.e, 5), EMUL_OK);
	assert_int_equal(m.s.rip, CODE + 2); /* the TSC's offset, CR8: all may be others */
	ENTER(0x0f, 0x32, 0x90, 0xf4);	     /* rdmsr; nop; hlt */
	m.s.gpr[GPR_RCX] = 0x10;
	assert_int_equal(emul_run(&m.e, 5), EMUL_OK);
	assert_int_equal(m.s.rip, CODE + 4);
}

static void what_the_kernel_decides_is_left_to_it(void **state)
{
	static const struct {
		u8 code[3], what;
	} cases[] = {
		{{0x0f, 0xa2}, RUN_DO_CPUID},
		{{0x0f, 0x32}, RUN_DO_MSR_READ},
		{{0x0f, 0x30}, RUN_DO_MSR_WRITE},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		enter_real(cases[i].code, 3);
		m.s.gpr[GPR_RCX] = 0x800;
		assert_int_equal(emul_run(&m.e, 5), EMUL_KERNEL);
		assert_int_equal(m.e.carry_out, cases[i].what);
		assert_int_equal(m.e.insn.length, 2);
		assert_int_equal(m.s.rip, CODE);
		assert_int_equal(m.e.dirty, 0);
	}
}

static void faults_leave_the_state_as_it_was(void **state)
{
	static const struct {
		u8 code[5], vector;
	} cases[] = {
		{{0x0f, 0x0b}, EXC_UD},		    /* UD2 */
		{{0x0f, 0x00, 0xd0}, EXC_UD},	    /* LLDT in real mode */
		{{0xf7, 0xf1}, EXC_DE},		    /* DIV CX */
		{{0xd4, 0x00}, EXC_DE},		    /* AAM 0 */
		{{0x66, 0xe9, 0, 0}, EXC_GP},	    /* JMP beyond the limit */
		{{0xc4, 0xc0}, EXC_UD},		    /* LES of a register is no LES */
		{{0x8b, 0x06, 0xff, 0xff}, EXC_GP}, /* beyond the segment */
		{{0x89, 0x46, 0xff}, EXC_SS},	    /* [bp - 1], BP = 0 */
		{{0x8e, 0xc8}, EXC_UD},		    /* MOV CS, AX */
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vcpu_state before;

		enter_real(cases[i].code, sizeof(cases[i].code));
		m.ram[CODE + 5] = 1; /* JMP +0x1000000 */
		m.s.gpr[GPR_RCX] = 0;
		m.s.gpr[GPR_RAX] = 0x1234;
		before = m.s;
		if (emul_run(&m.e, 1) == EMUL_UNSUPPORTED) {
			assert_int_equal(cases[i].code[0], 0xc4); /* VEX is not known */
			continue;
		}
		assert_int_equal(m.s.event.injecting, EVENT(3u, cases[i].vector));
		m.s.event = before.event;
		assert_memory_equal(&m.s, &before, offsetof(struct vcpu_state, fpu));
	}
}

static void table_registers(void **state)
{
	ENTER(0x0f, 0x01, 0x16, 0x00, 0x20, 0x66, 0x0f, 0x01, 0x1e, 0x00, 0x20, 0x0f, 0x01, 0x06,
	      0x10, 0x20); /* LGDT [0x2000]; o32 LIDT [0x2000]; SGDT [0x2010] */
	put64(DATA, 0x89abcdef1234);
	assert_int_equal(emul_run(&m.e, 3), EMUL_OK);
	assert_int_equal(m.s.gdtr.limit, 0x1234);
	assert_int_equal(m.s.gdtr.base, 0xabcdef); /* 24 bits with 16-bit operands */
	assert_int_equal(m.s.idtr.base, 0x89abcdef);
	assert_int_equal(get64(DATA + 16), 0xabcdef1234);
}

/* ---- Protected mode that the CPU can't enter yet ---- */

#define GDT 0x3000u

static void enter_protected(const void *code, u32 n)
{
	enter_real(code, n);
	m.s.cr0 |= CR0_PE;
	put64(GDT + 0x08, 0x00cf9a000000ffff); /* code, 32 bits */
	put64(GDT + 0x10, 0x00cf92000000ffff); /* data */
	put64(GDT + 0x18, 0x00cf12000000ffff); /* data, not present */
	put64(GDT + 0x20, 0x00cff2000000ffff); /* data of ring 3 */
	put64(GDT + 0x28, 0x0000890040000067); /* TSS */
	put64(GDT + 0x30, 0x0000820050000007); /* LDT */
	put64(GDT + 0x38, 0x00cf98000000ffff); /* code that can't be read */
	m.s.gdtr = (struct table_state){.base = GDT, .limit = 0x3f};
}

#define FAULT(vector, selector) (vector) << 16 | (selector)

static void loads_of_segments_check_the_descriptor(void **state)
{
	static const struct {
		u8 modrm;
		u16 selector;
		u32 fault;
	} cases[] = {
		{0xd8, 0x10, 0},
		{0xd8, 0x13, FAULT(EXC_GP, 0x10)}, /* DS, RPL 3 of ring-0 data */
		{0xd8, 0x23, 0},
		{0xd8, 0x00, 0},
		{0xd8, 0x18, FAULT(EXC_NP, 0x18)},
		{0xd8, 0x28, FAULT(EXC_GP, 0x28)},
		{0xd8, 0x38, FAULT(EXC_GP, 0x38)},
		{0xd8, 0x40, FAULT(EXC_GP, 0x40)}, /* beyond the table */
		{0xd8, 0x14, FAULT(EXC_GP, 0x14)}, /* there is no LDT */
		{0xd0, 0x10, 0},		   /* SS */
		{0xd0, 0x00, FAULT(EXC_GP, 0)},
		{0xd0, 0x20, FAULT(EXC_GP, 0x20)},
		{0xd0, 0x08, FAULT(EXC_GP, 0x08)},
		{0xd0, 0x18, FAULT(EXC_SS, 0x18)},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		const u8 code[] = {0x8e, cases[i].modrm};
		const struct seg_state *g = &m.s.seg[cases[i].modrm == 0xd0 ? SEG_SS : SEG_DS];

		enter_protected(code, 2);
		m.s.gpr[GPR_RAX] = cases[i].selector;
		assert_int_equal(emul_run(&m.e, 1), EMUL_OK);
		if (cases[i].fault) {
			assert_int_equal(m.s.event.injecting & 0xff, cases[i].fault >> 16);
			assert_int_equal(m.s.event.injecting_error, cases[i].fault & 0xffff);
			continue;
		}
		assert_int_equal(m.s.event.injecting, 0);
		assert_int_equal(g->selector, cases[i].selector);
		assert_int_equal(!!(g->attr & SEG_ATTR_P), !!cases[i].selector);
		if (g->attr & SEG_ATTR_P)
			assert_int_equal(get64(GDT + (cases[i].selector & ~7u)) >> 40 & 1, 1);
	}
}

static void a_far_jump_to_no_segment_faults_or_is_named(void **state)
{
	static const u8 jump[] = {0xea, 0x00, 0x00, 0x38, 0x00};
	static const struct {
		u8 type;
		const char *why; /* NULL: #GP */
	} cases[] = {{1, "far transfer to a task"},
		     {2, NULL},
		     {3, NULL},
		     {4, "far transfer through a call gate"},
		     {5, "far transfer to a task"},
		     {6, NULL},
		     {9, "far transfer to a task"},
		     {0xb, NULL},
		     {0xc, "far transfer through a call gate"},
		     {0xe, NULL},
		     {0xf, NULL}};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		enter_protected(jump, sizeof(jump));
		put64(GDT + 0x38, 0x80000000ffffull | (u64)cases[i].type << 40);
		assert_int_equal(emul_run(&m.e, 1), cases[i].why ? EMUL_UNSUPPORTED : EMUL_OK);
		if (cases[i].why)
			assert_string_equal(m.e.why, cases[i].why);
		else
			assert_int_equal(m.s.event.injecting, 0x80000b00 | EXC_GP);
		if (!cases[i].why)
			assert_int_equal(m.s.event.injecting_error, 0x38);
	}
}

static void a_far_jump_enters_32_bit_code(void **state)
{
	static const u8 jump[] = {0x66, 0xea, 0x78, 0x56, 0x34, 0x12, 0x08, 0x00};

	enter_protected(jump, sizeof(jump));
	assert_int_equal(emul_run(&m.e, 5), EMUL_OK);
	assert_int_equal(m.s.rip, 0x12345678);
	assert_int_equal(m.s.seg[SEG_CS].attr, 0xc9b);
	assert_int_equal(m.s.seg[SEG_CS].limit, 0xffffffff);
}

static void task_register_and_ldt(void **state)
{
	static const u8 ltr[] = {0x0f, 0x00, 0xd8}, lldt[] = {0x0f, 0x00, 0xd0};

	enter_protected(ltr, 3);
	m.s.gpr[GPR_RAX] = 0x28;
	assert_int_equal(emul_run(&m.e, 1), EMUL_OK);
	assert_int_equal(m.s.seg[SEG_TR].attr, 0x8b);
	assert_int_equal(get64(GDT + 0x28) >> 40 & 15, 11); /* busy: not again */
	m.s.rip = CODE;
	assert_int_equal(emul_run(&m.e, 1), EMUL_OK);
	assert_int_equal(m.s.event.injecting & 0xff, EXC_GP);

	enter_protected(lldt, 3);
	m.s.gpr[GPR_RAX] = 0x30;
	assert_int_equal(emul_run(&m.e, 1), EMUL_OK);
	assert_int_equal(m.s.seg[SEG_LDTR].base, 0x5000);
}

static void what_is_not_emulated_says_so(void **state)
{
	static const u8 iret[] = {0xcf}, apic[] = {0x67, 0xa1, 0x20, 0x00, 0xe0, 0xfe};

	enter_protected(iret, 1);
	assert_int_equal(emul_run(&m.e, 1), EMUL_UNSUPPORTED);
	assert_string_equal(m.e.why, "IRET in protected mode");
	enter_protected(iret, 1);
	m.s.event.injecting = EVENT(0u, 0x40);
	assert_int_equal(emul_run(&m.e, 1), EMUL_UNSUPPORTED);
	enter_real(apic, sizeof(apic));
	m.s.seg[SEG_DS].limit = 0xffffffff;
	assert_int_equal(emul_run(&m.e, 1), EMUL_UNSUPPORTED);
	assert_string_equal(m.e.why, "the local APIC's page in emulated code");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interrupt_goes_through_the_table),
		cmocka_unit_test(a_long_string_ends_the_run),
		cmocka_unit_test(a_single_step_ends_a_hlt),
		cmocka_unit_test(an_nmi_blocks_others_until_iret),
		cmocka_unit_test(a_table_that_is_too_short_ends_in_a_triple_fault),
		cmocka_unit_test(a_single_step_traps_behind_the_instruction),
		cmocka_unit_test(code_ends_with_its_segment),
		cmocka_unit_test(xcr0_is_read_where_the_guest_enabled_it),
		cmocka_unit_test(the_kernel_is_asked_in_time),
		cmocka_unit_test(a_wrmsr_ends_the_run),
		cmocka_unit_test(what_the_kernel_decides_is_left_to_it),
		cmocka_unit_test(faults_leave_the_state_as_it_was),
		cmocka_unit_test(table_registers),
		cmocka_unit_test(loads_of_segments_check_the_descriptor),
		cmocka_unit_test(a_far_jump_to_no_segment_faults_or_is_named),
		cmocka_unit_test(a_far_jump_enters_32_bit_code),
		cmocka_unit_test(task_register_and_ldt),
		cmocka_unit_test(what_is_not_emulated_says_so),
	};

	return cmocka_run_group_tests_name("emul_run", tests, machine_setup, machine_teardown);
}
