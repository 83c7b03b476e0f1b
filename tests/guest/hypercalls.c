/* KVM's hypercalls: IPIs, kick, yield; numbers that mean nothing change nothing. */
#include "kvm.h"

TEST_NAME("hypercalls");

#define VECTOR 0x41
#define ENOSYS (-1000ull)
#define EINVAL (-22ull)

static volatile u32 count;

static void note(struct frame *f)
{
	count++;
	apic_eoi();
}

static void expect_ipi(const char *what, u64 result, u64 accepted, u32 interrupts)
{
	count = 0;
	sti();
	__asm__ volatile("nop; nop");
	cli();
	expect_eq(what, result, accepted);
	expect_eq(what, count, interrupts);
}

static void test_ipi(void)
{
	u32 me = cpuid(1, 0).ebx >> 24;

	expect_ipi("IPI by the low word", hypercall(KVM_SEND_IPI, 1, 0, me, VECTOR), 1, 1);
	expect_ipi("IPI by bit 3", hypercall(KVM_SEND_IPI, 8, 0, me - 3ull, VECTOR), 0, 0);
	expect_ipi("IPI to nobody", hypercall(KVM_SEND_IPI, 0, 0, me, VECTOR), 0, 0);
	expect_ipi("IPI to absent ones", hypercall(KVM_SEND_IPI, ~1ull, ~0ull, me, VECTOR), 0, 0);
	expect_ipi("IPI to ids from 2^32 on",
		   hypercall(KVM_SEND_IPI, ~0ull, ~0ull, 1ull << 32, VECTOR), 0, 0);
	expect_ipi("IPI with an illegal vector", hypercall(KVM_SEND_IPI, 1, 0, me, 5), 1, 0);
	expect_ipi("IPI with a shorthand", hypercall(KVM_SEND_IPI, 1, 0, me, APIC_SELF | VECTOR),
		   EINVAL, 0);
	expect_ipi("IPI with a logical destination",
		   hypercall(KVM_SEND_IPI, 1, 0, me, 0x800 | VECTOR), EINVAL, 0);
}

/* With IF clear only the kick ends the HLT. */
static void test_kick(void)
{
	u32 me = cpuid(1, 0).ebx >> 24;

	for (u32 i = 0; i < 3; i++) {
		expect_eq("kick", hypercall(KVM_KICK_CPU, 0, me, 0, 0), 0);
		__asm__ volatile("hlt");
	}
	expect_eq("kick of an absent one", hypercall(KVM_KICK_CPU, 0, 1000, 0, 0), 0);
}

void test_main(void)
{
	if (!kvm_has(KVM_HAS_SEND_IPI | KVM_HAS_UNHALT | KVM_HAS_YIELD))
		return;
	expect(!(cpuid(0x40000001, 0).eax & KVM_HAS_ASYNC_PF), "async page faults are offered");
	pic_init(0x20, 0);
	set_handler(VECTOR, note);
	apic_enable();
	test_ipi();
	if (apic_enter_x2())
		test_ipi();
	test_kick();
	expect_eq("poll", hypercall(KVM_POLL_IRQ, 0, 0, 0, 0), 0);
	expect_eq("yield", hypercall(KVM_SCHED_YIELD, 0, 0, 0, 0), 0);
	for (u64 n = 0; n < 64; n++)
		if (n != KVM_POLL_IRQ && n != KVM_KICK_CPU && n != KVM_SEND_IPI &&
		    n != KVM_SCHED_YIELD && hypercall(n, 1, 0, 0, VECTOR) != ENOSYS)
			fail("hypercall %llu: not -ENOSYS", n);
	expect_eq("a number above 32 bits", hypercall(1ull << 32 | KVM_POLL_IRQ, 0, 0, 0, 0),
		  ENOSYS);
}
