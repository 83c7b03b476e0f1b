// SOURCES: drivers/platform/acpi_parse.c
// MAX_LEN: 4096
/* ACPI tables of a firmware that lies: several tables into the same facts, and an RSDP. */
#include "tests/fuzz/fuzz.h"

#include "drivers/platform/acpi.h"
#include "hv/up.h"

void log_line(enum log_level level, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap); /* reads what it would print */
	va_end(ap);
}

static void check(const struct acpi_facts *f)
{
	FUZZ_CHECK(f->cpus <= ARRAY_SIZE(f->apic_id), "%u CPUs", f->cpus);
	FUZZ_CHECK(f->ioapics <= ARRAY_SIZE(f->ioapic), "%u I/O APICs", f->ioapics);
	FUZZ_CHECK(f->numa.nodes <= ARRAY_SIZE(f->numa.domain), "%u nodes", f->numa.nodes);
	FUZZ_CHECK(f->numa.ranges <= ARRAY_SIZE(f->numa.range), "%u memory ranges", f->numa.ranges);
	for (u32 i = 0; i < f->cpus; i++)
		FUZZ_CHECK(!f->node[i] || f->node[i] < f->numa.nodes, "CPU %u in node %u of %u", i,
			   f->node[i], f->numa.nodes);
	for (u32 i = 0; i < f->numa.ranges; i++) {
		FUZZ_CHECK(f->numa.range[i].node < f->numa.nodes, "memory in node %u",
			   f->numa.range[i].node);
		FUZZ_CHECK(f->numa.range[i].base + f->numa.range[i].bytes >= f->numa.range[i].base,
			   "memory wraps");
	}
	for (u32 i = 0; i < f->ioapics; i++)
		FUZZ_CHECK(IS_ALIGNED(f->ioapic[i].address.v, 16) && f->ioapic[i].address.v,
			   "I/O APIC's address");
	FUZZ_CHECK(IS_ALIGNED(f->hpet.v, 8), "HPET at %#lx", f->hpet.v);
}

static void check_rsdp(const u8 *data, size_t n)
{
	u8 *rsdp = fuzz_exact(data, MIN(n, 36));
	hpa_t root = {0};
	u32 entry = 0;

	if (acpi_parse_rsdp(rsdp, (u32)MIN(n, 36), &root, &entry))
		FUZZ_CHECK(root.v && (entry == 4 || entry == 8), "root %#lx, entries of %u", root.v,
			   entry);
	free(rsdp);
}

/*
 * Each table: its length in 2 bytes, its number in the list of signatures, then what follows the
 * signature. As in a machine, each has a whole header and its true length in it.
 */
static void add_table(struct acpi_facts *f, struct fuzz_input *in)
{
	static const char signatures[][5] = {"APIC", "FACP", "HPET", "DMAR",
					     "SRAT", "SLIT", "DSDT", "SSDT"};
	u32 bytes = fuzz_u16(in) & 0xfff;
	const char *signature = signatures[fuzz_u8(in) % ARRAY_SIZE(signatures)];
	struct acpi_table *t;

	bytes = (u32)MAX(MIN(bytes, in->left + 4), sizeof(*t));
	t = calloc(1, bytes);
	fuzz_fill(in, (u8 *)t + 4, bytes - 4);
	memcpy(t->signature, signature, 4);
	t->length = bytes;
	f->table[f->tables++] = t;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	struct fuzz_input in = {data, n};
	struct acpi_facts *f = calloc(1, sizeof(*f));

	check_rsdp(data, n);
	while (in.left && f->tables < ARRAY_SIZE(f->table))
		add_table(f, &in);
	acpi_parse(f);
	check(f);
	while (f->tables--)
		free((void *)f->table[f->tables]);
	free(f);
	return 0;
}
