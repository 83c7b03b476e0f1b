// SOURCES: vmm/emul.c vmm/emul_walk.c vmm/emul_operand.c vmm/emul_alu.c vmm/emul_string.c
// SOURCES: vmm/emul_system.c vmm/emul_segment.c vmm/emul_flow.c vmm/emul_integer.c
// SOURCES: vmm/emul_any.c vmm/emul_task.c lib/insn_decode.c vmm/insn_forms.c lib/guest_rules.c
/* The instruction emulator: devices, strings, paging, segments, and what it refuses. */
#include "emul_machine.h"

/* ---- Devices ---- */

static void test_mmio_accesses_have_the_instruction_size(void **state)
{
	static const struct {
		u8 bytes[8];
		u32 n;
		char kind;
		u32 size;
		u64 value, rax;
	} cases[] = {
		{{0x88, 0x07}, 2, 'w', 1, 0x88, 0x1122334455667788},
		{{0x66, 0x89, 0x07}, 3, 'w', 2, 0x7788, 0x1122334455667788},
		{{0x89, 0x07}, 2, 'w', 4, 0x55667788, 0x1122334455667788},
		{{0x48, 0x89, 0x07}, 3, 'w', 8, 0x1122334455667788, 0x1122334455667788},
		{{0x88, 0x27}, 2, 'w', 1, 0x77, 0x1122334455667788},
		{{0xc7, 0x07, 0xff, 0xff, 0xff, 0xff}, 6, 'w', 4, 0xffffffff, 0x1122334455667788},
		{{0x48, 0xc7, 0x07, 0xff, 0xff, 0xff, 0xff}, 7, 'w', 8, ~0ull, 0x1122334455667788},
		{{0x8a, 0x07}, 2, 'r', 1, 0, 0x11223344556677ef},
		{{0x8a, 0x27}, 2, 'r', 1, 0, 0x112233445566ef88},
		{{0x66, 0x8b, 0x07}, 3, 'r', 2, 0, 0x112233445566cdef},
		{{0x8b, 0x07}, 2, 'r', 4, 0, 0x89abcdef},
		{{0x48, 0x8b, 0x07}, 3, 'r', 8, 0, 0x0123456789abcdef},
		{{0x0f, 0xb6, 0x07}, 3, 'r', 1, 0, 0xef},
		{{0x48, 0x0f, 0xbf, 0x07}, 4, 'r', 2, 0, 0xffffffffffffcdef},
		{{0x48, 0x63, 0x07}, 3, 'r', 4, 0, 0xffffffff89abcdef},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		enter_64();
		m.s.gpr[GPR_RAX] = 0x1122334455667788;
		m.s.gpr[GPR_RDI] = MMIO_GPA + 0x40;
		m.next_read = 0x0123456789abcdef;
		assert_int_equal(step(cases[i].bytes, cases[i].n), EMUL_OK);
		if (m.logged != 1 || m.log[0].kind != cases[i].kind ||
		    m.log[0].at != MMIO_GPA + 0x40 || m.log[0].size != cases[i].size ||
		    m.log[0].value != cases[i].value || m.s.gpr[GPR_RAX] != cases[i].rax)
			fail_msg("case %u: %u accesses, %c %#lx size %u value %#lx, rax %#lx", i,
				 m.logged, m.log[0].kind, m.log[0].at, m.log[0].size,
				 m.log[0].value, m.s.gpr[GPR_RAX]);
		assert_int_equal(m.s.rip, CODE + cases[i].n);
		assert_int_equal(m.e.dirty, STATE_GPR);
	}
}

