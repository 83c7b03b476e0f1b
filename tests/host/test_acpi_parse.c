// SOURCES: drivers/platform/acpi_parse.c
/*
 * The firmware's ACPI tables: good ones, each kind of damage, random bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/platform/acpi.h"
#include "hv/up.h"
#include "tests/host/acpi_layouts.h"

static struct acpi_facts f;
static u8 buf[4096];
static u32 used;
static char last_log[256];

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last_log, sizeof(last_log), fmt, ap);
	va_end(ap);
}

static void put(const void *p, u32 n)
{
	memcpy(buf + used, p, n);
	used += n;
}

static void begin(const char *signature, const void *fixed, u32 bytes)
{
	memset(&f, 0, sizeof(f));
	last_log[0] = 0;
	used = 0;
	put(fixed, bytes);
	memcpy(buf, signature, 4);
}

/* On a copy of exactly the table's size: ASan sees a byte too many. */
static void parse(void)
{
	u8 *copy = malloc(used);

	memcpy(buf + 4, &used, 4);
	memcpy(copy, buf, used);
	f.table[0] = (const void *)copy;
	f.tables = 1;
	acpi_parse(&f);
	free(copy);
}

static void logged(const char *text)
{
	if (!strstr(last_log, text))
		fail_msg("expected a log line with '%s', got '%s'", text, last_log);
}

#define PUT(type, ...) put(&(type){__VA_ARGS__}, sizeof(type))

static void good_madt(void)
{
	struct acpi_madt m = {.lapic_address = 0xfee00000, .flags = 1};

	begin("APIC", &m, sizeof(m));
	PUT(struct madt_lapic, {MADT_LAPIC, 8}, 0, 4, 1);
	PUT(struct madt_lapic, {MADT_LAPIC, 8}, 1, 5, 0);	/* disabled */
	PUT(struct madt_x2apic, {MADT_X2APIC, 16}, 0, 4, 1, 0); /* the first again */
	PUT(struct madt_x2apic, {MADT_X2APIC, 16}, 0, 300, 1, 2);
	PUT(struct madt_ioapic, {MADT_IOAPIC, 12}, 9, 0, 0xfec00000, 0);
	PUT(struct madt_override, {MADT_OVERRIDE, 10}, 0, 0, 2, 0);
	PUT(struct madt_override, {MADT_OVERRIDE, 10}, 0, 9, 9, 0xd);
	PUT(struct acpi_entry, 5, 2); /* of a type that is not wanted: no length is too short */
}

static u32 overrides(void)
{
	u32 n = 0;

	for (u32 i = 0; i < ARRAY_SIZE(f.override); i++)
		n += f.override[i].listed;
	return n;
}

static void madt_lists_cpus_ioapics_and_overrides(void **state)
{
	good_madt();
	PUT(struct acpi_entry, 0x7f, 2); /* unknown */
	parse();
	assert_string_equal(last_log, "");
	assert_int_equal(f.cpus, 2);
	assert_int_equal(f.apic_id[0], 4);
	assert_int_equal(f.apic_id[1], 300);
	assert_int_equal(f.ioapics, 1);
	assert_int_equal(f.ioapic[0].id, 9);
	assert_int_equal(f.ioapic[0].address.v, 0xfec00000);
	assert_int_equal(overrides(), 2);
	assert_int_equal(f.override[0].gsi, 2);
	assert_int_equal(f.override[9].flags, 0xd);
}

