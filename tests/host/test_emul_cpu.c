// SOURCES: vmm/emul.c vmm/emul_walk.c vmm/emul_operand.c vmm/emul_alu.c vmm/emul_string.c
// SOURCES: vmm/emul_system.c vmm/emul_segment.c vmm/emul_flow.c vmm/emul_integer.c
// SOURCES: vmm/emul_any.c vmm/emul_task.c lib/insn_decode.c vmm/insn_forms.c lib/guest_rules.c
/*
 * Each family of instructions runs in the emulator and on the host's CPU: registers, memory and
 * defined flags agree.
 */
#include <sys/mman.h>

#include "emul_machine.h"

struct host_regs {
	u64 rax, rcx, rdx, rbx, rsi, rdi, flags;
};

static u8 *host_code;

static void host_run(struct host_regs *r, const u8 *insn, u32 n)
{
	memcpy(host_code, insn, n);
	host_code[n] = 0xc3;
	__asm__ volatile(
		"mov %[r], %%r15\n\t"
		"mov %[f], %%r14\n\t"
		"mov 0(%%r15), %%rax\n\tmov 8(%%r15), %%rcx\n\tmov 16(%%r15), %%rdx\n\tmov 24(%%r15), %%rbx\n\t"
		"mov 32(%%r15), %%rsi\n\tmov 40(%%r15), %%rdi\n\t"
		"lea -256(%%rsp), %%rsp\n\t"
		"pushq 48(%%r15)\n\tpopfq\n\tcall *%%r14\n\tpushfq\n\tpopq 48(%%r15)\n\tcld\n\t"
		"lea 256(%%rsp), %%rsp\n\t"
		"mov %%rax, 0(%%r15)\n\tmov %%rcx, 8(%%r15)\n\tmov %%rdx, 16(%%r15)\n\tmov %%rbx, 24(%%r15)\n\t"
		"mov %%rsi, 32(%%r15)\n\tmov %%rdi, 40(%%r15)\n\t"
		:
		: [r] "r"(r), [f] "r"(host_code)
		: "rax", "rcx", "rdx", "rbx", "rsi", "rdi", "r14", "r15", "memory", "cc");
}

static void show(const u8 *insn, u32 n)
{
	fprintf(stderr, "instruction:");
	for (u32 i = 0; i < n; i++)
		fprintf(stderr, " %02x", insn[i]);
	fprintf(stderr, "\n");
}

/*
 * Same registers and 64 bytes of memory on both; rdi (and rsi) point into the middle of the memory.
 */
static void compare(const u8 *insn, u32 n, u64 ignored_flags, u64 rcx)
{
	struct host_regs r = {rng(), rcx, rng(), rng(), 0, 0, 2 | (rng() & ARITH)};
	static u8 memory[64];

	enter_64();
	for (u32 i = 0; i < 64; i++)
		memory[i] = rng() & 1 ? (u8)rng() : (u8)(rng() & 1 ? 0xff : 0);
	if (rng() & 1) /* CMPXCHG, SCAS, CMPS: sometimes equal */
		memcpy(memory + 32, &r.rax, 8);
	if (rng() & 1)
		memcpy(memory + 40, memory + 32, 8);
	memcpy(m.ram + DATA, memory, 64);
	m.s.gpr[GPR_RAX] = r.rax;
	m.s.gpr[GPR_RCX] = r.rcx;
	m.s.gpr[GPR_RDX] = r.rdx;
	m.s.gpr[GPR_RBX] = r.rbx;
	m.s.gpr[GPR_RSI] = DATA + 40;
	m.s.gpr[GPR_RDI] = DATA + 32;
	m.s.gpr[GPR_RSP] = 0x9000;
	m.s.rflags = r.flags;
	r.rsi = (u64)(uintptr_t)memory + 40;
	r.rdi = (u64)(uintptr_t)memory + 32;
	host_run(&r, insn, n);
	enum emul_result result = step(insn, n);
	u64 bias = (u64)(uintptr_t)memory - DATA;

	if (result != EMUL_OK || m.s.rip != CODE + n || m.s.gpr[GPR_RAX] != r.rax ||
	    m.s.gpr[GPR_RCX] != r.rcx || m.s.gpr[GPR_RDX] != r.rdx || m.s.gpr[GPR_RBX] != r.rbx ||
	    m.s.gpr[GPR_RSI] + bias != r.rsi || m.s.gpr[GPR_RDI] + bias != r.rdi ||
	    ((m.s.rflags ^ r.flags) & ARITH & ~ignored_flags) || memcmp(memory, m.ram + DATA, 64)) {
		show(insn, n);
		fail_msg(
			"result %d (%s), flags %#lx expected %#lx, rax %#lx expected %#lx, rcx %#lx expected %#lx",
			result, m.e.why ? m.e.why : "", m.s.rflags & ARITH, r.flags & ARITH,
			m.s.gpr[GPR_RAX], r.rax, m.s.gpr[GPR_RCX], r.rcx);
	}
}

