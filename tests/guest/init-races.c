/*
 * INIT to a CPU that most of the time waits for a device, with the SIPI behind it at once or later,
 * and while another CPU sends SIPIs all the time: each ends one life and the next begins as after
 * power-on, with nothing of the device's answer.
 */
#include "guest.h"

TEST_NAME("init-races");

#define INIT 0x500u
#define SIPI 0x600u
#define PAGE_OF_LIFE 9
#define ROUNDS 100u
#define PATIENCE_US 10000000u

extern const u8 life_code[], life_code_end[];

static volatile struct {
	u32 lives, work, first_ax, first_dx;
} *const life = (void *)(PAGE_OF_LIFE * PAGE + 0xff0);
static volatile bool flood;
static u32 reset_dx;

static u32 below(u32 n)
{
	static u32 state = 1;

	state = state * 1103515245 + 12345;
	return (state >> 16) % n;
}

/* Some instructions, without a device. */
static void wait_a_little(void)
{
	for (volatile u32 n = below(2000); n; n--)
		;
}

static void sipi(void) { apic_ipi(1, SIPI | PAGE_OF_LIFE); }

/* QEMU's own CPU takes a SIPI that comes right behind INIT before it: there it is sent again. */
static bool wait_until_it_lives(u32 lives, bool again)
{
	for (u32 us = 0; us < PATIENCE_US && life->lives == lives; us += 50) {
		spin(50);
		if (again)
			sipi();
	}
	return life->lives != lives;
}

static bool wait_until_it_works(void)
{
	u32 work = life->work;

	for (u32 us = 0; us < PATIENCE_US && life->work == work; us += 5)
		spin(5);
	return life->work != work;
}

/* Not at once: the message is on its way. */
static bool wait_until_it_stands(void)
{
	for (u32 us = 0; us < PATIENCE_US; us += 500) {
		u32 work = life->work;

		spin(500);
		if (life->work == work)
			return true;
	}
	return false;
}

/* One more life than before, and as after power-on. */
static bool expect_life(const char *when, u32 round, u32 lives, bool again)
{
	if (!wait_until_it_lives(lives, again) || !wait_until_it_works() ||
	    life->lives != lives + 1)
		fail("%s, round %u: got %u lives, expected %u", when, round, life->lives,
		     lives + 1);
	else if (life->first_ax || life->first_dx != reset_dx)
		fail("%s, round %u: got eax %x, edx %x, expected 0, %x", when, round,
		     life->first_ax, life->first_dx, reset_dx);
	return all_well();
}

static void test_init_meets_an_exit(void)
{
	for (u32 i = 0; i < ROUNDS && all_well(); i++) {
		u32 lives = life->lives;

		wait_a_little();
		apic_ipi(1, INIT | APIC_ASSERT);
		expect(wait_until_it_stands(), "a CPU stands behind INIT");
		expect_eq("lives behind INIT", life->lives, lives);
		sipi();
		expect_life("INIT, later SIPI", i, lives, false);
	}
}

static void test_sipi_at_once(void)
{
	for (u32 i = 0; i < ROUNDS && all_well(); i++) {
		u32 lives = life->lives;

		wait_a_little();
		apic_ipi(1, INIT | APIC_ASSERT);
		if (i & 1)
			wait_a_little();
		sipi();
		expect_life("INIT and SIPI", i, lives, !under_caisson);
	}
}

/* With IF set: where a guest has it clear, Bochs keeps the host's interrupts from their CPU. */
static void send_sipis(void *arg)
{
	sti();
	while (flood)
		sipi();
}

static void test_sipis_of_another(void)
{
	flood = true;
	expect(ap_start(2, send_sipis, NULL), "a CPU starts");
	for (u32 i = 0; i < ROUNDS && all_well(); i++) {
		u32 lives = life->lives;

		wait_a_little();
		apic_ipi(1, INIT | APIC_ASSERT);
		expect_life("INIT among SIPIs", i, lives, false);
	}
	flood = false;
}

void test_main(void)
{
	expect_eq("CPUs", cpu_count(), 3);
	apic_enable();
	pic_init(0x20, 0);
	sti();
	copy((void *)(PAGE_OF_LIFE * PAGE), life_code, (ulong)life_code_end - (ulong)life_code);
	apic_ipi(1, INIT | APIC_ASSERT);
	spin(1000);
	sipi();
	expect(wait_until_it_lives(0, !under_caisson) && wait_until_it_works(), "a CPU starts");
	reset_dx = life->first_dx;
	test_init_meets_an_exit();
	test_sipi_at_once();
	test_sipis_of_another();
}
