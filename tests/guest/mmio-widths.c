/* Device memory through the instructions that compilers and kernels use for it. */
#include "guest.h"

TEST_NAME("mmio-widths");

#define INDEX IOAPIC
#define WINDOW (IOAPIC + 0x10)
#define ENTRY_LOW(pin) (0x10 + 2 * (pin))
#define PIN 20
#define MASKED 0x10000u

static void select(u32 reg) { mmio_write(INDEX, reg); }

/* Loads: every form reads the same masked entry. */
static void test_loads(void)
{
	ulong v, base = IOAPIC, index = 0x10;

	ioapic_write(ENTRY_LOW(PIN), MASKED | 0x77);
	__asm__ volatile("movl 0x10(%1), %k0" : "=r"(v) : "r"(base));
	expect_eq("mov r32, [base+8]", v, MASKED | 0x77);
	__asm__ volatile("movl (%1,%2,1), %k0" : "=r"(v) : "r"(base), "r"(index));
	expect_eq("mov r32, [base+index]", v, MASKED | 0x77);
	__asm__ volatile("mov %1, %%r13; movl 0x10(%%r13), %%r9d; mov %%r9, %0"
			 : "=r"(v)
			 : "r"(base)
			 : "r9", "r13");
	expect_eq("mov r9d, [r13+8]", v, MASKED | 0x77);
	v = 0;
	__asm__ volatile("addl 0x10(%1), %k0" : "+r"(v) : "r"(base) : "cc");
	expect_eq("add r32, m32", v, MASKED | 0x77);
	v = ~0ul;
	__asm__ volatile("andl 0x10(%1), %k0" : "+r"(v) : "r"(base) : "cc");
	expect_eq("and r32, m32", v, MASKED | 0x77);
	bool zero, equal;
	__asm__ volatile("testl $0x10000, 0x10(%1)" : "=@ccz"(zero) : "r"(base));
	expect(!zero, "test m32, imm32: ZF is set");
	__asm__ volatile("cmpl $0x10077, 0x10(%1)" : "=@cce"(equal) : "r"(base));
	expect(equal, "cmp m32, imm32: not equal");
	select(0x5a);
	__asm__ volatile("movzbl (%1), %k0" : "=r"(v) : "r"(base));
	expect_eq("movzx r32, m8", v, 0x5a);
	__asm__ volatile("movb (%1), %b0" : "=q"(v) : "r"(base), "0"(0x1100ul));
	expect_eq("mov r8, m8", v, 0x115a);
}

/* Stores, read-modify-write: the entry is read back by a plain load. */
static void test_stores(void)
{
	ulong base = IOAPIC;

	select(ENTRY_LOW(PIN));
	__asm__ volatile("movl $0x10031, 0x10(%0)" ::"r"(base) : "memory");
	expect_eq("mov m32, imm32", mmio_read(WINDOW), MASKED | 0x31);
	__asm__ volatile("mov %0, %%r14; mov $0x10032, %%r10d; movl %%r10d, 0x10(%%r14)" ::"r"(base)
			 : "memory", "r10", "r14");
	expect_eq("mov [r14+8], r10d", mmio_read(WINDOW), MASKED | 0x32);
	__asm__ volatile("orl $0x0d, 0x10(%0)" ::"r"(base) : "memory", "cc");
	expect_eq("or m32, imm8", mmio_read(WINDOW), MASKED | 0x3f);
	__asm__ volatile("andl %1, 0x10(%0)" ::"r"(base), "r"(0x10033) : "memory", "cc");
	expect_eq("and m32, r32", mmio_read(WINDOW), MASKED | 0x33);
	u32 v = MASKED | 0x44;
	__asm__ volatile("xchgl %0, 0x10(%1)" : "+r"(v) : "r"(base) : "memory");
	expect_eq("xchg: old value", v, MASKED | 0x33);
	expect_eq("xchg: new value", mmio_read(WINDOW), MASKED | 0x44);
	ulong to = WINDOW, rest = 1;
	__asm__ volatile("rep stosl" : "+D"(to), "+c"(rest) : "a"(MASKED | 0x45) : "memory");
	expect_eq("rep stosd", mmio_read(WINDOW), MASKED | 0x45);
	expect_eq("rep stosd: rdi", to, WINDOW + 4);
	static u32 source = MASKED | 0x46;
	ulong from = (ulong)&source;
	to = WINDOW;
	__asm__ volatile("movsl" : "+D"(to), "+S"(from)::"memory");
	expect_eq("movsd to a device", mmio_read(WINDOW), MASKED | 0x46);
	static u32 target;
	from = WINDOW, to = (ulong)&target;
	__asm__ volatile("movsl" : "+D"(to), "+S"(from)::"memory");
	expect_eq("movsd from a device", target, MASKED | 0x46);
}

static void or_tpr(void *arg)
{
	__asm__ volatile("orl $0x20, (%0)" ::"r"(LAPIC + APIC_TPR) : "memory", "cc");
}

/*
 * Caisson carries out MOV only on this page, where the CPU does not do it: docs/support.md. One
 * that is not carried out changes nothing.
 */
static void test_apic_page(void)
{
	apic_enable();
	expect((apic_read(APIC_VERSION) & 0xf0) == 0x10, "local APIC: no version 0x1x");
	apic_write(APIC_TPR, 0x20);
	u32 v;
	__asm__ volatile("movl 0xfee00080, %0" : "=a"(v));
	expect_eq("local APIC TPR by mov eax, moffs", v, 0x20);
	__asm__ volatile("movl $0x10, (%0)" ::"r"(LAPIC + APIC_TPR) : "memory");
	expect_eq("local APIC TPR by mov m32, imm32", apic_read(APIC_TPR), 0x10);
	long trap = try_call(or_tpr, NULL);
	expect_trap("local APIC TPR by or m32, imm8", trap,
		    under_caisson && trap != NO_TRAP ? EXC_UD : NO_TRAP);
	expect_eq("local APIC TPR after it", apic_read(APIC_TPR), trap == NO_TRAP ? 0x30 : 0x10);
	apic_write(APIC_TPR, 0);
}

void test_main(void)
{
	u32 version = ioapic_read(1);

	expect((version >> 16 & 0xff) >= 23, "I/O APIC: fewer than 24 pins");
	test_loads();
	test_stores();
	test_apic_page();
}