static void madt_entries_that_are_wrong_are_named_and_left_out(void **state)
{
	static const struct {
		u8 bytes[16];
		u32 n;
		const char *want;
	} cases[] = {
		{{0, 0}, 2, "type 0 at offset 126 has length 0"},
		{{0, 1}, 2, "has length 1"},
		{{0, 8, 0, 6}, 4, "has length 8, 4 bytes are left"},
		{{0, 4, 0, 6}, 4, "length 4, it needs 8"},
		{{1, 11}, 11, "length 11, it needs 12"},
		{{2, 9}, 9, "length 9, it needs 10"},
		{{9, 8}, 8, "length 8, it needs 16"},
		{{1, 12}, 12, "I/O APIC 0 has address 0x0"},
		{{2, 10, 1, 3}, 10, "override of bus 1"},
		{{2, 10, 0, 16}, 10, "override of bus 0 interrupt 16"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		good_madt();
		put(cases[i].bytes, cases[i].n);
		parse();
		logged(cases[i].want);
		assert_int_equal(f.cpus, 2);
		assert_int_equal(f.ioapics, 1);
		assert_int_equal(overrides(), 2);
	}
}

static void madt_lists_that_overflow_are_counted_or_named(void **state)
{
	struct acpi_madt m = {0};

	begin("APIC", &m, sizeof(m));
	for (u32 i = 0; i < MAX_CPUS + 5; i++)
		PUT(struct madt_lapic, {MADT_LAPIC, 8}, 0, (u8)i, 1);
	for (u32 i = 0; i < ARRAY_SIZE(f.ioapic) + 4; i++)
		PUT(struct madt_ioapic, {MADT_IOAPIC, 12}, (u8)i, 0, 0xfec00000, i * 24);
	for (u32 i = 0; i < 20; i++)
		PUT(struct madt_override, {MADT_OVERRIDE, 10}, 0, (u8)(i % 16), i, 0);
	parse();
	assert_int_equal(f.cpus, MAX_CPUS);
	assert_int_equal(f.cpus_dropped, 5);
	assert_int_equal(f.ioapics, ARRAY_SIZE(f.ioapic));
	assert_int_equal(overrides(), 16);
	assert_int_equal(f.override[3].gsi, 19); /* the last one counts */
}

static void fadt_old_and_new(void **state)
{
	struct acpi_fadt t = {.dsdt = 0x1000,
			      .smi_cmd = 0xb2,
			      .acpi_enable = 2,
			      .pm1a_cnt_blk = 0x604,
			      .pm_tmr_blk = 0x608,
			      .flags = FADT_TMR_VAL_EXT | FADT_RESET_REG_SUP};

	begin("FACP", &t, FADT_BYTES_V1);
	parse();
	assert_int_equal(f.dsdt.v, 0x1000);
	assert_int_equal(f.power[POWER_PM1A].space, ACPI_SPACE_IO);
	assert_int_equal(f.power[POWER_PM1A].address, 0x604);
	assert_int_equal(f.pm_timer_port, 0x608);
	assert_true(f.pm_timer_32);
	assert_int_equal(f.power[POWER_ACPI_ENABLE].address, 0xb2);
	assert_int_equal(f.acpi_enable, 2);
	assert_int_equal(f.power[POWER_SLEEP].address, 0);
	assert_int_equal(f.power[REG_RESET].address, 0); /* the flag alone names no register */

	t.x_dsdt = 0x123456789000;
	t.reset_reg = (struct acpi_gas_layout){ACPI_SPACE_IO, 8, 0, 1, 0xcf9};
	t.reset_value = 0xf;
	t.x_pm1a_cnt = (struct acpi_gas_layout){ACPI_SPACE_MEMORY, 16, 0, 2, 0xfed00000};
	begin("FACP", &t, sizeof(t));
	parse();
	assert_int_equal(f.dsdt.v, 0x123456789000);
	assert_int_equal(f.power[REG_RESET].address, 0xcf9);
	assert_int_equal(f.reset_value, 0xf);
	assert_int_equal(f.power[POWER_PM1A].address, 0xfed00000);

	t.flags |= FADT_HW_REDUCED;
	t.sleep_control = (struct acpi_gas_layout){ACPI_SPACE_IO, 8, 0, 1, 0x600};
	begin("FACP", &t, sizeof(t));
	parse();
	assert_int_equal(f.power[POWER_PM1A].address, 0);
	assert_int_equal(f.power[POWER_ACPI_ENABLE].address, 0);
	assert_int_equal(f.power[POWER_SLEEP].address, 0x600);
	assert_int_equal(f.pm_timer_port, 0);
}

static void the_reset_register_may_lie_in_three_spaces(void **state)
{
	static const struct {
		u8 space;
		u64 address;
		bool used;
	} cases[] = {
		{ACPI_SPACE_IO, 0xcf9, true},
		{ACPI_SPACE_IO, 0xfffd, false},
		{ACPI_SPACE_IO, 0, false},
		{ACPI_SPACE_MEMORY, 0xfee00000000, true},
		{ACPI_SPACE_PCI, 0x1f000700fc, true},  /* 00:1f.7, 0xfc */
		{ACPI_SPACE_PCI, 0x2000000044, false}, /* device 32 */
		{ACPI_SPACE_PCI, 0x0100080044, false}, /* function 8 */
		{ACPI_SPACE_PCI, 0x0100000100, false}, /* beyond the first 256 bytes */
		{ACPI_SPACE_PCI, 1ull << 48, false},
		{3, 0x44, false},
		{127, 0x44, false},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct acpi_fadt t = {.flags = FADT_RESET_REG_SUP,
				      .reset_reg = {cases[i].space, 8, 0, 1, cases[i].address},
				      .reset_value = 6};

		begin("FACP", &t, sizeof(t));
		parse();
		if (f.power[REG_RESET].address != (cases[i].used ? cases[i].address : 0))
			fail_msg("case %u: address 0x%llx", i,
				 (unsigned long long)f.power[REG_RESET].address);
		if (cases[i].used)
			assert_int_equal(f.power[REG_RESET].space, cases[i].space);
	}
}

static void fadt_values_that_are_wrong_are_named(void **state)
{
	struct acpi_fadt t = {.smi_cmd = 0x10000, .acpi_enable = 1};

	begin("FACP", &t, sizeof(t));
	parse();
	logged("in space 1 at 0x10000");
	assert_int_equal(f.power[POWER_ACPI_ENABLE].address, 0);
	t = (struct acpi_fadt){.x_pm_tmr = {ACPI_SPACE_MEMORY, 32, 0, 3, 0x1000}};
	begin("FACP", &t, sizeof(t));
	parse();
	logged("PM timer in space 0");
	assert_int_equal(f.pm_timer_port, 0);
	t = (struct acpi_fadt){.flags = FADT_RESET_REG_SUP, .reset_reg = {3, 8, 0, 1, 0xcf9}};
	begin("FACP", &t, sizeof(t));
	parse();
	logged("register in space 3");
	assert_int_equal(f.power[REG_RESET].address, 0);
	t.reset_reg = (struct acpi_gas_layout){ACPI_SPACE_IO, 8, 0, 1, 0x10000};
	begin("FACP", &t, sizeof(t));
	parse();
	logged("in space 1 at 0x10000");
	assert_int_equal(f.power[REG_RESET].address, 0);
}

static void hpet_lies_in_memory(void **state)
{
	struct acpi_hpet h = {.address = {ACPI_SPACE_MEMORY, 64, 0, 0, 0xfed00000}};

	begin("HPET", &h, sizeof(h));
	parse();
	assert_int_equal(f.hpet.v, 0xfed00000);
	h.address.space = ACPI_SPACE_IO;
	begin("HPET", &h, sizeof(h));
	parse();
	logged("HPET: base address");
	assert_int_equal(f.hpet.v, 0);
}

static void srat_and_slit_use_the_same_nodes(void **state)
{
	static const u8 matrix[9] = {10, 11, 21, 11, 10, 31, 22, 32, 10};
	struct acpi_srat s = {0};
	struct acpi_slit l = {.localities = 3};
	struct acpi_facts from_srat;

	begin("SRAT", &s, sizeof(s));
	f.cpus = 2;
	f.apic_id[0] = 1;
	f.apic_id[1] = 300;
	PUT(struct srat_lapic, {SRAT_LAPIC, 16}, 2, 1, 1, 0, {0}, 0);
	PUT(struct srat_x2apic, {SRAT_X2APIC, 24}, 0, 0, 300, 1, 0, 0);
	PUT(struct srat_memory, {SRAT_MEMORY, 40}, 0, 0, 0, 0x10000000, 0, 1, 0);
	PUT(struct srat_memory, {SRAT_MEMORY, 40}, 2, 0, 0x100000000, 0x10000000, 0, 1, 0);
	/* disabled */
	PUT(struct srat_memory, {SRAT_MEMORY, 40}, 2, 0, 0x200000000, 0x10000000, 0, 0, 0);
	PUT(struct srat_memory, {SRAT_MEMORY, 40}, 2, 0, ~0ull, 0x10000000, 0, 1, 0);
	parse();
	logged("SRAT: memory 0xffffffffffffffff");
	assert_int_equal(f.numa.nodes, 2);
	assert_int_equal(f.node[0], 0); /* domain 2 came first */
	assert_int_equal(f.node[1], 1);
	assert_int_equal(f.numa.ranges, 2);
	assert_int_equal(f.numa.range[0].node, 1);
	assert_int_equal(f.numa.range[1].node, 0);

	from_srat = f;
	begin("SLIT", &l, sizeof(l));
	f = from_srat;
	put(matrix, sizeof(matrix));
	parse();
	assert_int_equal(f.numa.distance[0][0], 10);
	assert_int_equal(f.numa.distance[0][1], 22);
	assert_int_equal(f.numa.distance[1][0], 21);

	for (u32 i = 0; i < 3; i++) {
		l.localities = (u64[]){4, 1ull << 32, ~0ull}[i];
		begin("SLIT", &l, sizeof(l));
		f = from_srat;
		put(matrix, sizeof(matrix));
		parse();
		logged("SLIT:");
		assert_int_equal(f.numa.distance[0][1], 0);
	}
}

static void dmar_may_ask_for_xapic_mode(void **state)
{
	for (u32 flags = 0; flags < 8; flags++) {
		u8 t[DMAR_BYTES] = {[DMAR_FLAGS] = (u8)flags};

		begin("DMAR", t, sizeof(t));
		parse();
		assert_int_equal(f.x2apic_opt_out, flags >> 1 & 1);
	}
}

static void tables_that_are_too_short_are_skipped(void **state)
{
	static const struct {
		const char *signature;
		u32 minimum;
	} cases[] = {
		{"APIC", 44}, {"FACP", 116}, {"HPET", 56}, {"SRAT", 48}, {"SLIT", 44}, {"DMAR", 48},
	};
	static const u8 zero[256];
	static const struct acpi_facts none;

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++)
		for (u32 n = sizeof(struct acpi_table); n < cases[i].minimum; n++) {
			begin(cases[i].signature, zero, n);
			parse();
			logged("skipped");
			f.tables = 0;
			f.table[0] = NULL;
			assert_memory_equal(&f, &none, sizeof(f));
		}
	begin("XYZW", zero, 100);
	parse();
	assert_string_equal(last_log, "");
}

