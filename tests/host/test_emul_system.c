// SOURCES: vmm/emul.c vmm/emul_walk.c vmm/emul_operand.c vmm/emul_alu.c vmm/emul_string.c
// SOURCES: vmm/emul_system.c vmm/emul_segment.c vmm/emul_flow.c vmm/emul_integer.c
// SOURCES: vmm/emul_any.c vmm/emul_task.c lib/insn_decode.c vmm/insn_forms.c lib/guest_rules.c
/* The system instructions that the kernel leaves to the monitor: MOV CR and DR, MSRs, XSETBV. */
#include "emul_machine.h"

static void user_mode(void)
{
	m.s.seg[SEG_SS].attr |= 3 << 5;
	m.s.seg[SEG_CS].attr |= 3 << 5;
}

static void expect_fault(enum emul_result r, u8 vector)
{
	assert_int_equal(r, EMUL_FAULT);
	assert_int_equal(m.e.vector, vector);
	assert_int_equal(m.s.rip, CODE);
}

static void each_debug_register_is_moved(void **state)
{
	for (u8 n = 0; n < 8; n++) {
		u64 *reg = n < 4 ? &m.s.dr[n] : n & 1 ? &m.s.dr7 : &m.s.dr6; /* DR4, DR5: 6, 7 */

		enter_64();
		m.s.gpr[GPR_RCX] = n < 4 ? 0x123456789abcull : 0x401ull + n;
		assert_int_equal(STEP(0x0f, 0x23, (u8)(0xc1 | n << 3)), EMUL_OK); /* mov drN, rcx */
		assert_int_equal(*reg, m.s.gpr[GPR_RCX]);
		assert_int_equal(m.e.dirty, STATE_GPR | STATE_DR);
		assert_int_equal(m.s.rip, CODE + 3);
		m.s.rip = CODE;
		assert_int_equal(STEP(0x41, 0x0f, 0x21, (u8)(0xc0 | n << 3)), EMUL_OK); /* r8 */
		assert_int_equal(m.s.gpr[GPR_R8], *reg);
		assert_int_equal(m.e.dirty, STATE_GPR);
	}
}

static void outside_of_64_bit_code_a_debug_register_is_32_bits_wide(void **state)
{
	enter_flat(true, true);
	m.s.gpr[GPR_RAX] = 0xaaaaaaaa12345678ull;
	assert_int_equal(STEP(0x0f, 0x23, 0xc0), EMUL_OK);
	assert_int_equal(m.s.dr[0], 0x12345678);
	m.s.gpr[GPR_RAX] = ~0ull << 32 | 0x400;
	m.s.rip = CODE;
	assert_int_equal(STEP(0x0f, 0x23, 0xf8), EMUL_OK);
	assert_int_equal(m.s.dr7, 0x400);
}

static void debug_register_faults(void **state)
{
	enter_64();
	user_mode();
	expect_fault(STEP(0x0f, 0x21, 0xc0), EXC_GP);
	enter_64();
	m.s.cr4 |= CR4_DE;
	expect_fault(STEP(0x0f, 0x21, 0xe0), EXC_UD); /* DR4 */
	enter_64();
	expect_fault(STEP(0x44, 0x0f, 0x21, 0xc0), EXC_UD); /* DR8 */
	enter_64();
	m.s.gpr[GPR_RAX] = 1ull << 32;
	expect_fault(STEP(0x0f, 0x23, 0xf0), EXC_GP); /* DR6 */
	enter_64();
	m.s.gpr[GPR_RAX] = 1ull << 32;
	expect_fault(STEP(0x0f, 0x23, 0xf8), EXC_GP); /* DR7 */
	assert_int_equal(m.s.dr7, 0);
}

static void general_detect_comes_before_the_access(void **state)
{
	enter_64();
	m.s.dr7 = DR7_GD | 0x400;
	m.s.gpr[GPR_RAX] = 7;
	expect_fault(STEP(0x0f, 0x23, 0xc0), EXC_DB);
	assert_int_equal(m.s.dr[0], 0);
	assert_int_equal(m.s.dr7, 0x400);
	assert_true(m.s.dr6 & DR6_BD);
	assert_true(m.e.dirty & STATE_DR);
	assert_int_equal(m.s.event.injecting & 0xfff, 3 << 8 | EXC_DB);
}

