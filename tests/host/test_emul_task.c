// SOURCES: vmm/emul.c vmm/emul_walk.c vmm/emul_operand.c vmm/emul_alu.c vmm/emul_string.c
// SOURCES: vmm/emul_system.c vmm/emul_segment.c vmm/emul_flow.c vmm/emul_integer.c
// SOURCES: vmm/emul_any.c vmm/emul_task.c lib/insn_decode.c vmm/insn_forms.c lib/guest_rules.c
/*
 * Task switches: what is saved and loaded, busy bits, links and NT, and what is wrong with a task.
 */
#include "arch/event.h"
#include "emul_machine.h"

#include "vmm/emul_priv.h"

#define GDT 0x3000u
#define OLD 0x4000u
#define NEW 0x5000u
#define STACK 0x7000u
enum {
	CODE_0 = 0x08,
	DATA_0 = 0x10,
	CODE_3 = 0x18 | 3,
	DATA_3 = 0x20 | 3,
	TSS_OLD = 0x28,
	TSS_NEW = 0x30,
	LDT = 0x38
};
enum {
	LINK = 0,
	CR3 = 0x1c,
	EIP = 0x20,
	EFLAGS = 0x24,
	EAX = 0x28,
	ESP = 0x38,
	EDI = 0x44,
	ES = 0x48,
	CS = 0x4c,
	SS = 0x50,
	DS = 0x54,
	FS = 0x58,
	GS = 0x5c,
	LDTR = 0x60,
	TRAP = 0x64
};

static u64 descriptor(u32 base, u32 limit, u32 attr)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)attr << 40 |
	       (u64)(base >> 24) << 56;
}

static void set_descriptor(u16 selector, u64 value) { put64(GDT + (selector & ~7u), value); }
static u32 type_of(u16 selector) { return get64(GDT + (selector & ~7u)) >> 40 & 0xf; }
static u32 word(u32 tss, u32 at) { return (u32)get64(tss + at); }

/* In task OLD, of ring 0; NEW is ready to run at 0x1234 in ring 0. */
static void prepare(void)
{
	enter_flat(true, true);
	set_descriptor(CODE_0, 0x00cf9a000000ffff);
	set_descriptor(DATA_0, 0x00cf92000000ffff);
	set_descriptor(CODE_3, 0x00cffa000000ffff);
	set_descriptor(DATA_3, 0x00cff2000000ffff);
	set_descriptor(TSS_OLD, descriptor(OLD, 0x67, 0x8b));
	set_descriptor(TSS_NEW, descriptor(NEW, 0x67, 0x89));
	set_descriptor(LDT, descriptor(0x3800, 7, 0x82));
	m.s.gdtr = (struct table_state){.base = GDT, .limit = 0x3f};
	m.s.seg[SEG_CS].selector = CODE_0;
	m.s.seg[SEG_SS].selector = m.s.seg[SEG_DS].selector = DATA_0;
	m.s.seg[SEG_TR] = (struct seg_state){TSS_OLD, 0x8b, 0x67, OLD};
	for (u32 i = 0; i < 8; i++)
		m.s.gpr[i] = 0x100 + i;
	put32(NEW + EIP, 0x1234);
	put32(NEW + EFLAGS, 0x202);
	put32(NEW + EAX, 0xaaaa);
	put32(NEW + EDI, 0xdddd);
	put32(NEW + ESP, STACK);
	put32(NEW + CS, CODE_0);
	for (u32 at = SS; at <= GS; at += 4)
		put32(NEW + at, DATA_0);
	put32(NEW + ES, 0);
}

static enum emul_result go(u8 source, u32 event, u32 error)
{
	const struct run_task t = {TSS_NEW, source, 5, event, error};

	return emul_task_switch(&m.e, &t);
}

