/*
 * The local APIC's modes: off, xAPIC, x2APIC by IA32_APIC_BASE, the changes that fault, and what
 * each mode makes of id, version, LDR and ICR.
 */
#include "guest.h"

TEST_NAME("apic-modes");

#define APIC_LDR 0xd0
#define APIC_DFR 0xe0
#define VECTOR 0x41
#define OFF 0ul
#define X ((ulong)APIC_BASE_ENABLE)
#define X2 ((ulong)(APIC_BASE_ENABLE | APIC_BASE_X2))
#define ICR_SENT (0x12345678ull << 32 | APIC_SELF | VECTOR)
#define WRONG ((ulong)APIC_BASE_X2)

static volatile u32 count;

static void note(struct frame *f)
{
	count++;
	apic_eoi();
}

static void write_base(void *arg) { wrmsr(MSR_APIC_BASE, (ulong)arg); }

static const struct {
	ulong from, to;
	bool refused;
	const char *name;
} changes[] = {
	{X, X, false, "xAPIC again"},
	{X, WRONG, true, "x2APIC without the enable bit, from xAPIC"},
	{X, X2, false, "x2APIC from xAPIC"},
	{X2, X2, false, "x2APIC again"},
	{X2, X, true, "xAPIC from x2APIC"},
	{X2, WRONG, true, "x2APIC without the enable bit, from x2APIC"},
	{X2, OFF, false, "off from x2APIC"},
	{OFF, WRONG, true, "x2APIC without the enable bit, from off"},
	{OFF, X2, true, "x2APIC from off"},
	{OFF, OFF, false, "off again"},
	{OFF, X, false, "xAPIC from off"},
	{X, OFF, false, "off from xAPIC"},
	{OFF, X, false, "xAPIC from off again"},
};

static void test_changes(void)
{
	ulong rest = rdmsr(MSR_APIC_BASE) & ~X2;

	for (u32 i = 0; i < ARRAY_SIZE(changes); i++) {
		ulong to = changes[i].refused ? changes[i].from : changes[i].to;

		expect_trap(changes[i].name, try_call(write_base, (void *)(rest | changes[i].to)),
			    changes[i].refused ? EXC_GP : NO_TRAP);
		expect_eq(changes[i].name, rdmsr(MSR_APIC_BASE), rest | to);
	}
	expect_trap("reserved bit 0", try_call(write_base, (void *)(rest | X | 1)), EXC_GP);
	expect_trap("reserved bit 9", try_call(write_base, (void *)(rest | X | 1 << 9)), EXC_GP);
}

static void read_msr(void *arg) { rdmsr((u32)(ulong)arg); }
static void write_msr(void *arg) { wrmsr((u32)(ulong)arg, 0); }

static void test_xapic_registers(void)
{
	expect_eq("id", apic_read(APIC_ID), cpuid(1, 0).ebx & 0xff000000);
	if (under_caisson) /* some CPUs let it be written, and so does QEMU */
		apic_write(APIC_ID, 0x55000000);
	expect_eq("id behind a write", apic_read(APIC_ID), cpuid(1, 0).ebx & 0xff000000);
	apic_write(APIC_VERSION, 0);
	expect_eq("version: integrated", apic_read(APIC_VERSION) & 0xf0, 0x10);
	expect(apic_read(APIC_VERSION) >> 16 & 0xff, "no LVT entries");
	apic_write(APIC_LDR, 0xa5ffffff);
	expect_eq("LDR", apic_read(APIC_LDR), 0xa5000000);
	apic_write(APIC_DFR, 0);
	expect_eq("DFR", apic_read(APIC_DFR), 0x0fffffff);
	apic_write(APIC_ICR2, under_caisson ? 0xabcdef01 : 0xab000000); /* QEMU keeps all */
	apic_write(APIC_ICR, APIC_SELF | APIC_ALL_LEVELS | VECTOR);
	expect_eq("ICR", apic_read(APIC_ICR), APIC_SELF | APIC_ALL_LEVELS | VECTOR);
	expect_eq("upper ICR", apic_read(APIC_ICR2), 0xab000000);
	expect_trap("an x2APIC MSR read in xAPIC mode", try_call(read_msr, (void *)0x802ul),
		    EXC_GP);
	expect_trap("an x2APIC MSR written in xAPIC mode", try_call(write_msr, (void *)0x80bul),
		    EXC_GP);
}

/* QEMU forgets the upper half. */
static u64 icr(void) { return under_caisson ? rdmsr(0x830) : (u32)rdmsr(0x830) | ICR_SENT; }

static void test_x2apic_registers(void)
{
	u32 id = cpuid(0xb, 0).edx;

	expect_eq("x2APIC: id", rdmsr(0x802), id);
	expect_eq("x2APIC: LDR", rdmsr(0x80d), id >> 4 << 16 | 1u << (id & 15));
	wrmsr(0x830, ICR_SENT);
	expect_eq("x2APIC: ICR", icr(), ICR_SENT);
	wrmsr(0x83f, VECTOR);
	expect_eq("x2APIC: ICR behind a self-IPI", icr(), ICR_SENT);
	expect_trap("x2APIC: the self-IPI register is not read",
		    try_call(read_msr, (void *)0x83ful), EXC_GP);
	expect_trap("x2APIC: DFR", try_call(read_msr, (void *)0x80eul), EXC_GP);
	if (under_caisson) /* QEMU lets it be read */
		expect_trap("x2APIC: upper ICR", try_call(read_msr, (void *)0x831ul), EXC_GP);
	expect_trap("x2APIC: LDR is not written", try_call(write_msr, (void *)0x80dul), EXC_GP);
	sti();
	__asm__ volatile("nop; nop");
	cli();
	expect_eq("x2APIC: interrupts", count, 1);
}

void test_main(void)
{
	pic_init(0x20, 0);
	set_handler(VECTOR, note);
	if (!(cpuid(1, 0).ecx & 1u << 21)) {
		expect(!under_caisson, "x2APIC is not offered");
		return;
	}
	test_changes();
	apic_enable();
	test_xapic_registers();
	sti();
	__asm__ volatile("nop; nop");
	cli();
	expect_eq("xAPIC: interrupts", count, 1);
	count = 0;
	expect(apic_enter_x2(), "x2APIC is not offered");
	test_x2apic_registers();
}
