/* Table parsers. A value that can't be right is named in the log and left out; the rest is used. */
#include "drivers/platform/acpi.h"
#include "drivers/platform/acpi_tables.h"
#include "hv/up.h"
#include "lib/string.h"

bool acpi_checksum_ok(const u8 *table, u32 bytes)
{
	u8 sum = 0;

	for (u32 i = 0; i < bytes; i++)
		sum = (u8)(sum + table[i]);
	return sum == 0;
}

bool acpi_parse_rsdp(const u8 *rsdp, u32 bytes, hpa_t *root, u32 *entry_bytes)
{
	struct acpi_rsdp r = {0};

	if (bytes < 20)
		return false;
	memcpy(&r, rsdp, MIN(bytes, (u32)sizeof(r)));
	if (memcmp(r.signature, "RSD PTR ", 8) || !acpi_checksum_ok(rsdp, 20))
		return false;
	if (r.revision >= 2 && bytes >= sizeof(r) && r.xsdt_address &&
	    acpi_checksum_ok(rsdp, sizeof(r))) {
		*root = hpa(r.xsdt_address);
		*entry_bytes = 8;
		return true;
	}
	*root = hpa(r.rsdt_address);
	*entry_bytes = 4;
	return r.rsdt_address != 0;
}

/* What to do with an entry of the MADT or SRAT, by its type. */
struct entry_kind {
	u8 need; /* bytes; 0 = entries of this type are skipped */
	void (*add)(struct acpi_facts *f, const void *entry);
};

/*
 * Goes through the entries from `at` on. Each one's own length is checked against the table's end
 * and its type.
 */
static void parse_entries(struct acpi_facts *f, const char *name, const u8 *table, u32 bytes,
			  u32 at, const struct entry_kind *kinds, u32 n)
{
	while (bytes - at >= sizeof(struct acpi_entry)) {
		const struct acpi_entry *e = (const struct acpi_entry *)(table + at);

		if (e->length < sizeof(*e) || e->length > bytes - at) {
			log_warn(
				"acpi: %s: entry type %u at offset %u has length %u, %u bytes are left; the rest "
				"is skipped",
				name, e->type, at, e->length, bytes - at);
			return;
		}
		if (e->type < n && e->length < kinds[e->type].need)
			log_warn("acpi: %s: entry type %u has length %u, it needs %u; skipped",
				 name, e->type, e->length, kinds[e->type].need);
		else if (e->type < n && kinds[e->type].need)
			kinds[e->type].add(f, e);
		at += e->length;
	}
}

/* ---- MADT ---- */

static void add_cpu(struct acpi_facts *f, u32 apic_id, u32 flags)
{
	if (!(flags & MADT_CPU_ENABLED))
		return;
	for (u32 i = 0; i < f->cpus; i++)
		/* firmware may list one as local APIC and as x2APIC */
		if (f->apic_id[i] == apic_id)
			return;
	if (f->cpus < MAX_CPUS)
		f->apic_id[f->cpus++] = apic_id;
	else
		f->cpus_dropped++;
}

static void add_lapic(struct acpi_facts *f, const void *entry)
{
	const struct madt_lapic *l = entry;

	add_cpu(f, l->apic_id, l->flags);
}

static void add_x2apic(struct acpi_facts *f, const void *entry)
{
	const struct madt_x2apic *x = entry;

	add_cpu(f, x->apic_id, x->flags);
}

static void add_ioapic(struct acpi_facts *f, const void *entry)
{
	const struct madt_ioapic *io = entry;

	if (!io->address || !IS_ALIGNED(io->address, 16u) || f->ioapics >= ARRAY_SIZE(f->ioapic))
		log_warn("acpi: MADT: I/O APIC %u has address 0x%x, or is one too many; skipped",
			 io->id, io->address);
	else
		f->ioapic[f->ioapics++] =
			(struct acpi_ioapic){io->id, hpa(io->address), io->gsi_base};
}

static void add_override(struct acpi_facts *f, const void *entry)
{
	const struct madt_override *o = entry;

	if (o->bus != 0 || o->source > 15 || f->overrides >= ARRAY_SIZE(f->override))
		log_warn("acpi: MADT: override of bus %u interrupt %u; skipped", o->bus, o->source);
	else
		f->override[f->overrides++] = (struct acpi_override){o->source, o->gsi, o->flags};
}