struct family {
	u8 map;		 /* 0 or 0x0f */
	u8 first, last;	 /* opcodes */
	u8 subs;	 /* bit n: sub-opcode n (groups), 0: ModRM.reg is a register */
	u8 imm;		 /* 1: byte, 2: of the operand size (up to 4) */
	bool byte_forms; /* even opcodes are byte-sized: operand-size prefixes don't apply */
	bool lock;
	u64 ignored;
};

static const struct family families[] = {
	{0, 0x00, 0x03, 0, 0, true, false, 0},
	{0, 0x08, 0x0b, 0, 0, true, false, RFLAGS_AF},
	{0, 0x10, 0x13, 0, 0, true, false, 0},
	{0, 0x18, 0x1b, 0, 0, true, false, 0},
	{0, 0x20, 0x23, 0, 0, true, false, RFLAGS_AF},
	{0, 0x28, 0x2b, 0, 0, true, false, 0},
	{0, 0x30, 0x33, 0, 0, true, false, RFLAGS_AF},
	{0, 0x38, 0x3b, 0, 0, true, false, 0},
	{0, 0x00, 0x01, 0, 0, true, true, 0},
	{0, 0x18, 0x19, 0, 0, true, true, 0},
	{0, 0x30, 0x31, 0, 0, true, true, RFLAGS_AF},
	{0, 0x80, 0x80, 0xff, 1, true, false, RFLAGS_AF},
	{0, 0x81, 0x81, 0xff, 2, false, false, RFLAGS_AF},
	{0, 0x83, 0x83, 0xff, 1, false, false, RFLAGS_AF},
	{0, 0x83, 0x83, 0x7f, 1, false, true, RFLAGS_AF},
	{0, 0x84, 0x85, 0, 0, true, false, RFLAGS_AF},
	{0, 0x86, 0x87, 0, 0, true, false, 0},
	{0, 0x88, 0x8b, 0, 0, true, false, 0},
	{0, 0xc0, 0xc1, 0xff, 1, true, false, RFLAGS_AF | RFLAGS_OF | RFLAGS_CF},
	{0, 0xd0, 0xd1, 0xff, 0, true, false, RFLAGS_AF},
	{0, 0xd2, 0xd3, 0xff, 0, true, false, RFLAGS_AF | RFLAGS_OF | RFLAGS_CF},
	{0, 0xc6, 0xc6, 0x01, 1, true, false, 0},
	{0, 0xc7, 0xc7, 0x01, 2, false, false, 0},
	{0, 0xf6, 0xf6, 0x03, 1, true, false, RFLAGS_AF},
	{0, 0xf7, 0xf7, 0x03, 2, false, false, RFLAGS_AF},
	{0, 0xf6, 0xf7, 0x0c, 0, true, false, 0},
	{0, 0xf6, 0xf7, 0x0c, 0, true, true, 0},
	{0, 0xfe, 0xff, 0x03, 0, true, false, 0},
	{0, 0xfe, 0xff, 0x03, 0, true, true, 0},
	{0, 0x63, 0x63, 0, 0, false, false, 0},
	{0x0f, 0x40, 0x4f, 0, 0, false, false, 0},
	{0x0f, 0x90, 0x9f, 0x01, 0, true, false, 0},
	{0x0f, 0xb0, 0xb1, 0, 0, true, false, 0},
	{0x0f, 0xb0, 0xb1, 0, 0, true, true, 0},
	{0x0f, 0xb6, 0xb7, 0, 0, false, false, 0},
	{0x0f, 0xbe, 0xbf, 0, 0, false, false, 0},
	{0x0f, 0xba, 0xba, 0xf0, 1, false, false, RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF},
	{0x0f, 0xba, 0xba, 0xe0, 1, false, true, RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF},
	{0x0f, 0xc0, 0xc1, 0, 0, true, false, 0},
	{0x0f, 0xc0, 0xc1, 0, 0, true, true, 0},
	{0x0f, 0xc3, 0xc3, 0, 0, false, false, 0},
};

