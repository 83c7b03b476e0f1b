/* 64 CPUs: all start, each answers, one that calls all others, and clusters of x2APIC mode. */
#include "guest.h"

TEST_NAME("ipi-64");

#define CPUS 64
#define CALL 0x51
#define ANSWER 0x61
#define LOGICAL 0x800u
#define ALL 0x80000u
#define OTHERS 0xc0000u
#define ROUNDS 3

static volatile u32 answers;
static volatile u64 answered;

/* Each answers the call by an interrupt to the boot CPU, where many become one. */
static void called(struct frame *f)
{
	__atomic_fetch_or(&answered, CPU_BIT(cpu_number()), __ATOMIC_SEQ_CST);
	apic_ipi(0, ANSWER);
	crew_count(f);
}

static void note(struct frame *f)
{
	answers++;
	apic_eoi();
}

static void call_others(void *arg) { apic_ipi(0, OTHERS | CALL); }
static void call_all(void *arg) { apic_ipi(0, ALL | CALL); }

static void test_calls(void)
{
	for (u32 i = 0; i < ROUNDS; i++) {
		u32 caller = i * 31; /* 0, 31, 62 */

		answered = answers = 0;
		crew_do(caller, call_others, NULL);
		crew_expect("all but self", CALL, ~CPU_BIT(caller));
		expect_eq("who answered", answered, ~CPU_BIT(caller));
		expect(answers > 0 && answers <= CPUS, "the answers came");
	}
	crew_do(63, call_all, NULL);
	crew_expect("all with self", CALL, ~0ull);
}

static void test_clusters(void)
{
	apic_ipi(1 << 16 | 0xffff, LOGICAL | CALL);
	crew_expect("a whole cluster", CALL, 0xffffull << 16);
	apic_ipi(3 << 16 | 0x8001, LOGICAL | CALL);
	crew_expect("two of the last cluster", CALL, CPU_BIT(48) | CPU_BIT(63));
	apic_ipi(4 << 16 | 0xffff, LOGICAL | CALL);
	crew_expect("no such cluster", CALL, 0);
	apic_ipi(63, CALL);
	crew_expect("the last id", CALL, CPU_BIT(63));
	apic_ipi(64, CALL);
	crew_expect("the id behind it", CALL, 0);
}

void test_main(void)
{
	pic_init(0x20, 0);
	set_handler(CALL, called);
	set_handler(ANSWER, note);
	expect_eq("CPUs", cpu_count(), CPUS);
	if (!crew_start())
		return;
	test_calls();
	if (!crew_enter_x2()) {
		expect(!under_caisson, "x2APIC is not offered");
		return;
	}
	test_calls();
	test_clusters();
}
