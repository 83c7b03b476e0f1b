// MODE: 32
/*
 * Instructions do the same in real mode as in protected mode of 16 bits: where a CPU can't run the
 * one, its emulation is compared with the CPU's own work.
 */
#include "guest.h"

TEST_NAME("real-insns");

#define LOW 0x7000ul
#define MEMORY 0x7900ul /* 64 bytes that EDI points into the middle of */
#define MEMORY_BYTES 64
#define SLOT_BYTES 24
#define NOP 0x90
#define VECTOR 0x40
#define HANDLER 0x7a10u
#define DIVIDED 0x7a20u
#define COUNT ((volatile u16 *)0x7a00)
#define ROUNDS 6
enum { ARITHMETIC = 0x8d5, AF = 0x10, OF = 0x800, SF_ZF_AF_PF = 0xd4, DF = 0x400 };
enum { EAX, ECX, EDX, EBX, EBP, ESI, EDI, FLAGS, REGISTERS };

extern const u8 low_start[], low_end[], insn_slot[];
void run_16(u32 real);

struct insn_state {
	u32 before[REGISTERS], after[REGISTERS + 1]; /* then ESP too */
};
static volatile struct insn_state *const state = (void *)0x7800;

struct row {
	const char *name;
	u8 bytes[20], count;
	u32 undefined; /* flags */
};

#define ROW(name, undefined, ...)                                                                  \
	{                                                                                          \
		name, {__VA_ARGS__}, sizeof((u8[]){__VA_ARGS__}), undefined                        \
	}
