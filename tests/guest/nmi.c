/* NMIs: taken with IF = 0, held back until IRET, one latched meanwhile, and they end HLT. */
#include "guest.h"

TEST_NAME("nmi");

#define EXC_NMI 2
#define SEND_NMI 0x400u /* fixed destination, delivery mode NMI */
#define PIT_PIN 2
#define MASKED 0x10000u
#define READ_ONLY 0x0a0 /* a register that is: PPR */

static volatile u32 count, depth, deepest, again, unblock;
static volatile ulong interrupted;
static volatile bool halting;
extern const char after_nmi_hlt[];

static void send(void)
{
	if (rdmsr(MSR_APIC_BASE) & APIC_BASE_X2)
		wrmsr(MSR_X2APIC + (APIC_ICR >> 4), (u64)apic_read(APIC_ID) << 32 | SEND_NMI);
	else {
		apic_write(APIC_ICR2, apic_read(APIC_ID));
		apic_write(APIC_ICR, SEND_NMI);
	}
}

static void nmi(struct frame *f)
{
	/* the CPU was away: another one ends the HLT */
	if (halting && f->ip != (ulong)after_nmi_hlt) {
		pit_start(0, 11932);
		return;
	}
	count++;
	depth++;
	interrupted = f->ip;
	while (again) {
		again--;
		send();
		cpuid(0, 0); /* exits, and their entries, leave NMIs blocked */
		inb(0x61);
	}
	if (unblock) {
		unblock = 0;
		__asm__ volatile("int3"); /* its IRET unblocks NMIs, the manuals say */
	}
	if (depth > deepest)
		deepest = depth;
	depth--;
}

static void breakpoint(struct frame *f) {}

static void reset(u32 resend)
{
	count = deepest = depth = 0;
	again = resend;
}

static void test_mode(const char *mode)
{
	reset(0);
	send();
	cpuid(0, 0);
	expect_eq(mode, count, 1);

	reset(3);
	send();
	cpuid(0, 0);
	expect_eq("one is latched while blocked: NMIs", count, 2);
	expect_eq("depth", deepest, 1);

	reset(1);
	unblock = 1;
	send();
	cpuid(0, 0);
	expect_eq("IRET within the handler: NMIs", count, 2);
	expect_eq("depth", deepest, 2);

	reset(0);
	sti();
	send();
	cpuid(0, 0);
	cli();
	expect_eq("with IF = 1", count, 1);
}

static void test_behind_apic_page(void)
{
	reset(0);
	apic_write(READ_ONLY, 0);
	send();
	cpuid(0, 0);
	expect_eq("behind a write to the APIC's page: NMIs", count, 1);
}

/* Through the I/O APIC, so that it comes while the CPU is halted. */
static void test_hlt(void)
{
	reset(0);
	ioapic_write(0x11 + 2 * PIT_PIN, 0);
	ioapic_write(0x10 + 2 * PIT_PIN, SEND_NMI);
	halting = true;
	pit_start(0, 11932);
	__asm__ volatile("hlt\n.globl after_nmi_hlt\nafter_nmi_hlt:" ::: "memory");
	halting = false;
	ioapic_write(0x10 + 2 * PIT_PIN, MASKED);
	expect_eq("HLT with IF = 0: NMIs", count, 1);
	expect_eq("interrupted at", interrupted, (ulong)after_nmi_hlt);
}

void test_main(void)
{
	pic_init(0x20, 0);
	set_handler(EXC_NMI, nmi);
	set_handler(EXC_BP, breakpoint);
	apic_enable();
	test_mode("xAPIC");
	test_behind_apic_page();
	test_hlt();
	if (apic_enter_x2())
		test_mode("x2APIC");
}