static void parse_madt(struct acpi_facts *f, const u8 *table, u32 bytes)
{
	static const struct entry_kind kinds[] = {
		[MADT_LAPIC] = {sizeof(struct madt_lapic), add_lapic},
		[MADT_IOAPIC] = {sizeof(struct madt_ioapic), add_ioapic},
		[MADT_OVERRIDE] = {sizeof(struct madt_override), add_override},
		[MADT_X2APIC] = {sizeof(struct madt_x2apic), add_x2apic},
	};

	parse_entries(f, "MADT", table, bytes, sizeof(struct acpi_madt), kinds, ARRAY_SIZE(kinds));
}

/* ---- FADT ---- */

static bool gas_sane(const struct acpi_gas *g)
{
	switch (g->space) {
	case ACPI_SPACE_IO: return g->address <= 0xfffc;
	case ACPI_SPACE_PCI: return !(g->address & ~0x1f000700ffull);
	default: return g->space == ACPI_SPACE_MEMORY;
	}
}

/* The extended field when the table has it and it is filled in, else the old port. */
static struct acpi_gas gas(const struct acpi_gas_layout *x, u32 port)
{
	struct acpi_gas g = {x->space, x->address, NULL};

	if (!x->address)
		g = (struct acpi_gas){ACPI_SPACE_IO, port, NULL};
	if (!gas_sane(&g)) {
		log_warn("acpi: FADT: a register in space %u at 0x%lx; ignored", g.space,
			 g.address);
		g.address = 0;
	}
	return g;
}

static void parse_fadt(struct acpi_facts *f, const u8 *table, u32 bytes)
{
	struct acpi_fadt t = {0}; /* fields that an older table lacks are 0 */
	struct acpi_gas timer;

	memcpy(&t, table, MIN(bytes, (u32)sizeof(t)));
	f->dsdt = hpa(t.x_dsdt ? t.x_dsdt : t.dsdt);
	if (t.flags & FADT_RESET_REG_SUP)
		f->reset_register = gas(&t.reset_reg, 0);
	f->reset_value = t.reset_value;
	if (t.flags & FADT_HW_REDUCED) { /* the fields of the fixed hardware mean nothing */
		f->power[POWER_SLEEP] = gas(&t.sleep_control, 0);
		return;
	}
	f->acpi_enable = t.acpi_enable;
	if (t.acpi_enable)
		f->power[POWER_ACPI_ENABLE] = gas(&(struct acpi_gas_layout){0}, t.smi_cmd);
	f->power[POWER_PM1A] = gas(&t.x_pm1a_cnt, t.pm1a_cnt_blk);
	f->power[POWER_PM1B] = gas(&t.x_pm1b_cnt, t.pm1b_cnt_blk);
	timer = gas(&t.x_pm_tmr, t.pm_tmr_blk);
	if (timer.address && timer.space != ACPI_SPACE_IO)
		log_warn("acpi: FADT: PM timer in space %u at 0x%lx; ignored", timer.space,
			 timer.address);
	else
		f->pm_timer_port = (u16)timer.address;
	f->pm_timer_32 = t.flags & FADT_TMR_VAL_EXT;
}

/* ---- HPET, MCFG ---- */

static void parse_hpet(struct acpi_facts *f, const u8 *table, u32 bytes)
{
	const struct acpi_gas_layout *g = &((const struct acpi_hpet *)table)->address;

	if (g->space != ACPI_SPACE_MEMORY || !g->address || !IS_ALIGNED((u64)g->address, 8ull))
		log_warn("acpi: HPET: base address 0x%lx in space %u; ignored", (u64)g->address,
			 g->space);
	else
		f->hpet = hpa(g->address);
}

static void parse_mcfg(struct acpi_facts *f, const u8 *table, u32 bytes)
{
	const struct mcfg_entry *e = (const struct mcfg_entry *)(table + sizeof(struct acpi_mcfg));

	for (u32 n = (bytes - (u32)sizeof(struct acpi_mcfg)) / (u32)sizeof(*e); n--; e++) {
		if (e->segment != 0)
			continue;
		if (!e->base || !IS_ALIGNED(e->base, MiB(1)) || e->bus_first > e->bus_last) {
			log_warn("acpi: MCFG: buses %u-%u at 0x%lx; ignored", e->bus_first,
				 e->bus_last, (u64)e->base);
			continue;
		}
		f->mcfg_base = hpa(e->base);
		f->mcfg_bus_first = e->bus_first;
		f->mcfg_bus_last = e->bus_last;
		return;
	}
}

/* ---- SRAT, SLIT ---- */

