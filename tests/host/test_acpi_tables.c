// SOURCES: drivers/platform/acpi.c drivers/platform/acpi_parse.c lib/ranges.c mm/numa.c
/*
 * Which of the firmware's tables are mapped: the good ones, and of an absurd list no more than the
 * pages for mappings bear.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/platform/acpi.h"
#include "hv/facts.h"
#include "hv/up.h"
#include "mm/early.h"
#include "mm/mm.h"

#define BASE 0x80000000ull /* where the firmware's memory begins */
#define MEMORY MiB(64)
#define TABLE_MAPPINGS_MAX MiB(20)

struct cpu_facts cpu_facts = {.phys_bits = 40};
struct ranges early_ram, early_free;

static u8 *memory;
static u64 mapped;
static u32 lines;
static char log_text[512][160];

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(log_text[lines++ % ARRAY_SIZE(log_text)], sizeof(log_text[0]), fmt, ap);
	va_end(ap);
}

void *mmio_map(hpa_t a, u64 bytes, u32 prot_flags)
{
	if (a.v < BASE || a.v - BASE > MEMORY || bytes > MEMORY - (a.v - BASE))
		return NULL;
	mapped += ALIGN_UP(bytes, PAGE_SIZE);
	return memory + (a.v - BASE);
}

void power_init(void) {}

static bool logged(const char *text)
{
	for (u32 i = 0; i < MIN(lines, (u32)ARRAY_SIZE(log_text)); i++)
		if (strstr(log_text[i], text))
			return true;
	return false;
}

static void seal(u8 *p, u32 bytes, u32 at)
{
	p[at] = 0;
	for (u32 i = 0; i < bytes; i++)
		p[at] = (u8)(p[at] - (i == at ? 0 : p[i]));
}

static u64 put_table(u64 at, const char *signature, u32 bytes)
{
	u8 *p = memory + at;

	memcpy(p, signature, 4);
	memcpy(p + 4, &bytes, 4);
	if (at + bytes <= MEMORY)
		seal(p, bytes, 9);
	return BASE + at;
}

/* An RSDP and an XSDT at BASE whose n entries name tables of so many bytes, `stride` apart. */
static struct bootinfo firmware(u32 n, u32 bytes, u64 stride)
{
	static struct bootinfo b;
	const u64 xsdt = BASE, first = PAGE_SIZE * 8;
	u32 length = 36 + n * 8;

	memset(memory, 0, MEMORY);
	for (u32 i = 0; i < n; i++) {
		u64 a = put_table(first + i * stride, "TEST", bytes);

		memcpy(memory + 36 + i * 8, &a, 8);
	}
	put_table(0, "XSDT", length);
	memset(&b, 0, sizeof(b));
	b.rsdp_bytes = 36;
	memcpy(b.rsdp_copy, "RSD PTR ", 8);
	b.rsdp_copy[15] = 2;
	memcpy(b.rsdp_copy + 24, &xsdt, 8);
	seal(b.rsdp_copy, 20, 8);
	seal(b.rsdp_copy, 36, 32);
	memset(&acpi_facts, 0, sizeof(acpi_facts));
	mapped = lines = 0;
	return b;
}

static void good_tables_are_listed(void **state)
{
	struct bootinfo b = firmware(5, 200, PAGE_SIZE);

	acpi_init(&b);
	assert_int_equal(acpi_facts.tables, 6);
	assert_memory_equal(acpi_facts.table[5]->signature, "TEST", 4);
	assert_false(logged("skipped"));
}

static void many_entries_are_cut_and_named(void **state)
{
	struct bootinfo b = firmware(3000, 100, 128);

	acpi_init(&b);
	assert_true(logged("XSDT names 3000 tables; those past the first 256 are skipped"));
	assert_true(logged("TEST"));
	assert_int_equal(acpi_facts.tables, ARRAY_SIZE(acpi_facts.table));
	assert_in_range(mapped, 1, TABLE_MAPPINGS_MAX);
}

/* They overlap, and none has a sum that is right. */
static void long_tables_use_no_more_than_their_share(void **state)
{
	struct bootinfo b = firmware(200, MiB(8), PAGE_SIZE);

	acpi_init(&b);
	assert_in_range(mapped, MiB(8), TABLE_MAPPINGS_MAX);
	assert_true(logged("acpi: TEST at 0x"));
	assert_true(logged("too long beside the others"));
}

static int setup(void **state)
{
	memory = malloc(MEMORY);
	return !memory;
}

static int teardown(void **state)
{
	free(memory);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_tables_are_listed),
		cmocka_unit_test(many_entries_are_cut_and_named),
		cmocka_unit_test(long_tables_use_no_more_than_their_share),
	};

	return cmocka_run_group_tests_name("acpi_tables", tests, setup, teardown);
}
