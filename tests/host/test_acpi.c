// SOURCES: vmm/acpi.c
/*
 * The guest's ACPI tables: found as a system finds them, every checksum, length and address
 * checked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "uapi/abi.h"
#include "vmm/acpi.h"

/* Stands for the compiled DSDT: a header, a body that does not matter here, and CPUs 1 and 2. */
#define DSDT_BYTES 40
#define CPU_BYTES 20
asm(".section .rodata\n.global acpi_dsdt, acpi_dsdt_end\n"
    "acpi_dsdt: .ascii \"DSDT\"\n.long 80\n.byte 2, 0\n.ascii \"CAISSNCAISSNPC\"\n.long 1\n.ascii \"INTL\"\n.long 1\n"
    ".byte 1, 2, 3, 4\n"
    ".byte 0x5b, 0x82, 0x41, 1, 0x2f, 3\n.ascii \"_SB_CPUSC001\"\n.byte 0xa3, 0xa3\n"
    ".byte 0x5b, 0x82, 0x41, 1, 0x2f, 3\n.ascii \"_SB_CPUSC002\"\n.byte 0xa3, 0xa3\n"
    "acpi_dsdt_end:\n.text\n");

static u8 sum(const u8 *p, u32 n)
{
	u8 s = 0;

	while (n--)
		s += *p++;
	return s;
}

static u32 get32(const u8 *p)
{
	u32 v;
	memcpy(&v, p, 4);
	return v;
}
static u64 get64(const u8 *p)
{
	u64 v;
	memcpy(&v, p, 8);
	return v;
}

static struct ram make_ram(void)
{
	struct ram r = {.host = malloc(MiB(2)), .low = MiB(2)};

	memset(r.host, 0xcc, MiB(2));
	return r;
}

static u8 *find_rsdp(const struct ram *r)
{
	for (u64 a = 0xe0000; a < 0x100000; a += 16)
		if (!memcmp(r->host + a, "RSD PTR ", 8) && !sum(r->host + a, 20) &&
		    !sum(r->host + a, 36))
			return r->host + a;
	return NULL;
}

/* The table at a guest address, its header checked. */
static u8 *table(const struct ram *r, u64 gpa, const char *signature)
{
	u8 *t = r->host + gpa;

	assert_in_range(gpa, 0xe0000, 0xeffff);
	assert_memory_equal(t, signature, 4);
	assert_in_range(gpa + get32(t + 4), 0xe0000, 0xf0000);
	return t;
}

static void tables_are_linked_and_summed(void **s)
{
	struct ram r = make_ram();
	u8 *rsdp, *xsdt, *fadt, *madt, *dsdt;

	assert_int_equal(acpi_build(&r, 1, 1), 0);
	rsdp = find_rsdp(&r);
	assert_non_null(rsdp);
	assert_int_equal(rsdp[15], 2);
	xsdt = table(&r, get64(rsdp + 24), "XSDT");
	assert_int_equal(get32(xsdt + 4), 36 + 2 * 8);
	fadt = table(&r, get64(xsdt + 36), "FACP");
	madt = table(&r, get64(xsdt + 44), "APIC");
	assert_int_equal(get32(fadt + 4), 276);
	dsdt = table(&r, get64(fadt + 140), "DSDT");
	assert_int_equal(get32(fadt + 40), get64(fadt + 140));
	table(&r, get32(fadt + 36), "FACS");
	assert_int_equal(get32(fadt + 36) % 64, 0);
	assert_int_equal(sum(xsdt, get32(xsdt + 4)), 0);
	assert_int_equal(sum(fadt, get32(fadt + 4)), 0);
	assert_int_equal(sum(madt, get32(madt + 4)), 0);
	assert_int_equal(get32(dsdt + 4), DSDT_BYTES);
	assert_int_equal(sum(dsdt, DSDT_BYTES), 0);
	/* The fixed hardware at the offsets that ACPI 6.4, table 5.33, gives. */
	assert_int_equal(fadt[46] | fadt[47] << 8, 9);	  /* SCI_INT */
	assert_int_equal(get32(fadt + 48), 0);		  /* SMI_CMD */
	assert_int_equal(get32(fadt + 56), 0x600);	  /* PM1a_EVT_BLK */
	assert_int_equal(get32(fadt + 64), 0x604);	  /* PM1a_CNT_BLK */
	assert_int_equal(get32(fadt + 76), 0x608);	  /* PM_TMR_BLK */
	assert_int_equal(get32(fadt + 80), 0x620);	  /* GPE0_BLK */
	assert_int_equal(fadt[92], 16);			  /* GPE0_BLK_LEN */
	assert_int_equal(fadt[108], 0x32);		  /* CENTURY */
	assert_int_equal(get32(fadt + 112) >> 10 & 1, 1); /* RESET_REG_SUP */
	assert_int_equal(get64(fadt + 120), 0xcf9);
	assert_int_equal(fadt[128], 6);
	free(r.host);
}