/* width: 0 = none, 1 = 66, 2 = REX.W, 3 = an empty REX */
static void compare_form(const struct family *f, u8 opcode, u8 reg, u32 width)
{
	u8 b[16];
	u32 n = 0;

	if (f->lock)
		b[n++] = 0xf0;
	if (width == 1)
		b[n++] = 0x66;
	if (width == 2)
		b[n++] = 0x48;
	if (width == 3)
		b[n++] = 0x40;
	if (f->map)
		b[n++] = f->map;
	b[n++] = opcode;
	b[n++] = (u8)(reg << 3 | 7); /* [rdi] */
	if (f->imm) {
		u32 bytes = f->imm == 1 ? 1 : width == 1 ? 2 : 4;
		u64 r = rng();

		memcpy(b + n, &r, bytes);
		n += bytes;
	}
	compare(b, n, f->ignored, rng());
}

static void test_instructions_agree_with_the_cpu(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(families); i++)
		for (u32 opcode = families[i].first; opcode <= families[i].last; opcode++)
			for (u8 reg = 0; reg < 8; reg++) {
				if (families[i].subs ? !(families[i].subs >> reg & 1)
						     : reg >= 4 && !(families[i].byte_forms &&
								     !(opcode & 1)))
					continue;
				for (u32 k = 0; k < 8; k++) {
					u32 width = k % 4;

					/*
					 * SPL, BPL, SIL, DIL differ between the two runs; 66 on
					 * MOVNTI is no instruction
					 */
					if (width >= 2 && reg >= 4 && !families[i].subs)
						continue;
					if (width == 1 && (opcode == 0xc3 && families[i].map))
						continue;
					compare_form(&families[i], (u8)opcode, reg, width);
				}
			}
}

static void test_shift_flags_agree_where_they_are_defined(void **state)
{
	for (u8 sub = 0; sub < 8; sub++)
		for (u32 count = 0; count < 8; count++)
			for (u32 wide = 0; wide < 2; wide++) {
				u8 b[] = {0x48, (u8)(0xd2 + wide), (u8)(sub << 3 | 7)};
				u64 ignored = count == 1 ? RFLAGS_AF : RFLAGS_AF | RFLAGS_OF;

				for (u32 k = 0; k < 20; k++)
					compare(b, 3, count ? ignored : 0,
						(rng() & ~0xffull) | count);
			}
}

static void test_bit_instructions_reach_beyond_the_operand(void **state)
{
	static const u8 opcode[] = {0xa3, 0xab, 0xb3, 0xbb};

	for (u32 i = 0; i < 4; i++)
		for (s64 bit = -250; bit < 250; bit += 7) {
			const u8 b[] = {0x48, 0x0f, opcode[i], 0x0f},
				 narrow[] = {0x66, 0x0f, opcode[i], 0x0f};

			compare(b, 4, RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF, (u64)bit);
			compare(narrow, 4, RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF, (u64)bit);
		}
}

static void test_string_instructions_agree_with_the_cpu(void **state)
{
	static const u8 opcode[] = {0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf};
	static const u8 prefix[] = {0, 0xf3, 0xf2};

	for (u32 i = 0; i < sizeof(opcode); i++)
		for (u32 p = 0; p < 3; p++)
			for (u32 width = 0; width < 3; width++)
				for (u32 count = 0; count < 4; count++) {
					u8 b[4];
					u32 n = 0;

					if (prefix[p])
						b[n++] = prefix[p];
					if (width)
						b[n++] = width == 1 ? 0x66 : 0x48;
					b[n++] = opcode[i];
					compare(b, n, 0, count % 3);
				}
}

static int setup(void **state)
{
	host_code = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return host_code == MAP_FAILED || machine_setup(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_instructions_agree_with_the_cpu),
		cmocka_unit_test(test_shift_flags_agree_where_they_are_defined),
		cmocka_unit_test(test_bit_instructions_reach_beyond_the_operand),
		cmocka_unit_test(test_string_instructions_agree_with_the_cpu),
	};

	return cmocka_run_group_tests(tests, setup, machine_teardown);
}
