// MODE: 32
/*
 * The local APIC's page by 32-bit code and by instructions that are no MOV: each reads and writes
 * as on a CPU, and HLT, PAUSE and CPUID go on behind themselves there, with prefixes too.
 */
#include "guest.h"

TEST_NAME("apic-insns");

#define VECTOR 0x45
#define LINE 0x54
#define PIN 4 /* COM1 */
#define LEVEL 0x8000u
#define COM1 0x3f8
#define IER_THRE 2
#define ROUNDS 3
#define TPR ((volatile u32 *)(LAPIC + APIC_TPR))
#define ICR ((volatile u32 *)(LAPIC + APIC_ICR))

static volatile u32 count;

static void note(struct frame *f)
{
	count++;
	apic_eoi();
}

/* The end of a level-triggered one is told to the I/O APIC: the line, still high, comes again. */
static void line(struct frame *f)
{
	if (++count == ROUNDS)
		outb(COM1 + 1, 0);
	apic_eoi();
}

/* clang-format off */
#define READ(insn) ({ u32 v_ = 0; __asm__ volatile(insn : "+a"(v_) : "m"(*TPR) : "cc", "memory"); v_; })
#define WRITE(insn, v) __asm__ volatile(insn : "+m"(*TPR) : "a"(v) : "cc", "memory")
/* clang-format on */

static void test_reads(void)
{
	apic_write(APIC_TPR, 0x50);
	expect_eq("mov from TPR", READ("movl %1, %0"), 0x50);
	expect_eq("add from TPR", READ("addl %1, %0"), 0x50);
	expect_eq("push and pop of TPR", READ("pushl %1\n\tpopl %0"), 0x50);
	expect_eq("cmp of TPR", READ("cmpl $0x50, %1\n\tsete %b0"), 1);
	expect_eq("bit test of TPR", READ("btl $6, %1\n\tsetc %b0"), 1);
}

static void test_writes(void)
{
	u32 old = 0x30, at = LAPIC + APIC_TPR, n = 4;

	WRITE("movl %1, %0", 0x20);
	expect_eq("TPR by mov", *TPR, 0x20);
	WRITE("movl $0x40, %0", 0);
	expect_eq("TPR by mov of an immediate", *TPR, 0x40);
	WRITE("orl %1, %0", 0x13);
	expect_eq("TPR by or", *TPR, 0x53);
	WRITE("andl $0xf0, %0", 0);
	expect_eq("TPR by and", *TPR, 0x50);
	WRITE("pushl %1\n\tpopl %0", 0x60);
	expect_eq("TPR by pop", *TPR, 0x60);
	__asm__ volatile("xchgl %0, %1" : "+r"(old), "+m"(*TPR) : : "memory");
	expect_eq("TPR as xchg has read it", old, 0x60);
	expect_eq("TPR by xchg", *TPR, 0x30);
	/* Four writes, of which the first is to the register. */
	__asm__ volatile("rep stosl" : "+D"(at), "+c"(n) : "a"(0x20) : "memory");
	expect_eq("TPR by rep stos", *TPR, 0x20);
	expect_eq("what rep stos has left", n, 0);
	*TPR = 0;
}

static void test_self_ipi(void)
{
	u32 command = APIC_SELF | VECTOR;

	count = 0;
	sti();
	__asm__ volatile("xchgl %0, %1" : "+r"(command), "+m"(*ICR) : : "memory");
	__asm__ volatile("nop; nop");
	cli();
	expect_eq("interrupts by a command of xchg", count, 1);
	expect_eq("ISR behind its end", apic_read(APIC_ISR + 0x10 * (VECTOR / 32)), 0);
}

static void test_level(void)
{
	count = 0;
	ioapic_write(0x11 + 2 * PIN, 0);
	ioapic_write(0x10 + 2 * PIN, LINE | LEVEL);
	outb(COM1 + 4, 0x0b);
	outb(COM1 + 1, IER_THRE);
	sti();
	bool done = wait_for(&count, ROUNDS, 2000);
	cli();
	outb(COM1 + 1, 0);
	ioapic_write(0x10 + 2 * PIN, LINE | LEVEL | APIC_MASKED);
	if (!done)
		fail("%u interrupts of a line in 2 s, expected %u", count, ROUNDS);
}

/* What the CPU, or the monitor, measures: none may be a byte too long or too short. */
static void test_lengths(void)
{
	u32 a = 0, b, c = 0, d;

	__asm__ volatile("rep; cpuid; incl %0" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	expect_eq("CPUID with a prefix", a, cpuid(0, 0).eax + 1);
	a = 0;
	__asm__ volatile("pause; incl %0; ds; pause; incl %0" : "+r"(a));
	expect_eq("behind two PAUSEs", a, 2);
	count = 0;
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, VECTOR);
	apic_write(APIC_TIMER_INIT, 1000000);
	__asm__ volatile("1: sti; cs; hlt; incl %0; cli" : "+r"(a) : : "memory");
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
	expect_eq("timer interrupts that end HLT", count, 1);
	expect_eq("behind HLT", a, 3);
}

void test_main(void)
{
	pic_init(0x20, 0);
	set_handler(VECTOR, note);
	set_handler(LINE, line);
	apic_enable();
	test_reads();
	test_writes();
	test_self_ipi();
	test_level();
	test_lengths();
}