static void lmsw_sets_pe_and_never_clears_it(void **state)
{
	enter_flat(false, false);
	m.s.cr0 = CR0_ET;
	m.s.gpr[GPR_RAX] = 0xfff0 | CR0_PE | CR0_MP;
	assert_int_equal(STEP(0x0f, 0x01, 0xf0), EMUL_OK); /* lmsw ax */
	assert_int_equal(m.s.cr0, CR0_ET | CR0_PE | CR0_MP);
	assert_int_equal(m.e.dirty, STATE_GPR); /* the kernel has it */
	m.s.rip = CODE;
	m.s.gpr[GPR_RAX] = CR0_TS;
	assert_int_equal(STEP(0x0f, 0x01, 0xf0), EMUL_OK);
	assert_int_equal(m.s.cr0, CR0_ET | CR0_PE | CR0_TS);
}

static void lmsw_reads_16_bits_of_memory(void **state)
{
	enter_64();
	m.s.gpr[GPR_RDI] = DATA;
	put64(DATA, ~0ull << 16 | CR0_PE | CR0_TS);
	assert_int_equal(STEP(0x0f, 0x01, 0x37), EMUL_OK);
	assert_int_equal(m.s.cr0, CR0_PG | CR0_WP | CR0_PE | CR0_TS);
	enter_64();
	user_mode();
	expect_fault(STEP(0x0f, 0x01, 0xf0), EXC_GP);
}

static enum emul_result xsetbv(u64 offered, u32 rcx, u64 value)
{
	enter_64();
	m.s.cr4 |= CR4_OSXSAVE;
	m.e.xcr0 = offered;
	m.s.xcr0 = 1;
	m.s.gpr[GPR_RCX] = rcx;
	m.s.gpr[GPR_RAX] = (u32)value;
	m.s.gpr[GPR_RDX] = value >> 32;
	return STEP(0x0f, 0x01, 0xd1);
}

static void xsetbv_takes_what_is_offered(void **state)
{
	static const struct {
		u64 offered, value;
		bool ok;
	} cases[] = {
		{7, 1, true},  {7, 3, true},
		{7, 7, true},  {3, 3, true},
		{7, 0, false}, {7, 2, false},
		{7, 5, false}, {3, 7, false},
		{7, 9, false}, {7, 1ull << 32 | 1, false},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		enum emul_result r = xsetbv(cases[i].offered, 0, cases[i].value);

		if (cases[i].ok) {
			assert_int_equal(r, EMUL_OK);
			assert_int_equal(m.s.xcr0, cases[i].value);
			assert_int_equal(m.e.dirty, STATE_GPR);
		} else {
			expect_fault(r, EXC_GP);
			assert_int_equal(m.s.xcr0, 1);
		}
	}
	expect_fault(xsetbv(7, 1, 3), EXC_GP); /* XCR1 */
}

static void xsetbv_needs_osxsave_and_ring_0(void **state)
{
	enter_64();
	m.e.xcr0 = 7;
	m.s.gpr[GPR_RAX] = 3;
	expect_fault(STEP(0x0f, 0x01, 0xd1), EXC_UD);
	enter_64();
	m.e.xcr0 = 7;
	m.s.cr4 |= CR4_OSXSAVE;
	m.s.gpr[GPR_RAX] = 3;
	user_mode();
	expect_fault(STEP(0x0f, 0x01, 0xd1), EXC_GP);
}

static void the_rest_of_the_group_is_unsupported(void **state)
{
	enter_64();
	assert_int_equal(STEP(0x0f, 0x01, 0xd9), EMUL_UNSUPPORTED); /* vmmcall */
	assert_int_equal(STEP(0x0f, 0x01, 0x17), EMUL_UNSUPPORTED); /* lgdt [rdi] */
}

/* ---- Control registers and MSRs ---- */

static void protected_mode(u64 cr0, u64 cr4, u64 efer)
{
	enter_flat(true, true);
	m.s.cr0 = cr0;
	m.s.cr4 = cr4;
	m.s.efer = efer;
}