static void of_tables_with_one_signature_the_first_counts(void **state)
{
	struct acpi_hpet h[2] = {{.address = {ACPI_SPACE_MEMORY, 64, 0, 0, 0xfed00000}},
				 {.address = {ACPI_SPACE_MEMORY, 64, 0, 0, 0xfed80000}}};

	memset(&f, 0, sizeof(f));
	for (u32 i = 0; i < 2; i++) {
		memcpy(h[i].header.signature, "HPET", 4);
		h[i].header.length = sizeof(h[i]);
		f.table[f.tables++] = (const void *)&h[i];
	}
	acpi_parse(&f);
	assert_int_equal(f.hpet.v, 0xfed00000);
}

static void fix_sum(u8 *p, u32 n, u8 *sum)
{
	*sum = 0;
	for (u32 i = 0, s = 0; i < n; i++, *sum = (u8)-s)
		s += i == (u32)(sum - p) ? 0 : p[i];
}

static void rsdp_good_and_bad(void **state)
{
	struct acpi_rsdp r = {
		.revision = 2, .rsdt_address = 0x1000, .length = 36, .xsdt_address = 0x2000};
	hpa_t root;
	u32 entry;
	u8 *p = (u8 *)&r;

	memcpy(r.signature, "RSD PTR ", 8);
	fix_sum(p, 20, &r.checksum);
	fix_sum(p, 36, &r.extended_checksum);
	assert_true(acpi_parse_rsdp(p, 36, &root, &entry));
	assert_int_equal(root.v, 0x2000);
	assert_int_equal(entry, 8);
	assert_true(acpi_parse_rsdp(p, 20, &root, &entry)); /* the loader's old copy */
	assert_int_equal(root.v, 0x1000);
	assert_int_equal(entry, 4);
	r.reserved[0]++; /* the extended sum is wrong: only the old part can be trusted */
	assert_true(acpi_parse_rsdp(p, 36, &root, &entry));
	assert_int_equal(entry, 4);
	r.oem_id[0]++;
	assert_false(acpi_parse_rsdp(p, 36, &root, &entry));
	assert_false(acpi_parse_rsdp(p, 19, &root, &entry));
	r.oem_id[0]--;
	r.signature[0]++;
	fix_sum(p, 20, &r.checksum);
	assert_false(acpi_parse_rsdp(p, 36, &root, &entry));
}