static void test_read_modify_write_reads_once_and_writes_once(void **state)
{
	enter_64();
	m.s.gpr[GPR_RDI] = MMIO_GPA;
	m.next_read = 0xf0;
	assert_int_equal(STEP(0xf0, 0x83, 0x0f, 0x05), EMUL_OK); /* lock or dword [rdi], 5 */
	assert_int_equal(m.logged, 4);
	assert_int_equal(m.log[0].kind, 'L');
	assert_int_equal(m.log[1].kind, 'r');
	assert_int_equal(m.log[2].kind, 'w');
	assert_int_equal(m.log[2].value, 0xf5);
	assert_int_equal(m.log[3].kind, 'U');
	m.s.rip = CODE;
	m.logged = 0;
	assert_int_equal(STEP(0x87, 0x0f), EMUL_OK); /* xchg [rdi], ecx: without the prefix */
	assert_int_equal(m.logged, 4);
	assert_int_equal(m.log[0].kind, 'L');
	assert_int_equal(m.log[3].kind, 'U');
	m.s.rip = CODE;
	m.logged = 0;
	assert_int_equal(STEP(0x83, 0x0f, 0x05), EMUL_OK);
	assert_int_equal(m.logged, 2);
}

static void test_a_cache_line_of_a_device_is_flushed_without_an_access(void **state)
{
	static const struct {
		u8 bytes[4];
		u32 n;
		enum emul_result result;
	} cases[] = {
		{{0x0f, 0xae, 0x3f}, 3, EMUL_OK},		 /* clflush [rdi] */
		{{0x66, 0x0f, 0xae, 0x3f}, 4, EMUL_OK},		 /* clflushopt */
		{{0x66, 0x0f, 0xae, 0x37}, 4, EMUL_OK},		 /* clwb */
		{{0x0f, 0xae, 0x37}, 3, EMUL_UNSUPPORTED},	 /* xsaveopt */
		{{0x0f, 0xae, 0x07}, 3, EMUL_UNSUPPORTED},	 /* fxsave */
		{{0xf3, 0x0f, 0xae, 0x3f}, 4, EMUL_UNSUPPORTED}, /* nothing */
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		enter_64();
		m.s.gpr[GPR_RDI] = MMIO_GPA;
		assert_int_equal(step(cases[i].bytes, cases[i].n), cases[i].result);
		assert_int_equal(m.logged, 0);
		assert_int_equal(m.s.rip, cases[i].result == EMUL_OK ? CODE + cases[i].n : CODE);
	}
}

static void test_unaligned_mmio_is_split_into_bytes(void **state)
{
	enter_64();
	m.s.gpr[GPR_RDI] = MMIO_GPA + 1;
	m.s.gpr[GPR_RAX] = 0x44332211;
	assert_int_equal(STEP(0x89, 0x07), EMUL_OK);
	assert_int_equal(m.logged, 4);
	for (u32 i = 0; i < 4; i++) {
		assert_int_equal(m.log[i].size, 1);
		assert_int_equal(m.log[i].at, MMIO_GPA + 1 + i);
		assert_int_equal(m.log[i].value, 0x11 * (i + 1));
	}
}

static void test_push_and_pop_of_memory(void **state)
{
	enter_64();
	m.s.gpr[GPR_RDI] = MMIO_GPA;
	m.s.gpr[GPR_RSP] = 0x9000;
	m.next_read = 0x1234;
	assert_int_equal(STEP(0xff, 0x37), EMUL_OK);
	assert_int_equal(m.s.gpr[GPR_RSP], 0x8ff8);
	assert_int_equal(get64(0x8ff8), 0x1234);
	m.s.rip = CODE;
	assert_int_equal(STEP(0x8f, 0x07), EMUL_OK);
	assert_int_equal(m.s.gpr[GPR_RSP], 0x9000);
	assert_int_equal(m.log[1].kind, 'w');
	assert_int_equal(m.log[1].size, 8);
	assert_int_equal(m.log[1].value, 0x1234);
	m.s.rip = CODE;
	put64(0x9000, 77);
	/* pop [rsp+8]: rsp after the pop */
	assert_int_equal(STEP(0x8f, 0x44, 0x24, 0x08), EMUL_OK);
	assert_int_equal(get64(0x9010), 77);
}

/* ---- Strings ---- */