/* One that may come is online-capable, which is bit 1; one that is there is enabled, bit 0. */
static void madt_names_every_cpu(void **s)
{
	static const u32 counts[] = {1, 2, 7, 255};

	for (u32 i = 0; i < ARRAY_SIZE(counts); i++) {
		struct ram r = make_ram();
		u8 *madt, *end, *p;
		u32 cpus = 0, ioapics = 0, overrides = 0, here = (counts[i] + 1) / 2;

		assert_int_equal(acpi_build(&r, here, counts[i]), 0);
		madt = r.host + get64(r.host + get64(find_rsdp(&r) + 24) + 44);
		assert_int_equal(get32(madt + 36), 0xfee00000);
		end = madt + get32(madt + 4);
		assert_int_equal(sum(madt, get32(madt + 4)), 0);
		for (p = madt + 44; p < end; p += p[1]) {
			assert_in_range(p[1], 6, 12);
			if (!p[0])
				assert_int_equal(get32(p + 4), cpus < here ? 1 : 2);
			cpus += p[0] == 0 && p[2] == cpus && p[3] == cpus;
			ioapics += p[0] == 1 && get32(p + 4) == 0xfec00000;
			overrides += p[0] == 2;
		}
		assert_ptr_equal(p, end);
		assert_int_equal(cpus, counts[i]);
		assert_int_equal(ioapics, 1);
		assert_int_equal(overrides, 2);
		free(r.host);
	}
}

static void dsdt_has_the_cpus_that_may_be(void **s)
{
	for (u32 possible = 1; possible <= 64; possible++) {
		struct ram r = make_ram();
		u32 bytes = DSDT_BYTES + MIN(possible - 1, 2) * CPU_BYTES;
		u8 *fadt, *dsdt;

		assert_int_equal(acpi_build(&r, 1, possible), 0);
		fadt = r.host + get64(r.host + get64(find_rsdp(&r) + 24) + 36);
		dsdt = table(&r, get64(fadt + 140), "DSDT");
		assert_int_equal(get32(dsdt + 4), bytes);
		assert_int_equal(sum(dsdt, bytes), 0);
		if (possible == 2)
			assert_memory_equal(dsdt + bytes - 6, "C001", 4);
		free(r.host);
	}
}

static void without_room_an_error(void **s)
{
	struct ram r = make_ram();

	assert_int_equal(acpi_build(&r, 1, 256), -E_NOMEM);
	r.low = 0xe8000;
	assert_int_equal(acpi_build(&r, 1, 1), -E_NOMEM);
	free(r.host);
}

static void ram_has_holes(void **s)
{
	static const struct {
		u64 gpa, bytes, offset; /* offset ~0: not RAM */
	} rows[] = {
		{0, 1, 0},
		{0x9ffff, 1, 0x9ffff},
		{0x9ffff, 2, ~0ull},
		{0xa0000, 1, ~0ull},
		{0xbffff, 1, ~0ull},
		{0xc0000, 8, 0xc0000},
		{0xbfffffff, 1, 0xbfffffff},
		{0xbfffffff, 2, ~0ull},
		{0xc0000000, 1, ~0ull},
		{0xffffffff, 2, ~0ull},
		{GiB(4), 8, 0xc0000000},
		{GiB(4) + GiB(1) - 8, 8, 0xfffffff8},
		{GiB(4) + GiB(1) - 4, 8, ~0ull},
		{GiB(5), 1, ~0ull},
		{~0ull, 1, ~0ull},
		{~0ull - 3, 8, ~0ull},
	};
	const struct ram r = {.host = (u8 *)0x1000000000, .low = GiB(3), .high = GiB(1)};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		u8 *want = ~rows[i].offset ? (u8 *)0x1000000000 + rows[i].offset : NULL;

		if (ram_ptr(&r, rows[i].gpa, rows[i].bytes) != want)
			fail_msg("row %u", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_linked_and_summed),
		cmocka_unit_test(madt_names_every_cpu),
		cmocka_unit_test(dsdt_has_the_cpus_that_may_be),
		cmocka_unit_test(without_room_an_error),
		cmocka_unit_test(ram_has_holes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
