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
static volatile bool early; /* the NMI came before the HLT */
extern const char deaf_end[];

static void note_fixed(struct frame *f)
{
	fixed++;
	apic_eoi();
}

/* A CPU that was away between its word and the HLT shall not sleep for ever. */
static void nmi(struct frame *f)
{
	if (cpu_number() == 2 && woken == 1 && f->ip != (ulong)deaf_end) {
		early = true;
		f->ip = (ulong)deaf_end;
	}
	crew_count(f);
}

static void nothing(void *arg) {}

/* Deaf to all but NMI, until one comes. */
static __attribute__((noinline)) void sleep_deaf(void *arg) /* deaf_end stands once */
{
	apic_write(APIC_TPR, 0xff);
	woken = 1;
	__asm__ volatile("cli; hlt\n.globl deaf_end\ndeaf_end:" ::: "memory");
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

static void try_sleeper(const char *what, void (*sleep)(void *))
{
	crew_do(2, nothing, NULL); /* lets in what is left of an earlier try */
	spin(2000);
	woken = fixed = early = 0;
	crew_give(2, sleep, NULL);
	for (u32 ms = 0; ms < 20000 && woken != 1; ms++)
		spin(1000);
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

/* CPU 2 falls asleep; a fixed interrupt leaves it there, an NMI does not. */
static void test_sleeper(const char *what, void (*sleep)(void *))
{
	u32 tries = 0;

	do
		try_sleeper(what, sleep);
	while (early && ++tries < 20 && all_well());
	expect(!early, "the NMI came before the HLT each time");
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
	crew_do(2, nothing, NULL);
	spin(2000);
	if (under_caisson) /* QEMU delivers it when the APIC is enabled again */
		expect_eq("a fixed one to a disabled APIC", fixed, 0);
}

void test_main(void)
{
	pic_init(0x20, 0);
	set_handler(NMI_VECTOR, nmi);
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