static void test_rep_movs_from_a_device_runs_in_bounded_steps(void **state)
{
	u32 steps = 0;

	enter_64();
	m.s.gpr[GPR_RSI] = MMIO_GPA;
	m.s.gpr[GPR_RDI] = 0x20000;
	m.s.gpr[GPR_RCX] = 10000 / 4;
	m.next_read = 0xa5a5a5a5;
	while (m.s.rip == CODE) {
		assert_int_equal(STEP(0xf3, 0xa5), EMUL_OK);
		assert_true(++steps < 10);
		assert_true(m.logged <= steps * EMUL_STRING_MAX / 4);
	}
	assert_int_equal(steps, 3);
	assert_int_equal(m.s.gpr[GPR_RCX], 0);
	assert_int_equal(m.s.gpr[GPR_RSI], MMIO_GPA + 10000);
	assert_int_equal(m.s.gpr[GPR_RDI], 0x20000 + 10000);
	assert_int_equal(m.ram[0x20000 + 9999], 0xa5);
	assert_int_equal(m.ram[0x20000 + 10000], 0);
}

static void test_rep_ins_and_outs(void **state)
{
	enter_64();
	m.s.gpr[GPR_RDX] = 0x1f0;
	m.s.gpr[GPR_RDI] = DATA;
	m.s.gpr[GPR_RCX] = 4;
	m.next_read = 0xbeef;
	assert_int_equal(STEP(0xf3, 0x66, 0x6d), EMUL_OK);
	assert_int_equal(m.logged, 4);
	assert_int_equal(m.log[0].size, 2);
	assert_int_equal(m.log[0].at, 0x1f0);
	assert_int_equal(get64(DATA), 0xbeefbeefbeefbeef);
	m.s.rip = CODE;
	m.s.rflags |= RFLAGS_DF;
	m.s.gpr[GPR_RSI] = DATA + 7;
	m.s.gpr[GPR_RCX] = 3;
	assert_int_equal(STEP(0xf3, 0x6e), EMUL_OK);
	assert_int_equal(m.logged, 7);
	assert_int_equal(m.log[4].value, 0xbe);
	assert_int_equal(m.log[5].value, 0xef);
	assert_int_equal(m.s.gpr[GPR_RSI], DATA + 4);
}

static void test_fault_in_a_rep_keeps_what_was_done(void **state)
{
	enter_64();
	put64(0x13000 + 0x30 * 8, 0); /* page 0x30000 is not mapped */
	m.s.gpr[GPR_RSI] = MMIO_GPA;
	m.s.gpr[GPR_RDI] = 0x30000 - 8;
	m.s.gpr[GPR_RCX] = 5;
	assert_int_equal(STEP(0xf3, 0xa5), EMUL_FAULT);
	assert_int_equal(m.logged, 2);
	assert_int_equal(m.s.gpr[GPR_RCX], 3);
	assert_int_equal(m.s.rip, CODE);
	assert_int_equal(m.s.cr2, 0x30000);
	assert_int_equal(m.s.event.injecting, 1u << 31 | 1 << 11 | 3 << 8 | EXC_PF);
	assert_int_equal(m.s.event.injecting_error, PF_WRITE);
	assert_int_equal(m.e.dirty, STATE_GPR | STATE_CR | STATE_EVENT);
}

/* ---- Paging ---- */

static void test_paging_sets_accessed_and_dirty(void **state)
{
	enter_64();
	m.s.gpr[GPR_RDI] = DATA;
	assert_int_equal(STEP(0x8b, 0x07), EMUL_OK);
	assert_int_equal(get64(0x10000), 0x11027);
	assert_int_equal(get64(0x13000 + (DATA >> 12) * 8), DATA | 0x27);
	m.s.rip = CODE;
	assert_int_equal(STEP(0x89, 0x07), EMUL_OK);
	assert_int_equal(get64(0x13000 + (DATA >> 12) * 8), DATA | 0x67);
}

