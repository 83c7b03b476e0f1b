/*
 * Known numbers of exits, for who counts them from outside (boot/trace): 1,000 times CPUID's leaf
 * 0x40000000, 300 times a write of port 0x80, 200 times a read of port 0x61, 50 hypercalls, 100
 * self-IPIs.
 */
#include "kvm.h"

TEST_NAME("exits-counted");

#define VECTOR 0x51

static volatile u32 taken;

static void on_ipi(struct frame *f)
{
	taken++;
	mmio_write(LAPIC + APIC_EOI, 0);
}

void test_main(void)
{
	struct cpuid first = cpuid(0x40000000, 0);
	u32 different = 0;

	for (u32 i = 1; i < 1000; i++)
		different += cpuid(0x40000000, 0).eax != first.eax;
	expect_eq("answers of CPUID that differ", different, 0);
	for (u32 i = 0; i < 300; i++)
		outb(0x80, (u8)i);
	for (u32 i = 0; i < 200; i++)
		inb(0x61);
	for (u32 i = 0; i < 50 && under_caisson; i++)
		expect_eq("a hypercall", hypercall(KVM_POLL_IRQ, 0, 0, 0, 0), 0);
	pic_init(0x20, 0);
	apic_enable();
	set_handler(VECTOR, on_ipi);
	for (u32 i = 0; i < 100; i++) {
		mmio_write(LAPIC + APIC_ICR, APIC_SELF | VECTOR);
		__asm__ volatile("sti; nop; cli" ::: "memory");
	}
	expect_eq("interrupts", taken, 100);
}
