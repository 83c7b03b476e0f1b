/* Finds and maps the tables; the parsing is in acpi_parse.c. */
#include "drivers/platform/acpi.h"

#include "hv/facts.h"
#include "lib/string.h"
#include "mm/early.h"
#include "mm/mm.h"

/* Mapping a table takes pages, of which there are few this early. */
#define TABLES_BYTES MiB(16)
#define ROOT_ENTRIES 256u

struct acpi_facts acpi_facts;

void *acpi_map(hpa_t a, u64 bytes, u32 prot)
{
	u64 last = a.v + bytes - 1;

	if (!a.v || last < a.v || last >> cpu_facts.phys_bits ||
	    ranges_bytes(&early_ram, a.v, last + 1))
		return NULL;
	return mmio_map(a, bytes, prot);
}

/*
 * Checks the header and the length of a table and lists it. Every listed table stays mapped. A bad
 * checksum is the firmware's, as a rule, and leaves a table that other systems use.
 */
static void add_table(struct acpi_facts *f, hpa_t a)
{
	static u64 room = TABLES_BYTES;
	const char *bad = "not firmware memory";
	const struct acpi_table *h, *whole = NULL;

	h = acpi_map(a, sizeof(*h), PT_R);
	if (h) {
		bad = h->length < sizeof(*h) || h->length > room
			      ? "wrong length, or too long beside the others"
			      : NULL;
		whole = bad ? NULL : acpi_map(a, h->length, PT_R);
		room -= whole ? h->length : 0;
	}
	if (whole && !acpi_checksum_ok((const u8 *)whole, h->length))
		log_warn("acpi: %.4s at 0x%lx: bad checksum; used all the same", h->signature, a.v);
	if (f->tables >= ARRAY_SIZE(f->table))
		bad = "too many tables";
	if (bad || !whole) {
		log_warn("acpi: %.4s at 0x%lx: %s; skipped", h ? h->signature : "????", a.v,
			 bad ? bad : "not mapped");
		return;
	}
	f->table[f->tables++] = whole;
}

/* Lists every table that the XSDT (entries of 8 bytes) or RSDT (4) names. */
static void add_root(struct acpi_facts *f, hpa_t root, u32 entry_bytes)
{
	const u8 *entry;
	u32 entries;

	add_table(f, root);
	if (!f->tables)
		return;
	entry = (const u8 *)f->table[0] + sizeof(struct acpi_table);
	entries = (f->table[0]->length - (u32)sizeof(struct acpi_table)) / entry_bytes;
	if (entries > ROOT_ENTRIES)
		log_warn("acpi: %.4s names %u tables; those past the first %u are skipped",
			 f->table[0]->signature, entries, ROOT_ENTRIES);
	for (u32 i = 0; i < MIN(entries, ROOT_ENTRIES); i++, entry += entry_bytes) {
		u64 a = 0;

		memcpy(&a, entry, entry_bytes);
		add_table(f, hpa(a));
	}
}

void acpi_init(const struct bootinfo *b)
{
	struct acpi_facts *f = &acpi_facts;
	u32 entry_bytes;
	hpa_t root;

	if (acpi_parse_rsdp(b->rsdp_copy, b->rsdp_bytes, &root, &entry_bytes))
		add_root(f, root, entry_bytes);
	else
		log_warn("acpi: the boot loader found no tables; one CPU and legacy devices only");
	acpi_parse(f);
	if (f->dsdt.v)
		add_table(f, f->dsdt);
	if (f->cpus_dropped)
		log_warn("acpi: %u CPUs are more than are supported (%u)", f->cpus_dropped,
			 MAX_CPUS);
	numa_complete(&f->numa);
	power_init();
	log_info("acpi: %u tables, %u CPUs, %u I/O APICs, %u nodes%s%s", f->tables, f->cpus,
		 f->ioapics, f->numa.nodes, f->hpet.v ? ", HPET" : "",
		 f->pm_timer_port ? ", PM timer" : "");
}