static void test_permission_faults(void **state)
{
	static const struct {
		u64 pte; /* of DATA's page */
		u8 cpl;
		u64 cr0_off, cr4, rflags;
		bool write;
		s32 error; /* -1: allowed */
	} cases[] = {
		{DATA | 7, 3, 0, 0, 0, true, -1},
		{DATA | 6, 3, 0, 0, 0, true, PF_WRITE | PF_USER},
		{DATA | 6, 0, 0, 0, 0, false, 0},
		{DATA | 3, 3, 0, 0, 0, false, PF_PRESENT | PF_USER},
		{DATA | 5, 3, 0, 0, 0, true, PF_PRESENT | PF_WRITE | PF_USER},
		{DATA | 5, 0, 0, 0, 0, true, PF_PRESENT | PF_WRITE},
		{DATA | 5, 0, CR0_WP, 0, 0, true, -1},
		{DATA | 7, 0, 0, CR4_SMAP, 0, false, PF_PRESENT},
		{DATA | 7, 0, 0, CR4_SMAP, RFLAGS_AC, false, -1},
		{DATA | 3, 0, 0, CR4_SMAP, 0, false, -1},
		{DATA | 7 | 1ull << 63, 3, 0, 0, 0, false, -1},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		enter_64();
		put64(0x13000 + (DATA >> 12) * 8, cases[i].pte);
		m.s.seg[SEG_SS].attr |= (u16)(cases[i].cpl << 5);
		m.s.cr0 &= ~cases[i].cr0_off;
		m.s.cr4 |= cases[i].cr4;
		m.s.rflags |= cases[i].rflags;
		m.s.gpr[GPR_RDI] = DATA + 8;
		enum emul_result r = cases[i].write ? STEP(0x89, 0x07) : STEP(0x8b, 0x07);

		if (r != (cases[i].error < 0 ? EMUL_OK : EMUL_FAULT) ||
		    (r && (m.e.vector != EXC_PF || m.e.error != (u32)cases[i].error ||
			   m.e.cr2 != DATA + 8)))
			fail_msg("case %u: result %d error %#x cr2 %#lx, expected error %#x", i, r,
				 m.e.error, m.e.cr2, cases[i].error);
	}
}

static void test_reserved_bits_fault(void **state)
{
	enter_64();
	m.s.efer &= ~(u64)EFER_NXE;
	put64(0x13000 + (DATA >> 12) * 8, DATA | 7 | 1ull << 63);
	m.s.gpr[GPR_RDI] = DATA;
	assert_int_equal(STEP(0x8b, 0x07), EMUL_FAULT);
	assert_int_equal(m.e.error, PF_PRESENT | PF_RSVD);
	enter_64();
	/* a large page is impossible in the top level: already the fetch faults */
	put64(0x10000, 0x11007 | 0x80);
	assert_int_equal(STEP(0x8b, 0x07), EMUL_FAULT);
	assert_int_equal(m.e.error, PF_PRESENT | PF_RSVD | PF_FETCH);
}

static void test_32_bit_and_pae_paging(void **state)
{
	enter_flat(true, true);
	m.s.cr0 |= CR0_PG;
	m.s.cr4 = CR4_PSE;
	m.s.cr3 = 0x10000;
	put32(0x10000, 0x11007);
	put32(0x11000 + 1 * 4, CODE | 7);
	put32(0x11000 + 0x50 * 4, DATA | 7);
	put32(0x10000 + 4 * 0x40, MMIO_GPA | 0x87); /* 4 MiB page */
	m.s.gpr[GPR_RDI] = 0x50010;
	m.s.gpr[GPR_RAX] = 42;
	assert_int_equal(STEP(0x89, 0x07), EMUL_OK);
	assert_int_equal(m.ram[DATA + 0x10], 42);
	m.s.rip = CODE;
	m.s.gpr[GPR_RDI] = (u32)(0x40u << 22) + 0x123450;
	assert_int_equal(STEP(0x89, 0x07), EMUL_OK);
	assert_int_equal(m.log[0].at, MMIO_GPA + 0x123450);

	enter_flat(true, true);
	m.s.cr0 |= CR0_PG;
	m.s.cr4 = CR4_PAE;
	m.s.cr3 = 0x10020;
	put64(0x10020, 0x11001);
	put64(0x11000, 0x12007);
	put64(0x12000 + 1 * 8, CODE | 7);
	put64(0x12000 + 2 * 8, DATA | 7);
	m.s.gpr[GPR_RDI] = DATA;
	m.s.gpr[GPR_RAX] = 43;
	assert_int_equal(STEP(0x89, 0x07), EMUL_OK);
	assert_int_equal(m.ram[DATA], 43);
	assert_int_equal(get64(0x10020), 0x11001);
	assert_int_equal(get64(0x12000 + 2 * 8), DATA | 0x67);
}

