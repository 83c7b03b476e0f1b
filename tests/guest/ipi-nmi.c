/*
 * An NMI from another CPU: comes with IF clear, ends a HLT, whatever TPR says, and to a local APIC
 * that software has disabled; to all but self.
 */
#include "guest.h"

TEST_NAME("ipi-nmi");

#define NMI 0x400u
#define NMI_VECTOR 2
#define LOGICAL 0x800u
#define ALL 0x80000u
#define OTHERS 0xc0000u
#define FIXED_VECTOR 0xe1
#define APIC_LDR 0xd0

static volatile u32 woken, fixed;

static void note_fixed(struct frame *f)
{
	fixed++;
	apic_eoi();
}

/* Deaf to all but NMI, until one comes. */
static void sleep_deaf(void *arg)
{
	apic_write(APIC_TPR, 0xff);
	woken = 1;
	__asm__ volatile("cli; hlt" ::: "memory");
	woken = 2;
	apic_write(APIC_TPR, 0);
}

/* The same, and its local APIC takes no fixed interrupts. */
static void sleep_disabled(void *arg)
{
	apic_write(APIC_SVR, 0xff);
	sleep_deaf(arg);
	apic_write(APIC_SVR, 0x1ff);
}

static void set_flat(void *arg) { apic_write(APIC_LDR, 1u << (24 + cpu_number())); }

static void send(void *arg) { apic_ipi(1, NMI); }

/* CPU 2 falls asleep; a fixed interrupt leaves it there, an NMI does not. */
static void test_sleeper(const char *what, void (*sleep)(void *))
{
	woken = fixed = 0;
	crew_give(2, sleep, NULL);
	for (u32 i = 0; i < 100000 && woken != 1; i++)
		spin(10);
	spin(1000);
	apic_ipi(2, FIXED_VECTOR);
	spin(2000);
	if (woken != 1 || fixed)
		fail("%s: a fixed interrupt came through", what);
	apic_ipi(2, NMI);
	crew_expect(what, NMI_VECTOR, CPU_BIT(2));
	crew_wait(2); /* the handler has counted before it returned */
	expect_eq(what, woken, 2);
}

static void test_nmi(void)
{
	apic_ipi(3, NMI);
	crew_expect("to one", NMI_VECTOR, CPU_BIT(3));
	crew_do(2, send, NULL);
	crew_expect("from another", NMI_VECTOR, CPU_BIT(1));
	apic_ipi(3, NMI | 0x33);
	crew_expect("its vector means nothing", NMI_VECTOR, CPU_BIT(3));
	apic_ipi(0, NMI | OTHERS);
	crew_expect("to all but self", NMI_VECTOR, ALL_CPUS(4) & ~1ull);
	apic_ipi(0x06, NMI | LOGICAL);
	crew_expect("logical", NMI_VECTOR, CPU_BIT(1) | CPU_BIT(2));
	if (under_caisson) { /* QEMU sends these */
		apic_ipi(0, NMI | APIC_SELF);
		apic_ipi(0, NMI | ALL);
		crew_expect("to self and to all with self", NMI_VECTOR, 0);
	}
	test_sleeper("a HLT with IF clear", sleep_deaf);
	for (u32 ms = 0; ms < 20000 && !fixed; ms++) /* comes when its loop lets interrupts in */
		spin(1000);
	expect_eq("the fixed one behind it", fixed, 1);
	test_sleeper("a HLT with the APIC disabled", sleep_disabled);
	if (under_caisson) /* QEMU delivers it when the APIC is enabled again */
		expect_eq("a fixed one to a disabled APIC", fixed, 0);
}

void test_main(void)
{
	pic_init(0x20, 0);
	set_handler(NMI_VECTOR, crew_count);
	set_handler(FIXED_VECTOR, note_fixed);
	expect_eq("CPUs", cpu_count(), 4);
	if (!crew_start())
		return;
	crew_all(set_flat, NULL);
	test_nmi();
	if (crew_enter_x2())
		test_nmi();
	else
		expect(!under_caisson, "x2APIC is not offered");
}
