/*
 * PV EOI: the guest ends an interrupt by clearing a flag, and where the flag is not set by its EOI
 * register; no interrupt is lost, doubled or out of order. Where the CPU virtualizes the APIC the
 * flag is never set.
 */
#include "kvm.h"

TEST_NAME("pv-eoi");

static volatile u32 flag __attribute__((aligned(64)));
static volatile u32 count, order, by_flag;

/* As Linux does it. */
static void end(void)
{
	u8 set;

	__asm__ volatile("btrl $0, %0; setc %1" : "+m"(flag), "=q"(set)::"memory");
	if (set)
		by_flag++;
	else
		apic_eoi();
}

static void note(struct frame *f)
{
	count++;
	order = order << 8 | (u32)f->vector;
	end();
}

static void nested(struct frame *f)
{
	apic_write(APIC_ICR, APIC_SELF | 0x41); /* lower: waits for the end */
	apic_write(APIC_ICR, APIC_SELF | 0x71); /* higher: comes at once */
	__asm__ volatile("sti; nop; nop; cli" ::: "memory");
	order = order << 8 | (u32)f->vector;
	end();
}

/* The others are looked at while one is in service and its flag may be out. */
static void busy(struct frame *f)
{
	(void)cpuid(0, 0);
	if (!(apic_read(APIC_ISR + 0x10 * (0x51 / 32)) & 1u << 0x51 % 32))
		fail("ISR lacks the vector in service");
	apic_write(APIC_TPR, 0x20);
	apic_write(APIC_TPR, 0);
	note(f);
}

static void round(const char *what, u32 vectors, u32 expected, u32 most_by_flag)
{
	count = order = by_flag = 0;
	for (; vectors; vectors >>= 8)
		apic_write(APIC_ICR, APIC_SELF | (vectors & 0xff));
	sti();
	__asm__ volatile("nop; nop");
	cli();
	expect_eq(what, order, expected);
	if (by_flag > most_by_flag)
		fail("%s: %u ended by the flag, at most %u may", what, by_flag, most_by_flag);
	expect_eq("the flag when nothing is in service", flag & 1, 0);
	for (u32 i = 0; i < 8; i++)
		expect_eq("ISR at the end", apic_read(APIC_ISR + 0x10 * i), 0);
}

static void test_rounds(void)
{
	for (u32 i = 0; i < 100; i++) {
		round("one", 0x41, 0x41, 1);
		if (on_amd() || command_line_has("noapicv"))
			expect_eq("one, ended by the flag", by_flag, 1);
		/* Only the last one keeps nobody waiting. */
		round("three", 0x615141, 0x615141, 1);
		round("nested", 0x55, 0x715541, 2);
		round("with exits in the handler", 0x51, 0x51, 1);
	}
}

static void test_addresses(void)
{
	static const struct {
		struct kvm_write w;
		const char *what;
	} rows[] = {
		{{KVM_PV_EOI, 0x400002 | 1}, "not aligned"},
		{{KVM_PV_EOI, 0xfee00000 | 1}, "not RAM"},
		{{KVM_PV_EOI, 0xa0000 | 1}, "the hole for VGA"},
		{{KVM_PV_EOI, 0xfffffffffffffffd}, "the end of all addresses"},
		{{KVM_STEAL_TIME, 0x400020 | 1}, "steal time, not aligned"},
		{{KVM_STEAL_TIME, 0x40000000000001}, "steal time, no RAM"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++)
		expect_trap(rows[i].what, try_call(kvm_wrmsr, (void *)&rows[i].w), EXC_GP);
	expect_eq("MSR after that", rdmsr(KVM_PV_EOI), (ulong)&flag | KVM_ENABLE);
}

void test_main(void)
{
	if (!kvm_has(KVM_HAS_PV_EOI))
		return;
	pic_init(0x20, 0);
	for (u32 vector = 0x41; vector <= 0x71; vector += 0x10)
		set_handler(vector, note);
	set_handler(0x51, busy);
	set_handler(0x55, nested);
	apic_enable();
	wrmsr(KVM_PV_EOI, (ulong)&flag | KVM_ENABLE);
	test_rounds();
	test_addresses();
	if (apic_enter_x2())
		test_rounds();
	/* Off in a handler's middle: the register ends it. */
	wrmsr(KVM_PV_EOI, 0);
	flag = 0;
	round("off", 0x41, 0x41, 0);
	/* Moved to another page, and back. */
	wrmsr(KVM_PV_EOI, 0x600000 | KVM_ENABLE);
	flag = 0;
	round("elsewhere", 0x51, 0x51, 0);
}