static void test_access_across_pages_checks_both_first(void **state)
{
	enter_64();
	put64(0x13000 + 5 * 8, 0);
	m.s.gpr[GPR_RDI] = 0x4ffe;
	m.s.gpr[GPR_RAX] = 0x44332211;
	assert_int_equal(STEP(0x89, 0x07), EMUL_FAULT);
	assert_int_equal(m.s.cr2, 0x5000);
	assert_int_equal(m.ram[0x4ffe], 0);
	put64(0x13000 + 5 * 8, 0x8000 | 7);
	m.s.event.injecting = 0;
	assert_int_equal(STEP(0x89, 0x07), EMUL_OK);
	assert_int_equal(m.ram[0x4ffe], 0x11);
	assert_int_equal(m.ram[0x4fff], 0x22);
	assert_int_equal(m.ram[0x8000], 0x33);
	assert_int_equal(m.ram[0x8001], 0x44);
}

static void test_code_across_pages(void **state)
{
	static const u8 code[] = {0x48, 0xc7, 0x07, 1, 2, 3, 4};

	enter_64();
	m.s.gpr[GPR_RDI] = MMIO_GPA;
	m.s.rip = 0x1ffd;
	memcpy(m.ram + 0x1ffd, code, 3);
	put64(0x13000 + 2 * 8, 0x8000 | 7);
	memcpy(m.ram + 0x8000, code + 3, 4);
	assert_int_equal(emul_step(&m.e), EMUL_OK);
	assert_int_equal(m.log[0].value, 0x04030201);
	m.s.rip = 0x1ffd;
	put64(0x13000 + 2 * 8, 0);
	assert_int_equal(emul_step(&m.e), EMUL_FAULT);
	assert_int_equal(m.s.cr2, 0x2000);
	assert_int_equal(m.e.error, PF_FETCH);
}

static void test_gva_to_gpa_has_no_side_effects(void **state)
{
	u64 gpa;

	enter_64();
	assert_true(emul_gva_to_gpa(&m.e, DATA + 5, &gpa));
	assert_int_equal(gpa, DATA + 5);
	assert_int_equal(get64(0x10000), 0x11007);
	assert_false(emul_gva_to_gpa(&m.e, 1ull << 40, &gpa));
}

/* ---- Segments ---- */

static void test_segment_and_canonical_faults(void **state)
{
	enter_64();
	m.s.gpr[GPR_RDI] = 0x0000800000000000;
	assert_int_equal(STEP(0x89, 0x07), EMUL_FAULT);
	assert_int_equal(m.e.vector, EXC_GP);
	enter_64();
	m.s.gpr[GPR_RBP] = 0x0000800000000000;
	assert_int_equal(STEP(0x89, 0x45, 0x00), EMUL_FAULT);
	assert_int_equal(m.e.vector, EXC_SS);

	enter_flat(true, true);
	m.s.seg[SEG_DS].limit = 0x2003;
	m.s.gpr[GPR_RDI] = 0x2000;
	assert_int_equal(STEP(0x89, 0x07), EMUL_OK);
	m.s.rip = CODE;
	m.s.gpr[GPR_RDI] = 0x2001;
	assert_int_equal(STEP(0x89, 0x07), EMUL_FAULT);
	assert_int_equal(m.e.vector, EXC_GP);
	assert_true(m.e.has_error);

	enter_flat(true, true);
	m.s.seg[SEG_DS].attr = SEG_ATTR_P | SEG_ATTR_S | 1; /* read-only */
	m.s.gpr[GPR_RDI] = DATA;
	assert_int_equal(STEP(0x89, 0x07), EMUL_FAULT);
	enter_flat(true, true);
	m.s.seg[SEG_DS].attr = 0; /* null selector */
	assert_int_equal(STEP(0x8b, 0x07), EMUL_FAULT);
	enter_flat(true, true);
	m.s.seg[SEG_DS] = (struct seg_state){.attr = SEG_ATTR_P | SEG_ATTR_S | SEG_ATTR_DB | 7,
					     .limit = DATA};
	m.s.gpr[GPR_RDI] = DATA;
	assert_int_equal(STEP(0x89, 0x07), EMUL_FAULT);
	m.s.event.injecting = 0;
	m.s.gpr[GPR_RDI] = DATA + 1; /* expands down: above the limit is inside */
	assert_int_equal(STEP(0x89, 0x07), EMUL_OK);
}

