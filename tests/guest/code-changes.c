/*
 * One CPU writes code while another runs it: an access to a device, and an LEA, which no monitor
 * has to emulate. Whatever the monitor finds in place of what left the guest, the guest goes on.
 */
#include "guest.h"

TEST_NAME("code-changes");

#define EXITS 1000u
#define ROUNDS 100000000u
#define ROUNDS_INSIDE 65536u /* then an exit: by no other way Bochs' AMD-V lets the host in */

/*
 * mov 0(%rdi), %eax and lea 0(%rdi), %eax; then nop; ret. They differ in one byte: of code that
 * another CPU writes, a CPU may see any bytes, old and new.
 */
static const u8 access[8] = {0x8b, 0x87, 0x00, 0x00, 0x00, 0x00, 0x90, 0xc3};
static const u8 nothing[8] = {0x8d, 0x87, 0x00, 0x00, 0x00, 0x00, 0x90, 0xc3};
static volatile u64 code __attribute__((aligned(64)));
static volatile bool stop;
static volatile u32 changes;

static u64 word_of(const u8 bytes[8])
{
	u64 v;

	copy(&v, bytes, sizeof(v));
	return v;
}

static void changes_code(void *arg)
{
	u64 a = word_of(access), b = word_of(nothing);

	sti();
	while (!stop) {
		u32 wait = changes * 7 % 1000; /* each stands there for any time */

		code = changes++ & 1 ? a : b;
		while (wait--)
			__asm__ volatile("pause");
	}
	code = a;
}

void test_main(void)
{
	u32 rounds, exits = 0;

	apic_enable();
	code = word_of(access);
	expect(ap_start(1, changes_code, NULL), "the other CPU starts");
	while (changes < 2)
		__asm__ volatile("pause");
	for (rounds = 0; (exits < EXITS || exits == rounds) && rounds < ROUNDS; rounds++) {
		u32 got = ~0u;

		if (rounds % ROUNDS_INSIDE == 0)
			cpuid(0, 0);
		__asm__ volatile("call *%2" : "+a"(got) : "D"(IOAPIC), "r"(&code) : "memory");
		exits += !got;
	}
	expect(exits && exits < rounds, "both codes were met");
	stop = true;
}