static void a_jump_saves_one_task_and_loads_the_other(void **state)
{
	prepare();
	put32(NEW + LDTR, LDT);
	assert_int_equal(go(TASK_BY_JMP, 0, 0), EMUL_OK);
	assert_int_equal(word(OLD, EIP), CODE + 5);
	assert_int_equal(word(OLD, EFLAGS), 2);
	assert_int_equal(word(OLD, EAX), 0x100);
	assert_int_equal(word(OLD, EDI), 0x107);
	assert_int_equal(word(OLD, CS), CODE_0);
	assert_int_equal(m.s.rip, 0x1234);
	assert_int_equal(m.s.rflags, 0x202);
	assert_int_equal(m.s.gpr[GPR_RAX], 0xaaaa);
	assert_int_equal(m.s.gpr[GPR_RDI], 0xdddd);
	assert_int_equal(m.s.seg[SEG_TR].selector, TSS_NEW);
	assert_int_equal(m.s.seg[SEG_TR].attr, 0x8b);
	assert_int_equal(m.s.seg[SEG_TR].base, NEW);
	assert_int_equal(m.s.seg[SEG_LDTR].base, 0x3800);
	assert_int_equal(m.s.seg[SEG_CS].attr, 0xc9b);
	assert_int_equal(m.s.seg[SEG_DS].limit, 0xffffffff);
	assert_false(m.s.seg[SEG_ES].attr & SEG_ATTR_P);
	assert_true(m.s.cr0 & CR0_TS);
	assert_int_equal(type_of(TSS_OLD), 9);
	assert_int_equal(type_of(TSS_NEW), 11);
	assert_int_equal(type_of(DATA_0), 3); /* accessed */
	assert_int_equal(m.e.dirty, EMUL_GROUPS);
}

static void a_call_nests_and_iret_comes_back(void **state)
{
	const struct run_task back = {TSS_OLD, TASK_BY_IRET, 1, 0, 0};

	prepare();
	put32(OLD + CS, CODE_0); /* saved by the switch, too */
	assert_int_equal(go(TASK_BY_CALL, 0, 0), EMUL_OK);
	assert_int_equal(word(NEW, LINK), TSS_OLD);
	assert_int_equal(m.s.rflags, 0x202 | RFLAGS_NT);
	assert_int_equal(type_of(TSS_OLD), 11);
	assert_int_equal(type_of(TSS_NEW), 11);

	m.s.event.nmi_blocked = 1;
	assert_int_equal(emul_task_switch(&m.e, &back), EMUL_OK);
	assert_int_equal(m.s.rip, CODE + 5);
	assert_int_equal(m.s.gpr[GPR_RBX], 0x103);
	assert_int_equal(word(NEW, EFLAGS), 0x202); /* NT is gone from the saved flags */
	assert_int_equal(type_of(TSS_OLD), 11);
	assert_int_equal(type_of(TSS_NEW), 9);
	assert_int_equal(m.s.event.nmi_blocked, 0);
}

/* type of event: 0 interrupt, 2 NMI, 3 exception, 4 INT n */
static void a_gate_pushes_the_error_code_and_knows_who_came(void **state)
{
	static const struct {
		u32 event, pushed, eip;
		bool nmi;
	} cases[] = {
		{1u << 31 | 0x40, 0, CODE, false},
		{1u << 31 | 2 << 8 | 2, 0, CODE, true},
		{1u << 31 | 1 << 11 | 3 << 8 | 13, 4, CODE, false},
		{1u << 31 | 4 << 8 | 0x80, 0, CODE + 5, false},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		prepare();
		assert_int_equal(go(TASK_BY_GATE, cases[i].event, 0x18), EMUL_OK);
		assert_int_equal(word(OLD, EIP), cases[i].eip);
		assert_int_equal(m.s.gpr[GPR_RSP], STACK - cases[i].pushed);
		if (cases[i].pushed)
			assert_int_equal(word(STACK - 4, 0), 0x18);
		assert_int_equal(m.s.event.nmi_blocked, cases[i].nmi);
		assert_int_equal(word(NEW, LINK), TSS_OLD);
	}
}

