// MODE: 32
/*
 * Protected mode to real mode and back: software and hardware interrupts through the IVT, exits in
 * real mode.
 */
#include "guest.h"

TEST_NAME("real-mode");

#define LOW_CODE 0x7000ul /* where real-mode.asm is copied to */

extern const u8 real_start[], real_end[];
void real_call(void);

/* What the real-mode code leaves behind: same layout in real-mode.asm. */
struct real_result {
	u32 cpuid_eax, cpuid_ebx;
	u16 software, timer, string, segment, sp_before, sp_after;
	u8 scratch, done;
};

void test_main(void)
{
	volatile struct real_result *r = (volatile struct real_result *)(LOW_CODE + 0x800);
	struct cpuid expected = cpuid(0, 0);

	fill((void *)r, 0, sizeof(*r));
	copy((void *)LOW_CODE, real_start, (ulong)(real_end - real_start));
	apic_enable();
	apic_write(APIC_LVT0, 0x700);
	pic_init(8, 1);
	pit_start(2, 11932);
	real_call();
	expect_eq("returned", r->done, 1);
	expect_eq("CPUID in real mode, EAX", r->cpuid_eax, expected.eax);
	expect_eq("CPUID in real mode, EBX", r->cpuid_ebx, expected.ebx);
	expect_eq("INT 0x60", r->software, 0x1234);
	expect(r->timer >= 3, "fewer than 3 timer interrupts");
	expect_eq("IN in real mode", r->scratch, 0x5c);
	expect_eq("REP INSB in real mode", r->string, 0x5c5c);
	expect_eq("memory through a segment", r->segment, 0x7788);
	expect_eq("stack", r->sp_after, r->sp_before);
}
