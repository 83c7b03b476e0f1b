/*
 * A guest that shows what it gets of the CPUs: all its CPUs count rounds of work, for `skip=N` and
 * then `ticks=N` ticks of the TSC, and it prints how many in how many, from which tick on. With
 * `on` it goes on working, with `again` too it measures again and again. By a word of the command
 * line it does something else instead: `naps` sleeps for a millisecond each time and prints how
 * late it woke up at worst (`nap=N`: ticks of that millisecond), `ports`, `ipis`, `eois` and
 * `timers` make exits as fast as they can, and so does `others`, whose first CPU interrupts all
 * others, which halt.
 */
#include "guest.h"

TEST_NAME("worker");

#define VECTOR 0x40
#define MSR_TSC_DEADLINE 0x6e0
#define LVT_DEADLINE 0x40000u
#define ROUND 1000u
#define NAPS 300u
#define POST 0x80

static volatile u64 rounds[AP_MAX];

static void work(void *arg)
{
	u32 me = (u32)(ulong)arg;

	sti();
	for (;;) {
		for (volatile u32 i = 0; i < ROUND; i++)
			;
		rounds[me]++;
	}
}

static void rest(void *arg)
{
	for (;;)
		sti_hlt();
}

static u64 all_rounds(u32 cpus)
{
	u64 sum = 0;

	for (u32 i = 0; i < cpus; i++)
		sum += rounds[i];
	return sum;
}

static void measure(u32 cpus)
{
	u64 begin = rdtsc(), skip = command_line_number("skip=", 0),
	    ticks = command_line_number("ticks=", 100000000), done = 0;
	bool counting = false, again = command_line_has("again");

	for (;;) {
		u64 now = rdtsc();

		for (volatile u32 i = 0; i < ROUND; i++)
			;
		rounds[0]++;
		if (!counting && now - begin >= skip) {
			counting = true;
			begin = now;
			done = all_rounds(cpus);
			skip = again ? 0 : ~0ull;
		} else if (counting && now - begin >= ticks) {
			print("worker: %llu in %llu from %llu\n", all_rounds(cpus) - done,
			      now - begin, begin);
			if (!command_line_has("on"))
				end_machine(0);
			counting = false;
		}
	}
}

static volatile u32 woken;

static void on_timer(struct frame *f)
{
	woken++;
	apic_eoi();
}

static void naps(void)
{
	u64 begin = rdtsc(), worst = 0, skip = command_line_number("skip=", 0),
	    ticks = command_line_number("nap=", 1000000);

	apic_write(APIC_LVT_TIMER, VECTOR | LVT_DEADLINE);
	for (u32 i = 0; i < NAPS;) {
		u32 before = woken;
		u64 due = rdtsc() + ticks, now;

		cli();
		wrmsr(MSR_TSC_DEADLINE, due);
		while (woken == before) {
			sti_hlt();
			cli();
		}
		now = rdtsc();
		if (now - begin < skip)
			continue;
		i++;
		worst = now - due > worst ? now - due : worst;
	}
	print("worker: late by %llu\n", worst);
	end_machine(0);
}

static void floods(void)
{
	sti();
	while (command_line_has("ports"))
		for (u32 i = 0; i < ROUND; i++)
			(void)inb(POST);
	while (command_line_has("eois"))
		for (u32 i = 0; i < ROUND; i++)
			apic_eoi();
	while (command_line_has("ipis"))
		for (u32 i = 0; i < ROUND; i++)
			apic_ipi(0, VECTOR | APIC_SELF);
	while (command_line_has("others"))
		for (u32 i = 0; i < ROUND; i++)
			apic_ipi(0, VECTOR | APIC_OTHERS);
	if (command_line_has("timers")) {
		apic_write(APIC_TIMER_DIVIDE, 0xb);
		apic_write(APIC_LVT_TIMER, VECTOR | APIC_PERIODIC);
		apic_write(APIC_TIMER_INIT, 1);
		for (;;)
			sti();
	}
}

void test_main(void)
{
	void (*other)(void *) = command_line_has("others") ? rest : work;
	u32 cpus = cpu_count();

	set_handler(VECTOR, on_timer);
	apic_enable();
	for (u32 n = 1; n < cpus; n++)
		if (!ap_start(n, other, (void *)(ulong)n))
			fail("CPU %u does not start", n);
	if (command_line_has("naps"))
		naps();
	floods();
	sti();
	measure(cpus);
}