static const struct row rows[] = {
	ROW("add al, imm", 0, 0x04, 0x91),
	ROW("adc ax, imm", 0, 0x15, 0x34, 0x82),
	ROW("sbb eax, imm", 0, 0x66, 0x1d, 0x34, 0x82, 0x11, 0x90),
	ROW("and ax, imm", AF, 0x25, 0xf0, 0x1f),
	ROW("cmp al, imm", 0, 0x3c, 0x80),
	ROW("add ax, bx", 0, 0x01, 0xd8),
	ROW("sub ecx, [di]", 0, 0x66, 0x2b, 0x0d),
	ROW("xor [di + 3], dl", AF, 0x30, 0x55, 0x03),
	ROW("add word [edi + 4], imm", 0, 0x67, 0x83, 0x47, 0x04, 0x7f),
	ROW("lock xadd [di], ax", 0, 0xf0, 0x0f, 0xc1, 0x05),
	ROW("cmpxchg [di], cl", 0, 0x0f, 0xb0, 0x0d),
	ROW("inc cx", 0, 0x41),
	ROW("dec edx", 0, 0x66, 0x4a),
	ROW("neg bp", 0, 0xf7, 0xdd),
	ROW("not byte [di]", 0, 0xf6, 0x15),
	ROW("mul cl", SF_ZF_AF_PF, 0xf6, 0xe1),
	ROW("mul word [di]", SF_ZF_AF_PF, 0xf7, 0x25),
	ROW("mul ebx", SF_ZF_AF_PF, 0x66, 0xf7, 0xe3),
	ROW("imul dl", SF_ZF_AF_PF, 0xf6, 0xea),
	ROW("imul bx", SF_ZF_AF_PF, 0xf7, 0xeb),
	ROW("imul esi", SF_ZF_AF_PF, 0x66, 0xf7, 0xee),
	ROW("imul ax, [di], imm8", SF_ZF_AF_PF, 0x6b, 0x05, 0x9c),
	ROW("imul ecx, edx, imm32", SF_ZF_AF_PF, 0x66, 0x69, 0xca, 1, 2, 3, 0x84),
	ROW("imul bx, cx", SF_ZF_AF_PF, 0x0f, 0xaf, 0xd9),
	ROW("mov ah, 0; mov cl, 7; div cl", ARITHMETIC, 0xb4, 0, 0xb1, 7, 0xf6, 0xf1),
	ROW("xor dx, dx; or cx, 1; div cx", ARITHMETIC, 0x31, 0xd2, 0x83, 0xc9, 1, 0xf7, 0xf1),
	ROW("cdq; or ebx, 16; idiv ebx", ARITHMETIC, 0x66, 0x99, 0x66, 0x83, 0xcb, 16, 0x66, 0xf7,
	    0xfb),
	ROW("cwd; mov bp, -7; idiv bp", ARITHMETIC, 0x99, 0xbd, 0xf9, 0xff, 0xf7, 0xfd),
	ROW("cbw; mov cl, -3; idiv cl", ARITHMETIC, 0xb8, 0x81, 0xff, 0xb1, 0xfd, 0xf6, 0xf9),
	ROW("shl ax, 5", AF | OF, 0xc1, 0xe0, 5),
	ROW("sar ecx, 3", AF | OF, 0x66, 0xc1, 0xf9, 3),
	ROW("rcl byte [di], 1", 0, 0xd0, 0x15),
	ROW("ror dx, 1", 0, 0xd1, 0xca),
	ROW("shld ax, bx, 5", AF | OF, 0x0f, 0xa4, 0xd8, 5),
	ROW("shrd [di], ecx, 9", AF | OF, 0x66, 0x0f, 0xac, 0x0d, 9),
	ROW("and cl, 15; shrd dx, bx, cl", AF | OF, 0x80, 0xe1, 15, 0x0f, 0xad, 0xda),
	ROW("bsf ax, cx", ARITHMETIC & ~0x40, 0x83, 0xc9, 16, 0x0f, 0xbc, 0xc1),
	ROW("bsr edx, ebx", ARITHMETIC & ~0x40, 0x66, 0x83, 0xcb, 1, 0x66, 0x0f, 0xbd, 0xd3),
	ROW("bts [di], 5", ARITHMETIC & ~1, 0x0f, 0xba, 0x2d, 5),
	ROW("bswap ebx", 0, 0x66, 0x0f, 0xcb),
	ROW("cbw", 0, 0x98),
	ROW("cwde", 0, 0x66, 0x98),
	ROW("cwd", 0, 0x99),
	ROW("lahf", 0, 0x9f),
	ROW("sahf", 0, 0x9e),
	ROW("xchg ax, si", 0, 0x96),
	ROW("xchg [di], ebp", 0, 0x66, 0x87, 0x2d),
	ROW("mov dh, imm", 0, 0xb6, 0x5a),
	ROW("mov eax, imm", 0, 0x66, 0xb8, 1, 2, 3, 4),
	ROW("mov [MEMORY], ax", 0, 0xa3, 0x00, 0x79),
	ROW("mov al, [MEMORY]", 0, 0xa0, 0x00, 0x79),
	ROW("mov word [di + 2], imm", 0, 0xc7, 0x45, 2, 0x34, 0x12),
	ROW("movzx ecx, byte [di]", 0, 0x66, 0x0f, 0xb6, 0x0d),
	ROW("movsx dx, al", 0, 0x0f, 0xbe, 0xd0),
	ROW("setg [di]", 0, 0x0f, 0x9f, 0x05),
	ROW("cmovs bx, cx", 0, 0x0f, 0x48, 0xd9),
	ROW("lea ax, [bx + si + 9]", 0, 0x8d, 0x40, 9),
	ROW("lea ecx, [eax + ebx * 4 - 1]", 0, 0x66, 0x67, 0x8d, 0x4c, 0x98, 0xff),
	ROW("lea dx, [ebp + 0x12345678]", 0, 0x67, 0x8d, 0x95, 0x78, 0x56, 0x34, 0x12),
	ROW("mov bx, MEMORY; xlat", 0, 0xbb, 0x00, 0x79, 0x24, 31, 0xd7),
	ROW("test ax, imm", AF, 0xa9, 0x0f, 0xf0),
	ROW("test byte [di], imm", AF, 0xf6, 0x05, 0x81),
	ROW("daa", OF, 0x27),
	ROW("das", OF, 0x2f),
	ROW("aaa", ARITHMETIC & ~0x11, 0x37),
	ROW("aas", ARITHMETIC & ~0x11, 0x3f),
	ROW("aam", OF | AF | 1, 0xd4, 10),
	ROW("aad", OF | AF | 1, 0xd5, 10),
	ROW("cmc; clc; stc", 0, 0xf5, 0x72, 1, 0xf8, 0xf9),
	ROW("std; lodsb; cld", 0, 0xfd, 0xac, 0xfc),
	ROW("movsb; movsd", 0, 0xa4, 0x66, 0xa5),
	ROW("mov cx, 5; rep stosw", 0, 0xb9, 5, 0, 0xf3, 0xab),
	ROW("mov cx, 9; repe cmpsb", 0, 0xb9, 9, 0, 0xf3, 0xa6),
	ROW("mov ecx, 4; repne scasb", 0, 0xb9, 4, 0, 0xf2, 0xae),
	ROW("push ax; push bx; pop ecx", 0, 0x50, 0x53, 0x66, 0x59),
	ROW("push imm8; push imm16; pop edx", 0, 0x6a, 0x85, 0x68, 0x34, 0x12, 0x66, 0x5a),
	ROW("push [di]; pop [di + 6]", 0, 0xff, 0x35, 0x8f, 0x45, 6),
	ROW("push sp; pop ax", 0, 0x54, 0x58),
	ROW("pusha; xor ax, ax; mov di, ax; popa", AF, 0x60, 0x31, 0xc0, 0x89, 0xc7, 0x61),
	ROW("pushad; popad", 0, 0x66, 0x60, 0x66, 0x31, 0xdb, 0x66, 0x61),
	ROW("pushf; pop ax; and ax, 0xcd5; push ax; popf", AF, 0x9c, 0x58, 0x25, 0xd5, 0x0c, 0x50,
	    0x9d),
	ROW("pushfd; pop ebx; or bl, 1; push ebx; popfd", AF, 0x66, 0x9c, 0x66, 0x5b, 0x80, 0xcb, 1,
	    0x66, 0x53, 0x66, 0x9d),
	ROW("enter 16; mov [bp - 4], cx; leave", 0, 0xc8, 16, 0, 0, 0x89, 0x4e, 0xfc, 0xc9),
	ROW("jo; jnc; jle; each skips", 0, 0x70, 1, 0x40, 0x73, 1, 0x41, 0x7e, 1, 0x42),
	ROW("jz near; js; jp", 0, 0x0f, 0x84, 1, 0, 0x40, 0x78, 1, 0x41, 0x7a, 1, 0x42),
	ROW("jcxz; loop", 0, 0xb9, 3, 0, 0x40, 0xe3, 2, 0xe2, 0xfb),
	ROW("loope", 0, 0xb9, 9, 0, 0x48, 0xe1, 0xfd),
	ROW("jmp short; jmp near", 0, 0xeb, 1, 0x40, 0xe9, 1, 0, 0x41),
	ROW("call; pop ax", 0, 0xe8, 0, 0, 0x58),
	ROW("call; jmp; ret", 0, 0xe8, 2, 0, 0xeb, 2, 0x41, 0xc3),
	ROW("push; call; ret 2", 0, 0x50, 0xe8, 2, 0, 0xeb, 4, 0x41, 0xc2, 2, 0),
	ROW("push cs; call; retf", 0, 0x0e, 0xe8, 2, 0, 0xeb, 2, 0x43, 0xcb),
	ROW("pushf; push cs; call; iret", 0, 0x9c, 0x0e, 0xe8, 2, 0, 0xeb, 2, 0x43, 0xcf),
	ROW("call; pop bx; add bx, 8; jmp bx", AF, 0xe8, 0, 0, 0x5b, 0x83, 0xc3, 8, 0xff, 0xe3,
	    0x40, 0x40),
	ROW("push ds; pop es; mov ax, ds", 0, 0x1e, 0x07, 0x8c, 0xd8, 0x31, 0xc0),
	ROW("mov ss, [sp]", 0, 0x16, 0x17, 0x8c, 0xd0, 0x8e, 0xd0, 0x31, 0xc0),
	ROW("nop; pause; fwait-less hints", 0, 0x90, 0xf3, 0x90, 0x0f, 0x1f, 0x00),
};

