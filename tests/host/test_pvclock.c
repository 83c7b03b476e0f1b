// SOURCES: vmm/pvclock.c
/* The guest's clock: where it is written, and that it never leaves the host's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "vmm/pvclock.h"

#define S 1000000000ull
#define AT 0x2000u

static u8 memory[0x4000];
static const struct ram ram = {memory, sizeof(memory), 0};
static struct kinfo host;
static struct vm_clock vm;
static struct pvclock clock = {&ram, &host, &vm, 1700000000};
static u64 wall_clock, system_time, tsc_offset;

static void write_clock(void) { pvclock_write(&clock, wall_clock, system_time, tsc_offset); }

struct time {
	u32 version, reserved;
	u64 tsc, ns;
	u32 mul;
	signed char shift;
	u8 flags;
};

static u64 host_ns(u64 tsc)
{
	return (u64)((unsigned __int128)(tsc - host.tsc_base) * host.tsc_mult >> 32);
}

/* As a guest reads it. */
static u64 guest_ns(u64 guest_tsc)
{
	const struct time *t = (const struct time *)(memory + AT);
	u64 ticks = guest_tsc - t->tsc;

	ticks = t->shift < 0 ? ticks >> -t->shift : ticks << t->shift;
	return t->ns + (u64)((unsigned __int128)ticks * t->mul >> 32);
}

static int setup(void **state)
{
	memset(memory, 0xcc, sizeof(memory));
	memset(memory + AT, 0, 64);
	host = (struct kinfo){.flags = KINFO_TSC, .tsc_base = 12345, .tsc_mult = 1ull << 32};
	vm.start_ns = 7 * S + 5;
	wall_clock = tsc_offset = 0;
	system_time = AT | 1;
	return 0;
}

/* Of every rate, whatever the guest's TSC shows and for how long the host has been up. */
static void it_keeps_up_with_the_host(void **state)
{
	static const u64 khz[] = {1000,	   33333,   999999,  1000000, 1000001,
				  2596131, 3999999, 4000000, 5800000};
	static const u64 offset[] = {0, -77ull, 1ull << 63, 98765432123ull};

	for (u32 i = 0; i < ARRAY_SIZE(khz); i++)
		for (u32 day = 0; day < 400; day += 133)
			for (u32 o = 0; o < ARRAY_SIZE(offset); o++) {
				u64 minute = khz[i] * 1000 * 60, start, guest, ns;

				host.tsc_mult = (1000000ull << 32) / khz[i];
				start = host.tsc_base + minute * 60 * 24 * day + 5;
				vm.start_tsc = start;
				tsc_offset = offset[o];
				write_clock();
				assert_in_range(guest_ns(start + offset[o]), 0, 1000);
				guest = guest_ns(start + minute + offset[o]);
				ns = host_ns(start + minute) - host_ns(start);
				assert_in_range(guest - ns + 1000, 0, 2000);
			}
}

static void a_tsc_that_was_moved_shows_the_same_time(void **state)
{
	u64 before;

	write_clock();
	before = guest_ns(1000000);
	tsc_offset = 1ull << 40;
	write_clock();
	assert_int_equal(guest_ns(1000000 + (1ull << 40)), before);
}

static void the_version_is_even_and_rises(void **state)
{
	const struct time *t = (const struct time *)(memory + AT);

	write_clock();
	assert_int_equal(t->version, 2);
	assert_int_equal(t->flags, 1);
	((struct time *)t)->version = 7; /* a guest may write anything */
	write_clock();
	assert_int_equal(t->version, 8);
	assert_int_equal(memory[AT - 1], 0xcc);
}

static void wall_clock_is_that_of_the_clocks_zero(void **state)
{
	u32 wall[3];

	wall_clock = 0x1004;
	system_time = 0;
	write_clock();
	memcpy(wall, memory + 0x1004, sizeof(wall));
	assert_int_equal(wall[0] & 1, 0);
	assert_int_equal(wall[1], 1700000007);
	assert_int_equal(wall[2], 5);
	assert_int_equal(memory[0x1003], 0xcc);
	assert_int_equal(memory[0x1010], 0xcc);
}

/*
 * The origin and the guest's TSC move together: the line is the same, and the watchdogs are told.
 */
static void a_pause_shows_in_a_flag_alone(void **state)
{
	struct time *t = (struct time *)(memory + AT);
	struct time before;

	vm.start_tsc = 5000000;
	tsc_offset = 777;
	write_clock();
	before = *t;
	vm.start_tsc += 123456789;
	pvclock_stood(&clock, AT | 1, 777 - 123456789);
	assert_int_equal(t->flags, 3);
	assert_int_equal(t->tsc, before.tsc);
	assert_int_equal(t->ns, before.ns);
	assert_int_equal(t->mul, before.mul);
	assert_int_equal(t->version, before.version + 2);
	pvclock_stood(&clock, AT, 0); /* it is off */
	assert_int_equal(t->version, before.version + 2);
}

static void what_is_off_or_no_ram_is_not_written(void **state)
{
	static const u64 bad[] = {AT, 0x4001, 0x3fe1 + 4, 0xfee00001, ~0ull, ~0ull << 32 | 1};
	u8 before[sizeof(memory)];

	memcpy(before, memory, sizeof(memory));
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		system_time = bad[i];
		wall_clock = i ? bad[i] & ~1ull : 0;
		if (bad[i] == 0x3fe1 + 4)
			wall_clock = 0x3ff8;
		write_clock();
		assert_memory_equal(memory, before, sizeof(memory));
	}
	host.flags = 0;
	system_time = AT | 1;
	write_clock();
	assert_memory_equal(memory, before, sizeof(memory));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(it_keeps_up_with_the_host, setup),
		cmocka_unit_test_setup(a_tsc_that_was_moved_shows_the_same_time, setup),
		cmocka_unit_test_setup(the_version_is_even_and_rises, setup),
		cmocka_unit_test_setup(wall_clock_is_that_of_the_clocks_zero, setup),
		cmocka_unit_test_setup(a_pause_shows_in_a_flag_alone, setup),
		cmocka_unit_test_setup(what_is_off_or_no_ram_is_not_written, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