static void another_ring_and_virtual_8086_mode(void **state)
{
	prepare();
	put32(NEW + CS, CODE_3);
	put32(NEW + SS, DATA_3);
	put32(NEW + DS, DATA_3);
	put32(NEW + FS, 0);
	put32(NEW + GS, 0);
	assert_int_equal(go(TASK_BY_JMP, 0, 0), EMUL_OK);
	assert_int_equal(m.s.seg[SEG_CS].selector, CODE_3);
	assert_int_equal(m.s.seg[SEG_SS].attr, 0xcf3);

	prepare();
	put32(NEW + EFLAGS, 0x20202);
	put32(NEW + CS, 0x1234);
	put32(NEW + SS, 0xffff);
	assert_int_equal(go(TASK_BY_JMP, 0, 0), EMUL_OK);
	assert_int_equal(m.s.seg[SEG_CS].base, 0x12340);
	assert_int_equal(m.s.seg[SEG_SS].attr, 0xf3);
	assert_int_equal(m.s.seg[SEG_SS].limit, 0xffff);
}

/* In the old task: nothing has changed. */
static void what_is_wrong_with_the_descriptor(void **state)
{
	static const struct {
		u64 tss;
		u8 source, vector;
	} cases[] = {
		{0x00008b0050000067, TASK_BY_JMP, EXC_GP},  /* busy */
		{0x0000890050000067, TASK_BY_IRET, EXC_TS}, /* not busy */
		{0x0000920050000067, TASK_BY_CALL, EXC_GP}, /* data */
		{0x0000090050000067, TASK_BY_JMP, EXC_NP},
		{0x0000890050000066, TASK_BY_JMP, EXC_TS}, /* too short */
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		prepare();
		set_descriptor(TSS_NEW, cases[i].tss);
		assert_int_equal(go(cases[i].source, 0, 0), EMUL_FAULT);
		assert_int_equal(m.s.event.injecting,
				 1u << 31 | 1 << 11 | 3 << 8 | cases[i].vector);
		assert_int_equal(m.s.event.injecting_error, TSS_NEW);
		assert_int_equal(m.s.rip, CODE);
		assert_int_equal(m.s.seg[SEG_TR].selector, TSS_OLD);
		assert_int_equal(type_of(TSS_OLD), 11);
	}
	prepare();
	set_descriptor(TSS_NEW, descriptor(NEW, 0x2b, 0x81));
	assert_int_equal(go(TASK_BY_JMP, 0, 0), EMUL_UNSUPPORTED);
	assert_string_equal(m.e.why, "a switch from or to a 16-bit task");
}

/* Intel SDM 3, "Checks on the Guest State Area": else the fault could not be delivered. */
static void assert_can_enter(void)
{
	const struct seg_state *cs = &m.s.seg[SEG_CS], *ss = &m.s.seg[SEG_SS];

	assert_int_equal(cs->attr & 0x99, 0x99);
	assert_int_equal(ss->attr & 0x9b, 0x93);
	assert_int_equal(cs->selector & 3, cs->attr >> 5 & 3);
	assert_int_equal(ss->selector & 3, cs->selector & 3);
	assert_int_equal(ss->attr >> 5 & 3, cs->selector & 3);
}

