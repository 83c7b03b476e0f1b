/* The MP table, found and read as systems without ACPI do: all CPUs, the first one to boot. */
#include "guest.h"

TEST_NAME("mp-table");

enum { PROCESSOR, BUS, IO_APIC, IO_INTERRUPT, LOCAL_INTERRUPT, TYPES };

static bool sums_to_zero(const u8 *p, u32 bytes)
{
	u8 sum = 0;

	for (u32 i = 0; i < bytes; i++)
		sum += p[i];
	return !sum;
}

static u32 get(const u8 *p, u32 bytes)
{
	u32 v = 0;

	copy(&v, p, bytes);
	return v;
}

static const u8 *search(ulong from, ulong bytes)
{
	for (ulong a = from; a < from + bytes; a += 16)
		if (get((u8 *)a, 4) == 0x5f504d5f && sums_to_zero((u8 *)a, 16)) /* "_MP_" */
			return (u8 *)a;
	return NULL;
}

/* The first KiB of the EBDA, the last KiB of base memory, the BIOS. */
static const u8 *find(void)
{
	ulong ebda = (ulong)get((u8 *)0x40e, 2) << 4;
	const u8 *p = ebda >= 0x80000 && ebda < 0xa0000 ? search(ebda, 1024) : NULL;

	if (!p)
		p = search(639 * 1024, 1024);
	return p ? p : search(0xf0000, 0x10000);
}

/* The number-th processor's. */
static void check_processor(const u8 *p, u32 number)
{
	expect_eq("APIC id", p[1], number);
	expect_eq("enabled, the first one to boot", p[3] & 3, number ? 1 : 3);
	expect_eq("signature", get(p + 4, 4), cpuid(1, 0).eax);
}

void test_main(void)
{
	const u8 *p = find(), *end;
	u32 count[TYPES] = {0}, timer_pins = 0;

	if (!p) {
		fail("no floating pointer structure");
		return;
	}
	expect_eq("revision", p[9], 4);
	p = (u8 *)(ulong)get(p + 4, 4);
	expect_eq("signature", get(p, 4), 0x504d4350); /* "PCMP" */
	expect(sums_to_zero(p, get(p + 4, 2)), "the table's sum");
	expect_eq("local APIC", get(p + 36, 4), LAPIC);
	end = p + get(p + 4, 2);
	for (p += 44; p < end && *p < TYPES; p += *p == PROCESSOR ? 20 : 8) {
		if (*p == PROCESSOR)
			check_processor(p, count[PROCESSOR]);
		count[*p]++;
		if (*p == IO_APIC)
			expect_eq("I/O APIC", get(p + 4, 4), IOAPIC);
		timer_pins += *p == IO_INTERRUPT && p[1] == 0 && p[5] == 0 && p[7] == 2;
	}
	expect(p == end, "the entries fill the table");
	expect_eq("processors", count[PROCESSOR], cpu_count());
	expect_eq("I/O APICs", count[IO_APIC], 1);
	expect(count[BUS] >= 1 && count[LOCAL_INTERRUPT] >= 2, "buses and local interrupts");
	expect_eq("timers at pin 2", timer_pins, 1);
}