static void test_fs_base_counts_in_64_bit_mode_and_ds_base_does_not(void **state)
{
	enter_64();
	m.s.seg[SEG_FS].base = MMIO_GPA;
	m.s.seg[SEG_DS].base = 0x1234;
	m.s.gpr[GPR_RDI] = 0x10;
	assert_int_equal(STEP(0x64, 0x89, 0x07), EMUL_OK);
	assert_int_equal(m.log[0].at, MMIO_GPA + 0x10);
	m.s.rip = CODE;
	m.s.gpr[GPR_RDI] = MMIO_GPA;
	assert_int_equal(STEP(0x89, 0x07), EMUL_OK);
	assert_int_equal(m.log[1].at, MMIO_GPA);
	m.s.rip = CODE; /* rip-relative: from the next instruction */
	assert_int_equal(STEP(0xc7, 0x05, 0x00, 0x10, 0x00, 0x00, 7, 0, 0, 0), EMUL_OK);
	assert_int_equal(get64(CODE + 10 + 0x1000), 7);
}

static void test_real_mode(void **state)
{
	enter_flat(false, false);
	m.s.seg[SEG_DS].base = 0xb8000;
	m.s.seg[SEG_DS].limit = 0xffff;
	m.s.gpr[GPR_RBX] = 0xfff0;
	m.s.gpr[GPR_RSI] = 0x20;
	m.s.gpr[GPR_RAX] = 0x0741;
	assert_int_equal(STEP(0x89, 0x00), EMUL_OK); /* mov [bx+si], ax: wraps at 64 KiB */
	assert_int_equal(m.ram[0xb8010], 0x41);
	m.s.rip = CODE;
	m.s.gpr[GPR_RSI] = 0xf;
	assert_int_equal(STEP(0x89, 0x00), EMUL_FAULT); /* the word at 0xffff */
	assert_int_equal(m.e.vector, EXC_GP);
	assert_false(m.e.has_error);
	enter_flat(false, false);
	put32(DATA, 0x2345);
	assert_int_equal(STEP(0x8e, 0x06, 0x00, 0x20), EMUL_OK); /* mov es, [0x2000] */
	assert_int_equal(m.s.seg[SEG_ES].base, 0x23450);
	assert_true(m.e.dirty & STATE_SEG);
}

/* ---- Ports, and what is refused ---- */

static void test_port_permission_bitmap(void **state)
{
	enter_64();
	m.s.seg[SEG_SS].attr |= 3 << 5;
	m.s.gpr[GPR_RDX] = 0x3f8;
	m.s.seg[SEG_TR] =
		(struct seg_state){.attr = SEG_ATTR_P | 11, .base = 0x40000, .limit = 0x2000};
	put32(0x40066, 0x68);
	memset(m.ram + 0x40068, 0xff, 0x100);
	assert_int_equal(STEP(0xee), EMUL_FAULT);
	assert_int_equal(m.e.vector, EXC_GP);
	m.s.event.injecting = 0;
	m.ram[0x40068 + 0x3f8 / 8] = 0xfe;
	assert_int_equal(STEP(0xee), EMUL_OK);
	m.s.rip = CODE;
	assert_int_equal(STEP(0xef), EMUL_FAULT); /* a word needs two bits */
	m.s.event.injecting = 0;
	m.s.rflags |= 3 << 12;
	assert_int_equal(STEP(0xef), EMUL_OK);
	assert_int_equal(m.logged, 2);
}

