/*
 * What two vCPUs of a VM cost each other, in TSC ticks, 1,000 rounds: lines "BENCH name value".
 * Paths are named on the command line; "long": 21 times the rounds. docs/performance.md says
 * what each figure includes.
 */
#include "kvm.h"

TEST_NAME("pair");

#define ROUNDS 1000u
#define VECTOR 0x41
#define SETTLE 200u /* turns of a loop in which the other falls asleep, or goes on with its loop */

static volatile u64 arrived;
static volatile u32 turns, done;

/* QEMU lets another CPU go on where one pauses. */
static void pause(void) { __asm__ volatile("pause" ::: "memory"); }

static void note(struct frame *f)
{
	arrived = rdtsc();
	apic_eoi();
}

static void other_runs(void *arg)
{
	sti();
	while (!done)
		pause();
	cli();
}

static void other_halts(void *arg)
{
	while (!done) {
		sti_hlt();
		cli();
	}
}

/* From the send until the handler reads the time. */
static u64 send(u32 rounds)
{
	u64 sum = 0, start;

	for (u32 i = 0; i < rounds; i++) {
		for (u32 n = 0; n < SETTLE; n++)
			pause();
		arrived = 0;
		start = rdtsc();
		wrmsr(MSR_X2APIC + (APIC_ICR >> 4), 1ull << 32 | VECTOR);
		while (!arrived)
			pause();
		sum += arrived - start;
	}
	return sum;
}

static void yield(void) { hypercall(KVM_SCHED_YIELD, 1, 0, 0, 0); }

static void other_yields(void *arg)
{
	while (!done) {
		turns++;
		yield();
	}
}

/* Both on one CPU: each gives it to the other. */
static u64 take_turns(u32 rounds)
{
	u32 before;
	u64 start;

	while (!turns)
		yield();
	before = turns;
	start = rdtsc();
	for (u32 i = 0; i < rounds / 2; i++)
		yield();
	start = rdtsc() - start;
	expect_eq("turns of the other", turns - before, rounds / 2);
	return start;
}

static const struct path {
	const char *name;
	void (*other)(void *);
	u64 (*run)(u32 rounds);
} paths[] = {
	{"ipi-running", other_runs, send},
	{"hlt-wakeup", other_halts, send},
	{"vcpu-switch", other_yields, take_turns},
};

static void measure(const struct path *p, u32 rounds)
{
	u64 ticks;

	spin(20000); /* the console is busy with the line before */
	done = turns = 0;
	crew_give(1, p->other, NULL);
	p->run(10);
	ticks = p->run(rounds);
	done = 1;
	wrmsr(MSR_X2APIC + (APIC_ICR >> 4), 1ull << 32 | VECTOR); /* it may be asleep */
	crew_wait(1);
	if (all_well())
		print("BENCH %s %u\n", p->name, (u32)(ticks / rounds));
}

void test_main(void)
{
	u32 rounds = command_line_has("long") ? 21 * ROUNDS : ROUNDS;

	pic_init(0x20, 0);
	set_handler(VECTOR, note);
	if (!crew_start() || !crew_enter_x2())
		return;
	for (u32 i = 0; i < ARRAY_SIZE(paths); i++)
		if (command_line_has(paths[i].name))
			measure(&paths[i], rounds);
}