static u32 random_state = 12345;
static u32 random(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return random_state ^ random_state >> 15;
}

static void prepare(const struct row *r, const u32 *registers, const u8 *memory)
{
	u8 *slot = (u8 *)(LOW + (ulong)insn_slot - (ulong)low_start);

	fill(slot, NOP, SLOT_BYTES);
	copy(slot, r->bytes, r->count);
	copy((void *)state->before, registers, sizeof(state->before));
	copy((void *)MEMORY, memory, MEMORY_BYTES);
}

static void compare(const struct row *r)
{
	u32 registers[REGISTERS], native[REGISTERS + 1];
	u8 memory[MEMORY_BYTES], result[MEMORY_BYTES];

	for (u32 i = 0; i < REGISTERS; i++)
		registers[i] = random();
	for (u32 i = 0; i < MEMORY_BYTES; i++)
		memory[i] = (u8)(random() % 3 ? random() : 0);
	registers[ESI] = MEMORY + 8;
	registers[EDI] = MEMORY + 32;
	registers[FLAGS] = (registers[FLAGS] & ARITHMETIC) | 2;
	prepare(r, registers, memory);
	run_16(0);
	copy(native, (const void *)state->after, sizeof(native));
	copy(result, (const void *)MEMORY, MEMORY_BYTES);
	prepare(r, registers, memory);
	run_16(1);
	for (u32 i = 0; i <= REGISTERS; i++) {
		u32 ignored = i == FLAGS ? r->undefined : 0;

		if ((state->after[i] ^ native[i]) & ~ignored)
			fail("%s: register %u is 0x%x in real mode, 0x%x in protected mode",
			     r->name, i, state->after[i], native[i]);
	}
	for (u32 i = 0; i < MEMORY_BYTES; i++)
		if (((const u8 *)MEMORY)[i] != result[i])
			fail("%s: byte %u is 0x%x in real mode, 0x%x in protected mode", r->name, i,
			     ((const u8 *)MEMORY)[i], result[i]);
}

