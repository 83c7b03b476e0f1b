// SOURCES: vmm/mptable.c vmm/acpi.c
/* The MP table: found as a system finds it, its sums, and an entry for each CPU and interrupt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "uapi/abi.h"
#include "vmm/acpi.h"
#include "vmm/mptable.h"

const u8 acpi_dsdt[1], acpi_dsdt_end[1]; /* not used here */

static u8 sum(const u8 *p, u32 n)
{
	u8 s = 0;

	while (n--)
		s += *p++;
	return s;
}

static u32 get(const u8 *p, u32 bytes)
{
	u32 v = 0;

	memcpy(&v, p, bytes);
	return v;
}

static struct ram make_ram(void)
{
	struct ram r = {.host = malloc(MiB(2)), .low = MiB(2)};

	memset(r.host, 0xcc, MiB(2));
	return r;
}

/* The configuration table behind the floating pointer structure. */
static u8 *find(const struct ram *r)
{
	for (u64 a = 0xf0000; a < 0x100000; a += 16) {
		u8 *p = r->host + a;

		if (memcmp(p, "_MP_", 4))
			continue;
		assert_int_equal(p[8], 1);  /* its length */
		assert_int_equal(p[9], 4);  /* version 1.4 */
		assert_int_equal(p[11], 0); /* there is a table */
		assert_int_equal(sum(p, 16), 0);
		p = r->host + get(p + 4, 4);
		assert_memory_equal(p, "PCMP", 4);
		assert_int_equal(sum(p, get(p + 4, 2)), 0);
		return p;
	}
	fail_msg("no floating pointer structure");
	return NULL;
}

struct counts {
	u32 cpus, boot_cpus, buses, ioapics, pins, extints, nmis;
};

static u32 entry(const u8 *p, struct counts *n)
{
	switch (p[0]) {
	case 0:
		assert_int_equal(p[1], n->cpus);
		assert_int_equal(get(p + 4, 4), 0x806f1);
		assert_int_equal(get(p + 8, 4), 0x178bfbff);
		assert_true(p[3] & 1);
		n->boot_cpus += p[3] >> 1 & 1;
		n->cpus++;
		return 20;
	case 1:
		assert_memory_equal(p + 2, n->buses ? "ISA   " : "PCI   ", 6);
		assert_int_equal(p[1], n->buses++);
		return 8;
	case 2:
		n->ioapics++;
		assert_int_equal(get(p + 4, 4), 0xfec00000);
		return 8;
	case 3: /* ISA interrupts: the timer's on pin 2, the SCI is a level, high */
		assert_int_equal(p[4], 1);
		assert_int_equal(p[7], p[5] ? p[5] : 2);
		assert_int_equal(get(p + 2, 2), p[5] == 9 ? 0xd : 0);
		n->pins |= 1u << p[7];
		return 8;
	case 4:
		n->extints += p[1] == 3 && p[7] == 0;
		n->nmis += p[1] == 1 && p[7] == 1;
		return 8;
	default: fail_msg("entry of type %u", p[0]); return 0;
	}
}

static void names_every_cpu_and_interrupt(void **s)
{
	static const u32 cpus[] = {1, 2, 64, 254};

	for (u32 i = 0; i < ARRAY_SIZE(cpus); i++) {
		struct ram r = make_ram();
		struct counts n = {0};
		u8 *h, *p;

		assert_int_equal(mptable_build(&r, cpus[i], 0x806f1, 0x178bfbff), 0);
		h = find(&r);
		assert_int_equal(get(h + 36, 4), 0xfee00000);
		p = h + 44;
		for (u32 e = 0; e < get(h + 34, 2); e++)
			p += entry(p, &n);
		assert_ptr_equal(p, h + get(h + 4, 2));
		assert_int_equal(n.cpus, cpus[i]);
		assert_int_equal(n.boot_cpus, 1);
		assert_int_equal(n.buses, 2);
		assert_int_equal(n.ioapics, 1);
		assert_int_equal(n.pins, 0xfffe); /* 0: the PIC; 2: the timer */
		assert_int_equal(n.extints, 1);
		assert_int_equal(n.nmis, 1);
		free(r.host);
	}
}

static void stands_behind_the_acpi_tables(void **s)
{
	struct ram r = make_ram();

	assert_int_equal(mptable_build(&r, 254, 0, 0), 0);
	for (u64 a = ACPI_GPA; a < ACPI_GPA + ACPI_BYTES; a++)
		assert_int_equal(r.host[a], 0xcc);
	assert_int_equal(r.host[0x100000], 0xcc);
	free(r.host);
}

static void without_room_an_error(void **s)
{
	struct ram r = make_ram();

	assert_int_equal(mptable_build(&r, 255, 0, 0), -E_NOMEM);
	r.low = 0xf8000;
	assert_int_equal(mptable_build(&r, 1, 0, 0), -E_NOMEM);
	free(r.host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_every_cpu_and_interrupt),
		cmocka_unit_test(stands_behind_the_acpi_tables),
		cmocka_unit_test(without_room_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
