/* Finds and maps the tables; the parsing is in acpi_parse.c. */
#include "drivers/platform/acpi.h"

#include "drivers/platform/acpi_tables.h"
#include "drivers/platform/power.h"
#include "hv/facts.h"
#include "hv/up.h"
#include "hv/x86.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/kmap.h"
#include "mm/pt.h"

#define TABLE_MAX MiB(16)
#define EBDA_POINTER 0x40e /* segment of the extended BIOS data area */
#define BIOS_AREA 0xe0000
#define BIOS_AREA_BYTES 0x20000

struct acpi_facts acpi_facts;

/* Every listed table stays mapped, read-only: acpi_table_read needs them while programs run. */
static const u8 *table_map[ARRAY_SIZE(((struct acpi_facts *)0)->table)];

/* Firmware memory, not RAM that the allocator hands out; read-only and cached. NULL: refused. */
static const u8 *map_firmware(hpa_t a, u64 bytes)
{
	u64 last = a.v + bytes - 1;

	if (!a.v || last < a.v || last >> cpu_facts.phys_bits || frame_owner_of(a) != FRAME_RESERVED ||
	    frame_owner_of(hpa(last)) != FRAME_RESERVED)
		return NULL;
	return mmio_map(a, bytes, PT_R);
}

/* Checks the header, the length and the checksum of a table and lists it. */
static void add_table(struct acpi_facts *f, hpa_t a)
{
	struct acpi_header h;
	const u8 *p;

	for (u32 i = 0; i < f->tables; i++)
		if (f->table[i].address.v == a.v)
			return;
	p = map_firmware(a, sizeof(h));
	if (!p) {
		log_warn("acpi: table address 0x%lx is not firmware memory; skipped", a.v);
		return;
	}
	memcpy(&h, p, sizeof(h));
	mmio_unmap((void *)p, sizeof(h));
	if (h.length < sizeof(h) || h.length > TABLE_MAX || f->tables >= ARRAY_SIZE(f->table)) {
		log_warn("acpi: %.4s at 0x%lx: length %u, or too many tables; skipped", h.signature, a.v,
			 h.length);
		return;
	}
	p = map_firmware(a, h.length);
	if (!p || !acpi_checksum_ok(p, h.length)) {
		log_warn("acpi: %.4s at 0x%lx: %s; skipped", h.signature, a.v,
			 p ? "bad checksum" : "not firmware memory");
		if (p)
			mmio_unmap((void *)p, h.length);
		return;
	}
	memcpy(f->table[f->tables].signature, h.signature, 4);
	f->table[f->tables].address = a;
	f->table[f->tables].length = h.length;
	table_map[f->tables++] = p;
}

/* Lists every table that the XSDT (entries of 8 bytes) or RSDT (4) names. */
static void add_root(struct acpi_facts *f, hpa_t root, u32 entry_bytes)
{
	u32 first = f->tables;

	add_table(f, root);
	if (f->tables == first)
		return;
	if (memcmp(f->table[first].signature, entry_bytes == 8 ? "XSDT" : "RSDT", 4))
		log_warn("acpi: root table has signature '%.4s'", f->table[first].signature);
	for (u32 at = sizeof(struct acpi_header); f->table[first].length - at >= entry_bytes; at += entry_bytes) {
		u64 a = 0;

		memcpy(&a, table_map[first] + at, entry_bytes);
		add_table(f, hpa(a));
	}
}

static void parse_all(struct acpi_facts *f, const char *signature)
{
	for (u32 i = 0; i < f->tables; i++)
		if (!memcmp(f->table[i].signature, signature, 4)) {
			acpi_parse_table(f, table_map[i], f->table[i].length);
			return; /* only the first counts */
		}
}

static bool search_area(hpa_t a, u64 bytes, hpa_t *root, u32 *entry_bytes)
{
	const u8 *p = map_firmware(a, bytes);
	bool found = false;

	for (u64 at = 0; p && !found && at + sizeof(struct acpi_rsdp) <= bytes; at += 16)
		found = acpi_parse_rsdp(p + at, sizeof(struct acpi_rsdp), root, entry_bytes);
	if (p)
		mmio_unmap((void *)p, bytes);
	return found;
}

/* ACPI 6.5, 5.2.5.1 "Finding the RSDP on IA-PC Systems", after what the boot loader gave. */
static bool find_root(const struct bootinfo *b, hpa_t *root, u32 *entry_bytes)
{
	const u8 *p;
	u16 segment = 0;

	if (b->rsdp_bytes && acpi_parse_rsdp(b->rsdp_copy, b->rsdp_bytes, root, entry_bytes))
		return true;
	if (b->rsdp.v && search_area(b->rsdp, sizeof(struct acpi_rsdp), root, entry_bytes))
		return true;
	p = mmio_map(hpa(0), PAGE_SIZE, PT_R);
	if (p) {
		memcpy(&segment, p + EBDA_POINTER, sizeof(segment));
		mmio_unmap((void *)p, PAGE_SIZE);
	}
	return (segment >= 0x8000 && segment < 0xa000 &&
		search_area(hpa((u64)segment << 4), KiB(1), root, entry_bytes)) ||
	       search_area(hpa(BIOS_AREA), BIOS_AREA_BYTES, root, entry_bytes);
}

static u32 boot_apic_id(void)
{
	if (cpu_facts.max_leaf >= 0xb) {
		struct cpuid r = cpuid(0xb, 0);

		if (r.ebx)
			return r.edx;
	}
	return cpu_facts.apic_id_initial;
}

void acpi_init(const struct bootinfo *b)
{
	struct acpi_facts *f = &acpi_facts;
	static const char other[][5] = {"FACP", "HPET", "MCFG", "SRAT", "SLIT"};
	hpa_t root;
	u32 entry_bytes;

	f->has_8259 = true;
	f->lapic_address = hpa(0xfee00000);
	if (find_root(b, &root, &entry_bytes))
		add_root(f, root, entry_bytes);
	else
		log_warn("acpi: no tables; one CPU and legacy devices only");
	parse_all(f, "APIC");
	acpi_boot_cpu_first(f, boot_apic_id());
	for (u32 i = 0; i < ARRAY_SIZE(other); i++)
		parse_all(f, other[i]);
	if (f->dsdt.v)
		add_table(f, f->dsdt);
	if (f->cpus_dropped)
		log_warn("acpi: %u CPUs are more than are supported (%u)", f->cpus_dropped, MAX_CPUS);
	if (!f->nodes)
		f->nodes = 1;
	if (!f->distance[0][0])
		f->distance[0][0] = 10;
	power_init();
	log_info("acpi: %u tables, %u CPUs, %u I/O APICs, %u nodes%s%s", f->tables, f->cpus, f->ioapics,
		 f->nodes, f->hpet.v ? ", HPET" : "", f->pm_timer_port ? ", PM timer" : "");
}

u32 acpi_table_read(u32 index, u32 offset, void *buf, u32 bytes)
{
	const struct acpi_facts *f = &acpi_facts;

	if (index >= f->tables || offset >= f->table[index].length)
		return 0;
	bytes = MIN(bytes, f->table[index].length - offset);
	memcpy(buf, table_map[index] + offset, bytes);
	return bytes;
}
