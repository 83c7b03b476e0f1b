/* HLT ends by an interrupt, behind the HLT, and not by one that is masked by IF. */
#include "guest.h"

TEST_NAME("hlt-wakeup");

#define VECTOR 0x40
static volatile u32 ticks;
static ulong interrupted;
extern const char after_hlt[];

static void tick(struct frame *f)
{
	ticks++;
	interrupted = f->ip;
	apic_eoi();
}

void test_main(void)
{
	pic_init(0x20, 0);
	set_handler(VECTOR, tick);
	apic_enable();
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, VECTOR);
	for (u32 i = 1; i <= 10; i++) {
		apic_write(APIC_TIMER_INIT, 1000000);
		__asm__ volatile("sti; hlt\n.globl after_hlt\nafter_hlt: cli" ::: "memory");
		expect_eq("interrupts after HLT", ticks, i);
		expect_eq("interrupted at", interrupted, (ulong)after_hlt);
	}
	/* Pending before: STI's shadow covers HLT, which ends at once. */
	ticks = 0;
	apic_write(APIC_ICR, APIC_SELF | VECTOR);
	sti_hlt();
	cli();
	expect_eq("pending before STI; HLT", ticks, 1);
	/* Prefixed HLT. */
	ticks = 0;
	apic_write(APIC_TIMER_INIT, 100000);
	__asm__ volatile("sti; .byte 0x66, 0xf4; cli" ::: "memory");
	expect_eq("prefixed HLT", ticks, 1);
	/* The shadow of STI and of MOV SS holds an interrupt back for one instruction. */
	ulong marker = 0;
	apic_write(APIC_ICR, APIC_SELF | VECTOR);
	__asm__ volatile("sti; incq %0; incq %0; cli" : "+r"(marker)::"memory", "cc");
	expect_eq("pending at STI", ticks, 2);
}
