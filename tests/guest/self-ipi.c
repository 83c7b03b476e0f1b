/* Interrupts from the local APIC to itself: order by priority, TPR, EOI, xAPIC and x2APIC. */
#include "guest.h"

TEST_NAME("self-ipi");

static volatile u32 count, order;

static void note(struct frame *f)
{
	count++;
	order = order << 8 | (u32)f->vector;
	apic_eoi();
}

static void nested(struct frame *f)
{
	apic_write(APIC_ICR, APIC_SELF | 0x41); /* lower: waits for the EOI */
	apic_write(APIC_ICR, APIC_SELF | 0x71); /* higher: comes at once */
	__asm__ volatile("sti; nop; nop; cli" ::: "memory");
	order = order << 8 | (u32)f->vector;
	apic_eoi();
}

static void reset(void)
{
	count = 0;
	order = 0;
}

static void test_ipi(const char *mode)
{
	reset();
	sti();
	apic_write(APIC_ICR, APIC_SELF | 0x41);
	__asm__ volatile("nop; nop");
	cli();
	expect_eq(mode, count, 1);

	reset();
	apic_write(APIC_ICR, APIC_SELF | 0x41);
	apic_write(APIC_ICR, APIC_SELF | 0x61);
	apic_write(APIC_ICR, APIC_SELF | 0x51);
	apic_write(APIC_ICR, APIC_SELF | 0x51); /* the same again: one interrupt */
	expect_eq("pending with IF = 0: handlers run", count, 0);
	expect(apic_read(APIC_IRR + 0x10 * (0x41 / 32)) & 1u << 0x41 % 32, "IRR lacks vector 0x41");
	sti();
	__asm__ volatile("nop; nop");
	cli();
	expect_eq("order by priority", order, 0x615141);

	reset();
	apic_write(APIC_TPR, 0x50);
	apic_write(APIC_ICR, APIC_SELF | 0x41);
	apic_write(APIC_ICR, APIC_SELF | 0x61);
	sti();
	__asm__ volatile("nop; nop");
	expect_eq("with TPR 0x50", order, 0x61);
	apic_write(APIC_TPR, 0);
	__asm__ volatile("nop; nop");
	cli();
	expect_eq("after TPR 0", order, 0x6141);

	reset();
	sti();
	apic_write(APIC_ICR, APIC_SELF | 0x55);
	__asm__ volatile("nop; nop");
	cli();
	expect_eq("nested", order, 0x715541);
	expect_eq("ISR at the end", apic_read(APIC_ISR + 0x10 * (0x55 / 32)), 0);
}

static const struct {
	u32 msr;
	u64 value;
	bool refused;
	const char *name;
} x2_writes[] = {
	{0x835, 0x15700, false, "LVT LINT0 with the read-only delivery status and remote IRR"},
	{0x832, 0x11041, false, "LVT timer with the read-only delivery status"},
	{0x835, 0x10800, true, "LVT LINT0 with reserved bit 11"},
	{0x832, 0x12041, true, "LVT timer with reserved bit 13"},
	{0x808, 0x100, true, "TPR above 255"},
	{0x80b, 1, true, "EOI other than 0"},
	{0x802, 0, true, "the read-only id"},
};

static void x2_write(void *arg) { wrmsr(x2_writes[(ulong)arg].msr, x2_writes[(ulong)arg].value); }

static void test_x2_writes(void)
{
	for (u32 i = 0; under_caisson && i < ARRAY_SIZE(x2_writes); i++)
		expect_trap(x2_writes[i].name, try_call(x2_write, (void *)(ulong)i),
			    x2_writes[i].refused ? EXC_GP : NO_TRAP);
	if (under_caisson)
		expect_eq("LVT LINT0 without them", rdmsr(0x835), 0x10700);
}

void test_main(void)
{
	pic_init(0x20, 0);
	set_handler(0x41, note);
	set_handler(0x51, note);
	set_handler(0x61, note);
	set_handler(0x71, note);
	set_handler(0x55, nested);
	apic_enable();
	test_ipi("xAPIC");
	if (!apic_enter_x2()) {
		expect(!under_caisson, "x2APIC is not offered");
		return;
	}
	test_ipi("x2APIC");
	test_x2_writes();
	reset();
	sti();
	wrmsr(0x83f, 0x41);
	__asm__ volatile("nop; nop");
	cli();
	expect_eq("SELF IPI register", count, 1);
}
