/* The time-stamp counter never goes back, goes on while halted, and can be written. */
#include "guest.h"

TEST_NAME("tsc");

#define VECTOR 0x40
static volatile u32 ticks;

static void tick(struct frame *f)
{
	ticks++;
	apic_eoi();
}

void test_main(void)
{
	u64 last = rdtsc();

	for (u32 i = 0; i < 1000; i++) {
		if (i % 3 == 0)
			cpuid(0, 0);
		if (i % 7 == 0)
			inb(0x61);
		u64 now = rdtsc();
		if (now < last) {
			fail("went back by %llx in round %u", last - now, i);
			return;
		}
		last = now;
	}
	if (under_caisson) /* QEMU's PC under TCG has no TSC behind the MSR */
		expect(rdmsr(0x10) >= last, "MSR 0x10 is behind RDTSC");

	pic_init(0x20, 0);
	set_handler(VECTOR, tick);
	apic_enable();
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, VECTOR);
	u64 before = rdtsc();
	apic_write(APIC_TIMER_INIT, 10000000);
	sti_hlt();
	cli();
	expect(rdtsc() - before > 10000, "stood still during HLT");

	wrmsr(0x10, 1ull << 40);
	u64 now = rdtsc();
	expect(!under_caisson || (now >= 1ull << 40 && now < (1ull << 40) + (1ull << 38)),
	       "a write of MSR 0x10 has no effect");
	if (cpuid(0x80000001, 0).edx & 1u << 27) {
		u32 lo, hi, aux;

		wrmsr(0xc0000103, 77);
		__asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
		expect_eq("RDTSCP's ECX", aux, 77);
	}
}
