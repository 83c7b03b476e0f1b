/*
 * Lowest priority: one CPU gets it, of those with the lowest class of processor priority, which TPR
 * and the interrupts in service make; equals take turns.
 */
#include "guest.h"

TEST_NAME("ipi-lowest");

#define VECTOR 0x51
#define HELD_VECTOR 0x91
#define APIC_LDR 0xd0
#define LOWEST 0x100u
#define LOGICAL 0x800u
#define ALL_BITS 0x0fu
#define SPURIOUS_OFF 0xffu
#define SPURIOUS_ON 0x1ffu
#define ROUNDS 12

static volatile bool hold, holds;

static void set_flat(void *arg) { apic_write(APIC_LDR, 1u << (24 + cpu_number())); }
static void set_tpr(void *arg) { apic_write(APIC_TPR, (u32)(ulong)arg); }
static void set_spurious(void *arg) { apic_write(APIC_SVR, (u32)(ulong)arg); }

static void tpr(u32 n, u32 value) { crew_do(n, set_tpr, (void *)(ulong)value); }

static u64 send(u32 dest)
{
	apic_ipi(dest, LOWEST | LOGICAL | VECTOR);
	return crew_got(VECTOR);
}

static void expect_one(const char *what, u64 got, u64 among)
{
	if (!got || got & (got - 1) || got & ~among)
		fail("%s: CPUs 0x%lx have had it, expected one of 0x%lx", what, (ulong)got,
		     (ulong)among);
}

/* A handler that stays until it is let go; its end is up to somebody behind it. */
static void held(struct frame *f)
{
	cpuid(0, 0); /* AMD-V: the hypervisor learns of what is in service at an exit */
	holds = true;
	while (hold)
		spin(10);
	apic_eoi();
	holds = false;
}

static void test_turns(void)
{
	u32 count[4] = {0};

	for (u32 i = 0; i < ROUNDS; i++) {
		u64 got = send(ALL_BITS);

		expect_one("equals", got, ALL_CPUS(4));
		for (u32 n = 0; n < 4; n++)
			count[n] += got >> n & 1;
	}
	for (u32 n = 0; under_caisson && n < 4; n++)
		if (count[n] != ROUNDS / 4)
			fail("equals: CPU %u had %u of %u, expected a quarter", n, count[n],
			     ROUNDS);
}

/* QEMU looks at no priority. */
static void test_priority(void)
{
	for (u32 n = 0; n < 4; n++)
		tpr(n, n == 2 ? 0x10 : 0x20);
	expect_one("TPR: the lowest", send(ALL_BITS), CPU_BIT(2));
	expect_one("TPR: again the lowest", send(ALL_BITS), CPU_BIT(2));
	expect_one("TPR: the lowest of those named", send(0x0b),
		   CPU_BIT(0) | CPU_BIT(1) | CPU_BIT(3));
	tpr(0, 0x1f);
	expect_one("TPR: one class", send(0x05), CPU_BIT(0) | CPU_BIT(2));

	hold = true;
	apic_ipi(2, HELD_VECTOR);
	while (!holds)
		spin(10);
	expect_one("an interrupt in service", send(ALL_BITS), CPU_BIT(0));
	hold = false;
	while (holds)
		spin(10);
	crew_do(0, set_spurious, (void *)(ulong)SPURIOUS_OFF);
	expect_one("the APIC is disabled by software", send(ALL_BITS), CPU_BIT(2));
	crew_do(0, set_spurious, (void *)(ulong)SPURIOUS_ON);
	crew_all(set_tpr, NULL);
	apic_ipi(0x40, LOWEST | LOGICAL | VECTOR);
	crew_expect("nobody is named", VECTOR, 0);
}

void test_main(void)
{
	pic_init(0x20, 0);
	set_handler(VECTOR, crew_count);
	set_handler(HELD_VECTOR, held);
	expect_eq("CPUs", cpu_count(), 4);
	if (!crew_start())
		return;
	crew_all(set_flat, NULL);
	test_turns();
	if (!under_caisson)
		return;
	test_priority();
	if (!crew_enter_x2()) {
		fail("x2APIC is not offered");
		return;
	}
	test_turns();
	test_priority();
}