/* In the new task: its registers are loaded. */
static void what_is_wrong_with_the_new_task(void **state)
{
	static const struct {
		u32 at, value;
		u8 vector;
		u32 error;
	} cases[] = {
		{CS, 0, EXC_TS, 0},	      {CS, DATA_0, EXC_TS, DATA_0},
		{CS, CODE_3, EXC_TS, DATA_0}, /* SS is of ring 0 */
		{SS, 0, EXC_TS, 0},	      {SS, CODE_0, EXC_TS, CODE_0},
		{DS, 0x40, EXC_TS, 0x40},     {LDTR, DATA_0, EXC_TS, DATA_0},
		{TRAP, 1, EXC_DB, 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		prepare();
		put32(NEW + cases[i].at, cases[i].value);
		assert_int_equal(go(TASK_BY_JMP, 0, 0), EMUL_FAULT);
		assert_int_equal(m.s.event.injecting & 0xff, cases[i].vector);
		if (cases[i].vector != EXC_DB)
			assert_int_equal(m.s.event.injecting_error, cases[i].error);
		assert_int_equal(m.s.rip, 0x1234);
		assert_int_equal(m.s.seg[SEG_TR].selector, TSS_NEW);
		assert_can_enter();
	}
}

/* The first 2 MiB twice; what lies at table + 0x20 is no CPU's. */
static void enter_pae(u32 table)
{
	put64(table, (table + 0x1000) | 1);
	put64(table + 0x20, (table + 0x1000) | 1);
	put64(table + 0x28, (table + 0x1000) | 1 | 1ull << 63);
	put64(table + 0x40, (table + 0x1000) | 1);
	put64(table + 0x48, (table + 0x1000) | 1);
	put64(table + 0x1000, 0x83);
	m.s.cr0 |= CR0_PG;
	m.s.cr4 |= CR4_PAE;
	m.s.cr3 = table;
	m.s.pdpte[0] = (table + 0x1000) | 1;
	m.s.pdpte[1] = 0;
}

static void a_task_brings_its_pdptes(void **state)
{
	static const struct {
		const char *what;
		u32 offset; /* of the new task's CR3 */
		enum emul_result result;
		u32 cr3;
		bool second; /* the second PDPTE */
	} cases[] = {
		{"good", 0x40, EMUL_OK, 0x40, true},
		{"a reserved bit", 0x20, EMUL_FAULT, 0, false},
		{"the same CR3", 0, EMUL_OK, 0, false},
	};
	enum { TABLE = 0x8000 };

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		enum emul_result r;

		prepare();
		enter_pae(TABLE);
		put64(TABLE + 8, cases[i].offset ? 0 : (TABLE + 0x1000) | 1); /* not read again */
		put32(NEW + CR3, TABLE + cases[i].offset);
		r = go(TASK_BY_JMP, 0, 0);
		if (r != cases[i].result || m.s.cr3 != TABLE + cases[i].cr3 ||
		    !m.s.pdpte[1] == cases[i].second || m.s.pdpte[0] != (TABLE | 0x1001))
			fail_msg("%s: expected %d, CR3 %#x; got %d, CR3 %#lx, PDPTEs %#lx %#lx",
				 cases[i].what, cases[i].result, TABLE + cases[i].cr3, r, m.s.cr3,
				 m.s.pdpte[0], m.s.pdpte[1]);
		/* in the new task */
		assert_int_equal(m.s.rip, 0x1234);
		assert_int_equal(m.s.seg[SEG_TR].selector, TSS_NEW);
		if (r != EMUL_FAULT)
			continue;
		assert_int_equal(m.s.event.injecting,
				 HV_EVENT_VALID | HV_EVENT_ERROR | HV_EVENT_EXCEPTION | EXC_GP);
		assert_int_equal(m.s.event.injecting_error, 0);
		assert_can_enter();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_jump_saves_one_task_and_loads_the_other),
		cmocka_unit_test(a_call_nests_and_iret_comes_back),
		cmocka_unit_test(a_gate_pushes_the_error_code_and_knows_who_came),
		cmocka_unit_test(another_ring_and_virtual_8086_mode),
		cmocka_unit_test(what_is_wrong_with_the_descriptor),
		cmocka_unit_test(what_is_wrong_with_the_new_task),
		cmocka_unit_test(a_task_brings_its_pdptes),
	};

	return cmocka_run_group_tests_name("emul_task", tests, machine_setup, machine_teardown);
}