/* The node of a proximity domain; those past the limit count as node 0. */
static u8 node_of(struct acpi_facts *f, u32 domain)
{
	struct numa *n = &f->numa;

	for (u32 i = 0; i < n->nodes; i++)
		if (n->domain[i] == domain)
			return (u8)i;
	if (n->nodes >= NUMA_NODES) {
		log_warn(
			"acpi: SRAT: proximity domain %u is more than is supported; taken as node 0",
			domain);
		return 0;
	}
	n->domain[n->nodes] = domain;
	return (u8)n->nodes++;
}

static void set_cpu_node(struct acpi_facts *f, u32 apic_id, u32 domain)
{
	u8 node = node_of(f, domain);

	for (u32 i = 0; i < f->cpus; i++)
		if (f->apic_id[i] == apic_id)
			f->node[i] = node;
}

static void add_cpu_node(struct acpi_facts *f, const void *entry)
{
	const struct srat_lapic *l = entry;

	if (l->flags & SRAT_ENABLED)
		set_cpu_node(f, l->apic_id,
			     l->domain_low | (u32)l->domain_high[0] << 8 |
				     (u32)l->domain_high[1] << 16 | (u32)l->domain_high[2] << 24);
}

static void add_x2apic_node(struct acpi_facts *f, const void *entry)
{
	const struct srat_x2apic *x = entry;

	if (x->flags & SRAT_ENABLED)
		set_cpu_node(f, x->apic_id, x->domain);
}

static void add_memory(struct acpi_facts *f, const void *entry)
{
	const struct srat_memory *m = entry;

	if (!m->length || !(m->flags & SRAT_ENABLED))
		return;
	if (m->base + m->length < m->base || f->numa.ranges >= ARRAY_SIZE(f->numa.range)) {
		log_warn("acpi: SRAT: memory 0x%lx + 0x%lx; skipped", (u64)m->base, (u64)m->length);
		return;
	}
	f->numa.range[f->numa.ranges++] =
		(struct numa_range){m->base, m->length, node_of(f, m->domain)};
}

static void parse_srat(struct acpi_facts *f, const u8 *table, u32 bytes)
{
	static const struct entry_kind kinds[] = {
		[SRAT_LAPIC] = {sizeof(struct srat_lapic), add_cpu_node},
		[SRAT_MEMORY] = {sizeof(struct srat_memory), add_memory},
		[SRAT_X2APIC] = {sizeof(struct srat_x2apic), add_x2apic_node},
	};

	parse_entries(f, "SRAT", table, bytes, sizeof(struct acpi_srat), kinds, ARRAY_SIZE(kinds));
}

static void parse_slit(struct acpi_facts *f, const u8 *table, u32 bytes)
{
	const struct acpi_slit *s = (const struct acpi_slit *)table;
	u64 n = s->localities;

	if (n > 65535 || n * n > bytes - sizeof(*s)) {
		log_warn("acpi: SLIT: %lu localities do not fit %u bytes; ignored", n, bytes);
		return;
	}
	for (u32 i = 0; i < f->numa.nodes; i++)
		for (u32 k = 0; k < f->numa.nodes; k++)
			if (f->numa.domain[i] < n && f->numa.domain[k] < n)
				f->numa.distance[i][k] = table[sizeof(*s) + f->numa.domain[i] * n +
							       f->numa.domain[k]];
}

static const struct {
	char signature[5];
	u32 minimum; /* bytes */
	void (*parse)(struct acpi_facts *f, const u8 *table, u32 bytes);
} parsers[] = {
	{"APIC", sizeof(struct acpi_madt), parse_madt},
	{"FACP", FADT_BYTES_V1, parse_fadt},
	{"HPET", sizeof(struct acpi_hpet), parse_hpet},
	{"MCFG", sizeof(struct acpi_mcfg), parse_mcfg},
	{"SRAT", sizeof(struct acpi_srat), parse_srat},
	{"SLIT", sizeof(struct acpi_slit), parse_slit},
};

bool acpi_parse_table(struct acpi_facts *f, const u8 *table, u32 bytes)
{
	for (u32 i = 0; i < ARRAY_SIZE(parsers); i++) {
		if (bytes < sizeof(struct acpi_header) || memcmp(table, parsers[i].signature, 4))
			continue;
		if (bytes >= parsers[i].minimum) {
			parsers[i].parse(f, table, bytes);
			return true;
		}
		log_warn("acpi: %s: length %u, it needs %u; skipped", parsers[i].signature, bytes,
			 parsers[i].minimum);
	}
	return false;
}