static void random_tables_are_survived(void **state)
{
	static const char *const names[] = {"APIC", "FACP", "HPET", "SRAT", "SLIT"};

	srand(3);
	for (u32 round = 0; round < 60000; round++) {
		u8 bytes[400];
		u32 n = 36 + rand() % 364;

		for (u32 i = 0; i < n; i++)
			bytes[i] = (u8)(rand() % (i > 43 ? 48 : 256)); /* small types and lengths */
		begin(names[round % ARRAY_SIZE(names)], bytes, n);
		f.numa.nodes = rand() % 17;
		parse();
		assert_true(f.cpus <= MAX_CPUS && f.ioapics <= ARRAY_SIZE(f.ioapic) &&
			    f.numa.nodes <= 16 && f.numa.ranges <= 64);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(madt_lists_cpus_ioapics_and_overrides),
		cmocka_unit_test(madt_entries_that_are_wrong_are_named_and_left_out),
		cmocka_unit_test(madt_lists_that_overflow_are_counted_or_named),
		cmocka_unit_test(fadt_old_and_new),
		cmocka_unit_test(the_reset_register_may_lie_in_three_spaces),
		cmocka_unit_test(fadt_values_that_are_wrong_are_named),
		cmocka_unit_test(hpet_lies_in_memory),
		cmocka_unit_test(dmar_may_ask_for_xapic_mode),
		cmocka_unit_test(srat_and_slit_use_the_same_nodes),
		cmocka_unit_test(tables_that_are_too_short_are_skipped),
		cmocka_unit_test(of_tables_with_one_signature_the_first_counts),
		cmocka_unit_test(rsdp_good_and_bad),
		cmocka_unit_test(random_tables_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