static void cr0_rules(void **state)
{
	static const struct {
		u64 cr0, cr4, efer, value;
		bool ok;
		const char *why;
	} rows[] = {
		{CR0_PE, 0, 0, CR0_PE | CR0_TS, true, "TS"},
		{CR0_PE, 0, 0, CR0_PG, false, "PG without PE"},
		{CR0_PE, 0, 0, CR0_PE | CR0_NW, false, "NW without CD"},
		{CR0_PE, 0, 0, CR0_PE | CR0_NW | CR0_CD, true, "caches off"},
		{CR0_PE, 0, 0, CR0_PE | 1u << 7, true, "reserved low bits are ignored"},
		{CR0_PE, 0, EFER_LME, CR0_PE | CR0_PG, false, "long mode without PAE"},
		{CR0_PE, CR4_PAE, EFER_LME, CR0_PE | CR0_PG, true, "long mode"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		enum emul_result r;

		protected_mode(rows[i].cr0, rows[i].cr4, rows[i].efer);
		m.s.gpr[GPR_RAX] = rows[i].value;
		r = STEP(0x0f, 0x22, 0xc0); /* mov cr0, eax */
		if (r != (rows[i].ok ? EMUL_OK : EMUL_FAULT))
			fail_msg("%s: got %d, expected %d", rows[i].why, r, rows[i].ok);
		assert_int_equal(m.s.cr0,
				 rows[i].ok ? (rows[i].value & CR0_DEFINED) | CR0_ET : rows[i].cr0);
		assert_int_equal(!!(m.s.efer & EFER_LMA),
				 rows[i].efer && rows[i].ok && rows[i].value & CR0_PG);
	}
	enter_64();
	m.s.gpr[GPR_RAX] = m.s.cr0 & ~(u64)CR0_PG;
	expect_fault(STEP(0x0f, 0x22, 0xc0), EXC_GP); /* paging off in 64-bit code */
	enter_64();
	m.s.gpr[GPR_RAX] = m.s.cr0 | 1ull << 32;
	expect_fault(STEP(0x0f, 0x22, 0xc0), EXC_GP);
}

static enum emul_result mov_to_cr(u8 n, u64 value)
{
	enter_64();
	m.s.gpr[GPR_RAX] = value;
	return n < 8 ? STEP(0x0f, 0x22, (u8)(0xc0 | n << 3))
		     : STEP(0x44, 0x0f, 0x22, (u8)(0xc0 | (n & 7) << 3));
}

static void rules_of_the_other_control_registers(void **state)
{
	assert_int_equal(mov_to_cr(4, CR4_PAE | CR4_PCIDE), EMUL_OK);
	assert_int_equal(m.s.cr4, CR4_PAE | CR4_PCIDE);
	assert_int_equal(m.e.dirty, STATE_GPR);
	expect_fault(mov_to_cr(4, CR4_PGE), EXC_GP); /* PAE is needed */
	expect_fault(mov_to_cr(4, CR4_PAE | CR4_VMXE), EXC_GP);
	assert_int_equal(m.s.cr4, CR4_PAE);
	enter_64();
	m.s.cr3 |= 5;
	m.s.gpr[GPR_RAX] = CR4_PAE | CR4_PCIDE;
	expect_fault(STEP(0x0f, 0x22, 0xe0), EXC_GP);
	assert_int_equal(mov_to_cr(3, 0x2000), EMUL_OK);
	assert_int_equal(m.s.cr3, 0x2000);
	expect_fault(mov_to_cr(3, 1ull << 63), EXC_GP);
	assert_int_equal(mov_to_cr(8, 15), EMUL_OK);
	expect_fault(mov_to_cr(8, 16), EXC_GP);
	expect_fault(mov_to_cr(1, 0), EXC_UD);
	expect_fault(mov_to_cr(9, 0), EXC_UD);
	enter_64();
	m.s.cr2 = 0x123456789a;
	assert_int_equal(STEP(0x0f, 0x20, 0xd1), EMUL_OK); /* mov rcx, cr2 */
	assert_int_equal(m.s.gpr[GPR_RCX], 0x123456789a);
}

/* A table of PAE paging at 0x3020 whose first entry maps all of RAM, and the same again. */
static void pae_mode(u64 cr0, u64 entry1)
{
	protected_mode(cr0, CR4_PAE, 0);
	m.s.cr3 = 0x3020;
	for (u64 at = 0x3020; at <= 0x3040; at += 0x20) {
		put64(at, 0x5001);
		put64(at + 8, entry1);
	}
	put64(0x5000, 0x83);
}

/* VT-x enters with the entries of the state, not with those in memory. */
static void pdptes_are_read_when_a_control_register_says_so(void **state)
{
	static const struct {
		const char *what;
		u64 cr0, entry1;
		u8 reg;
		u64 value, expect; /* of the second entry */
		bool faults;
	} rows[] = {
		{"paging on", CR0_PE, 0x8001, 0, CR0_PE | CR0_PG, 0x8001, false},
		{"reserved bit", CR0_PE, 0x8003, 0, CR0_PE | CR0_PG, 0x7001, true},
		{"reserved bit, MOV CR3", CR0_PE | CR0_PG, 0x8021, 3, 0x3040, 0x7001, true},
		{"reserved bit, CR4.PGE", CR0_PE | CR0_PG, 0x8101, 4, CR4_PAE | CR4_PGE, 0x7001,
		 true},
		{"reserved bits, absent", CR0_PE, 0x8006, 0, CR0_PE | CR0_PG, 0, false},
		{"absent", CR0_PE, 0x8000, 0, CR0_PE | CR0_PG, 0, false},
		{"beyond memory", CR0_PE, 1ull << 40 | 1, 0, CR0_PE | CR0_PG, 0x7001, true},
		{"no bit of paging", CR0_PE | CR0_PG, 0x8001, 0, CR0_PE | CR0_PG | CR0_TS, 0x7001,
		 false},
		{"refused", CR0_PE | CR0_PG, 0x8001, 0, CR0_PG | CR0_CD, 0x7001, true},
		{"MOV CR3", CR0_PE | CR0_PG, 0x8001, 3, 0x3040, 0x8001, false},
		{"no table", CR0_PE | CR0_PG, 0x8001, 3, RAM_BYTES, 0, false},
		{"CR4.PGE", CR0_PE | CR0_PG, 0x8001, 4, CR4_PAE | CR4_PGE, 0x8001, false},
		{"CR4.DE", CR0_PE | CR0_PG, 0x8001, 4, CR4_PAE | CR4_DE, 0x7001, false},
		{"paging off", CR0_PE | CR0_PG, 0x8001, 0, CR0_PE, 0, false},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		pae_mode(rows[i].cr0, rows[i].entry1);
		m.s.pdpte[1] = 0x7001;
		m.s.gpr[GPR_RAX] = rows[i].value;
		if (STEP(0x0f, 0x22, (u8)(0xc0 | rows[i].reg << 3)) !=
		    (rows[i].faults ? EMUL_FAULT : EMUL_OK))
			fail_msg("%s: %s", rows[i].what, rows[i].faults ? "no #GP" : "a fault");
		if (m.s.pdpte[1] != rows[i].expect)
			fail_msg("%s: expected %#lx, got %#lx", rows[i].what, rows[i].expect,
				 m.s.pdpte[1]);
	}
}

static void clts_clears_ts(void **state)
{
	enter_64();
	m.s.cr0 |= CR0_TS;
	assert_int_equal(STEP(0x0f, 0x06), EMUL_OK);
	assert_int_equal(m.s.cr0, CR0_PE | CR0_PG | CR0_WP);
}

static enum emul_result access_msr(u8 opcode, u32 msr, u64 value)
{
	enter_64();
	m.s.gpr[GPR_RCX] = msr;
	m.s.gpr[GPR_RAX] = (u32)value;
	m.s.gpr[GPR_RDX] = value >> 32;
	return STEP(0x0f, opcode);
}

static void msrs_are_the_monitors_or_fault(void **state)
{
	assert_int_equal(access_msr(0x30, 0x10, 0x1122334455667788), EMUL_OK);
	assert_int_equal(m.msr, 0x1122334455667788);
	assert_int_equal(access_msr(0x32, 0x10, ~0ull), EMUL_OK);
	assert_int_equal(m.s.gpr[GPR_RAX], 0x55667788);
	assert_int_equal(m.s.gpr[GPR_RDX], 0x11223344);
	expect_fault(access_msr(0x32, 0x11, 0), EXC_GP);
	expect_fault(access_msr(0x30, 0x11, 0), EXC_GP);
	assert_int_equal(access_msr(0x30, 0x800, 0), EMUL_KERNEL);
	assert_int_equal(m.e.carry_out, RUN_DO_MSR_WRITE);
	assert_int_equal(m.e.dirty, 0);
}

static void efer_rules(void **state)
{
	assert_int_equal(access_msr(0x30, 0xc0000080, EFER_LME | EFER_SCE), EMUL_OK);
	assert_int_equal(m.s.efer, EFER_LME | EFER_LMA | EFER_SCE);
	expect_fault(access_msr(0x30, 0xc0000080, EFER_SCE), EXC_GP); /* paging is on */
	expect_fault(access_msr(0x30, 0xc0000080, EFER_LME | EFER_SVME), EXC_GP);
	assert_int_equal(access_msr(0x32, 0xc0000080, 0), EMUL_OK);
	assert_int_equal(m.s.gpr[GPR_RAX], EFER_LME | EFER_LMA | EFER_NXE);
}

/* The code may have changed since the exit: what was a user's CPUID is no system instruction. */
static void a_user_writes_no_control_register_and_no_msr(void **state)
{
	static const u8 code[][3] = {
		{0x0f, 0x22, 0xc0}, {0x0f, 0x20, 0xc0}, {0x0f, 0x06}, {0x0f, 0x30}, {0x0f, 0x32}};

	for (u32 i = 0; i < ARRAY_SIZE(code); i++) {
		enter_64();
		user_mode();
		m.s.gpr[GPR_RCX] = 0x10;
		expect_fault(step(code[i], sizeof(code[i])), EXC_GP);
	}
}

/* For the kernel, which carries it out. */
static void an_instruction_is_measured_and_nothing_done(void **state)
{
	static const struct {
		u8 code[6], length;
		bool wide;
	} cases[] = {
		{{0xf4}, 1, true},
		{{0xf3, 0x0f, 0xa2}, 3, true},
		{{0x0f, 0x01, 0xd9}, 3, false},
		{{0xc7, 0x07, 0xff, 0xff}, 4, false},
		{{0xc7, 0x07, 0xff, 0xff, 0xff, 0xff}, 6, true},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		enter_flat(true, cases[i].wide);
		memcpy(m.ram + CODE, cases[i].code, sizeof(cases[i].code));
		assert_int_equal(emul_measure(&m.e), EMUL_OK);
		assert_int_equal(m.e.insn.length, cases[i].length);
		assert_int_equal(m.s.rip, CODE);
		assert_int_equal(m.e.dirty, 0);
	}
	m.s.seg[SEG_CS].base = RAM_BYTES; /* only bytes of devices, which are 0: add [eax], al */
	assert_int_equal(emul_measure(&m.e), EMUL_OK);
	assert_int_equal(m.e.insn.length, 2);
	m.s.seg[SEG_CS].limit = CODE - 1;
	expect_fault(emul_measure(&m.e), EXC_GP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_debug_register_is_moved),
		cmocka_unit_test(outside_of_64_bit_code_a_debug_register_is_32_bits_wide),
		cmocka_unit_test(debug_register_faults),
		cmocka_unit_test(general_detect_comes_before_the_access),
		cmocka_unit_test(lmsw_sets_pe_and_never_clears_it),
		cmocka_unit_test(lmsw_reads_16_bits_of_memory),
		cmocka_unit_test(xsetbv_takes_what_is_offered),
		cmocka_unit_test(xsetbv_needs_osxsave_and_ring_0),
		cmocka_unit_test(the_rest_of_the_group_is_unsupported),
		cmocka_unit_test(cr0_rules),
		cmocka_unit_test(rules_of_the_other_control_registers),
		cmocka_unit_test(pdptes_are_read_when_a_control_register_says_so),
		cmocka_unit_test(clts_clears_ts),
		cmocka_unit_test(msrs_are_the_monitors_or_fault),
		cmocka_unit_test(efer_rules),
		cmocka_unit_test(a_user_writes_no_control_register_and_no_msr),
		cmocka_unit_test(an_instruction_is_measured_and_nothing_done),
	};

	return cmocka_run_group_tests(tests, machine_setup, machine_teardown);
}
