/*
 * Debug registers, single steps over instructions that exit, and exceptions that are a guest's own.
 */
#include "guest.h"

TEST_NAME("debug-regs");

#define TF 0x100ul
static volatile u32 steps;
static volatile ulong watched;
static ulong step_ip[16];

static void step(struct frame *f)
{
	if (steps < ARRAY_SIZE(step_ip))
		step_ip[steps] = f->ip;
	steps++;
}

static void divide(void *arg) { __asm__ volatile("divl %%ecx" ::"a"(1), "d"(0), "c"(0) : "cc"); }

static void breakpoint(void *arg) { __asm__ volatile("int3"); }

/* TF set, four instructions that exit, TF cleared: one trap behind each of them. */
extern const char stepped_in[], stepped_out[], stepped_msr[], stepped_mmio[], stepped_hlt[];

static void test_step_over_exits(void)
{
	const ulong expected[] = {(ulong)stepped_in, (ulong)stepped_out, (ulong)stepped_msr,
				  (ulong)stepped_mmio};
	ulong dr6;

	steps = 0;
	__asm__ volatile("mov %0, %%dr6" ::"r"(0xffff0ff0ul));
	__asm__ volatile(
		"pushf; pushf; orq $0x100, (%%rsp); popf\n\t"
		"inb $0x61, %%al\nstepped_in: outb %%al, $0x80\nstepped_out: rdmsr\nstepped_msr:"
		"movl (%1), %%eax\nstepped_mmio: popf" ::"c"(0x1b),
		"r"(IOAPIC)
		: "rax", "rdx", "memory", "cc");
	for (u32 i = 0; i < ARRAY_SIZE(expected); i++)
		expect_eq("step over IN, OUT, RDMSR, device load", step_ip[i], expected[i]);
	__asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
	expect(dr6 & 1 << 14, "DR6 lacks BS");
	if (!under_caisson)
		return;
	steps = 0; /* IF is 0: only the trap ends the HLT */
	__asm__ volatile("pushf; pushf; orq $0x100, (%%rsp); popf; hlt\nstepped_hlt: popf" ::
				 : "memory", "cc");
	expect_eq("step over HLT", step_ip[0], (ulong)stepped_hlt);
}

extern const char after_cpuid[], after_nop[];

void test_main(void)
{
	ulong v;

	__asm__ volatile("mov %0, %%dr0" ::"r"(0x123456ul));
	__asm__ volatile("mov %0, %%dr3" ::"r"((ulong)&watched));
	cpuid(0, 0);
	inb(0x61);
	__asm__ volatile("mov %%dr0, %0" : "=r"(v));
	expect_eq("DR0", v, 0x123456);
	expect_trap("division by 0", try_call(divide, NULL), 0);
	expect_trap("INT3", try_call(breakpoint, NULL), EXC_BP);

	set_handler(EXC_DB, step);
	/* Watch one long word for writes with breakpoint 3. */
	__asm__ volatile("mov %0, %%dr7" ::"r"(0x400ul | 1ul << 6 | 0x9ul << 28));
	watched = 5;
	expect_eq("write watch: #DB", steps, 1);
	__asm__ volatile("mov %%dr6, %0" : "=r"(v));
	expect(v & 8, "DR6 lacks B3");
	__asm__ volatile("mov %0, %%dr7" ::"r"(0x400ul));

	/*
	 * Single step: NOP, CPUID, NOP, POPF (which clears TF): one trap behind each but the last.
	 */
	steps = 0;
	__asm__ volatile(
		"pushf; pushf; orq $0x100, (%%rsp); popf\n\t"
		"nop\n\t.globl after_nop\nafter_nop: xor %%eax, %%eax; xor %%ecx, %%ecx; cpuid\n\t"
		".globl after_cpuid\nafter_cpuid: nop; popf" ::
			: "rax", "rbx", "rcx", "rdx", "memory", "cc");
	expect(steps >= 5, "single steps: fewer than 5");
	expect_eq("first step", step_ip[0], (ulong)after_nop);
	expect_eq("step over CPUID", step_ip[3], (ulong)after_cpuid);
	test_step_over_exits();
}