static void test_unsupported_changes_nothing_and_says_why(void **state)
{
	struct vcpu_state before;

	enter_64();
	m.s.gpr[GPR_RDI] = MMIO_GPA;
	before = m.s;
	assert_int_equal(STEP(0x0f, 0x28, 0x07), EMUL_UNSUPPORTED); /* movaps xmm0, [rdi] */
	assert_string_equal(m.e.why, "no emulation of MMX and SSE");
	assert_int_equal(m.e.byte_count, 3);
	assert_int_equal(STEP(0xd9, 0x07), EMUL_UNSUPPORTED); /* fld dword [rdi] */
	assert_string_equal(m.e.why, "no emulation of x87");
	assert_int_equal(STEP(0x0f, 0xc7, 0x0f), EMUL_UNSUPPORTED); /* cmpxchg8b [rdi] */
	assert_string_equal(m.e.why, "no emulation of this opcode");
	assert_int_equal(STEP(0xc5, 0xf8, 0x28, 0x07), EMUL_UNSUPPORTED);
	assert_int_equal(STEP(0xf7, 0x37), EMUL_UNSUPPORTED); /* div [rdi] */
	m.s.event.injecting = before.event.injecting = 1u << 31 | 0x20;
	assert_int_equal(STEP(0x89, 0x07), EMUL_UNSUPPORTED);
	assert_memory_equal(&before, &m.s, sizeof(before));
	assert_int_equal(m.logged, 0);
}

static void test_single_step_and_interrupt_shadow(void **state)
{
	enter_64();
	m.s.gpr[GPR_RDI] = MMIO_GPA;
	m.s.rflags |= RFLAGS_TF | RFLAGS_RF;
	m.s.event.sti_blocked = 1;
	assert_int_equal(STEP(0x89, 0x07), EMUL_OK);
	assert_int_equal(m.s.event.injecting, 1u << 31 | 3 << 8 | EXC_DB);
	assert_int_equal(m.s.event.sti_blocked, 0);
	assert_int_equal(m.s.rflags & RFLAGS_RF, 0);
	assert_int_equal(m.e.dirty, STATE_GPR | STATE_EVENT | STATE_DR);
}

/* Whatever the bytes, the emulator ends, and reaches nothing but RAM and devices. */
static void test_random_instructions_are_survived(void **state)
{
	for (u32 i = 0; i < 60000; i++) {
		u64 r[2] = {rng(), rng()};

		if (i % 64 == 0) {
			if (i % 192 == 0)
				enter_64();
			else
				enter_flat(i % 192 == 64, i % 128 == 0);
		}
		for (u32 g = 0; g < GPRS; g++)
			m.s.gpr[g] = rng() & 1	 ? DATA + rng() % 0x8000
				     : rng() & 1 ? MMIO_GPA + rng() % 0x1000
						 : rng();
		m.s.rip = CODE;
		m.s.event.injecting = 0;
		m.s.rflags = 2 | (rng() & (ARITH | RFLAGS_DF));
		memcpy(m.ram + CODE, r, 15);
		emul_step(&m.e);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mmio_accesses_have_the_instruction_size),
		cmocka_unit_test(test_read_modify_write_reads_once_and_writes_once),
		cmocka_unit_test(test_a_cache_line_of_a_device_is_flushed_without_an_access),
		cmocka_unit_test(test_unaligned_mmio_is_split_into_bytes),
		cmocka_unit_test(test_push_and_pop_of_memory),
		cmocka_unit_test(test_rep_movs_from_a_device_runs_in_bounded_steps),
		cmocka_unit_test(test_rep_ins_and_outs),
		cmocka_unit_test(test_fault_in_a_rep_keeps_what_was_done),
		cmocka_unit_test(test_paging_sets_accessed_and_dirty),
		cmocka_unit_test(test_permission_faults),
		cmocka_unit_test(test_reserved_bits_fault),
		cmocka_unit_test(test_32_bit_and_pae_paging),
		cmocka_unit_test(test_access_across_pages_checks_both_first),
		cmocka_unit_test(test_code_across_pages),
		cmocka_unit_test(test_gva_to_gpa_has_no_side_effects),
		cmocka_unit_test(test_segment_and_canonical_faults),
		cmocka_unit_test(test_fs_base_counts_in_64_bit_mode_and_ds_base_does_not),
		cmocka_unit_test(test_real_mode),
		cmocka_unit_test(test_port_permission_bitmap),
		cmocka_unit_test(test_unsupported_changes_nothing_and_says_why),
		cmocka_unit_test(test_single_step_and_interrupt_shadow),
		cmocka_unit_test(test_random_instructions_are_survived),
	};

	return cmocka_run_group_tests(tests, machine_setup, machine_teardown);
}