static void set_vector(u32 vector, u32 offset) { mmio_write(vector * 4, offset); }

/* Handlers in the real-mode table: an interrupt of the local APIC, INT n, INT3, a division by 0. */
static void events(void)
{
	static const u8 handler[] = {0xff, 0x06, 0x00, 0x7a, 0xcf}; /* inc word [COUNT]; iret */
	static const u8 divided[] = {0xff, 0x06, 0x02, 0x7a, 0xb1, 0x01, 0xcf}; /* and mov cl, 1 */
	static const struct row waiting = ROW("sti; nop; cli", 0, 0xfb, 0x90, 0xfa),
				shadow = ROW("sti; cli; nop", 0, 0xfb, 0xfa, 0x90),
				software = ROW("int; int3", 0, 0xcd, VECTOR, 0xcc),
				division = ROW("mov cl, 0; div cl", 0, 0xb1, 0, 0xf6, 0xf1);
	static const u32 registers[REGISTERS] = {[EAX] = 5, [FLAGS] = 2};
	static const u8 memory[MEMORY_BYTES];

	copy((void *)HANDLER, handler, sizeof(handler));
	copy((void *)DIVIDED, divided, sizeof(divided));
	set_vector(VECTOR, HANDLER);
	set_vector(3, HANDLER);
	set_vector(0, DIVIDED);
	COUNT[0] = COUNT[1] = 0;
	apic_enable();
	apic_write(APIC_ICR, APIC_SELF | VECTOR);
	prepare(&shadow, registers, memory);
	run_16(1);
	expect_eq("interrupts in the shadow of STI", COUNT[0], 0);
	prepare(&waiting, registers, memory);
	run_16(1);
	expect_eq("interrupts that waited for STI", COUNT[0], 1);
	apic_eoi();
	prepare(&software, registers, memory);
	run_16(1);
	expect_eq("INT and INT3", COUNT[0], 3);
	prepare(&division, registers, memory);
	run_16(1);
	expect_eq("divisions by 0", COUNT[1], 1);
	expect_eq("the division done again", state->after[EAX] & 0xffff, 5);
}

void test_main(void)
{
	copy((void *)LOW, low_start, (ulong)low_end - (ulong)low_start);
	cli();
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		for (u32 round = 0; round < ROUNDS && all_well(); round++)
			compare(&rows[i]);
	events();
}
