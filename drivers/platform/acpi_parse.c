/* Table parsers. A value that can't be right is named in the log and left out; the rest is used. */
#include "drivers/platform/acpi.h"
#include "hv/up.h"
#include "lib/string.h"

bool acpi_checksum_ok(const u8 *table, u32 bytes)
{
	u8 sum = 0;

	for (u32 i = 0; i < bytes; i++)
		sum = (u8)(sum + table[i]);
	return sum == 0;
}

/* `bytes` of a little-endian field. */
static u64 field(const u8 *p, u32 at, u32 bytes)
{
	u64 v = 0;

	memcpy(&v, p + at, bytes);
	return v;
}

bool acpi_parse_rsdp(const u8 *rsdp, u32 bytes, hpa_t *root, u32 *entry_bytes)
{
	bool xsdt;

	if (bytes < RSDP_BYTES_V1 || memcmp(rsdp, "RSD PTR ", 8) ||
	    !acpi_checksum_ok(rsdp, RSDP_BYTES_V1))
		return false;
	xsdt = bytes >= RSDP_BYTES && rsdp[RSDP_REVISION] >= 2 && field(rsdp, RSDP_XSDT, 8) &&
	       acpi_checksum_ok(rsdp, RSDP_BYTES);
	*entry_bytes = xsdt ? 8 : 4;
	*root = hpa(field(rsdp, xsdt ? RSDP_XSDT : RSDP_RSDT, *entry_bytes));
	return root->v;
}

/* ---- MADT and SRAT: lists of entries ---- */

static void add_cpu(struct acpi_facts *f, const u8 *e, u32 apic_id)
{
	for (u32 i = 0; i < f->cpus; i++)
		/* firmware may list one as local APIC and as x2APIC */
		if (f->apic_id[i] == apic_id)
			return;
	if (f->cpus < MAX_CPUS)
		f->apic_id[f->cpus++] = apic_id;
	else
		f->cpus_dropped++;
}

static void add_ioapic(struct acpi_facts *f, const u8 *e, u32 id)
{
	u32 address = (u32)field(e, IOAPIC_ADDRESS, 4);

	if (!address || !IS_ALIGNED(address, 16u) || f->ioapics >= ARRAY_SIZE(f->ioapic))
		log_warn("acpi: MADT: I/O APIC %u has address 0x%x, or is one too many; skipped",
			 id, address);
	else
		f->ioapic[f->ioapics++] = (struct acpi_ioapic){(u8)id, hpa(address),
							       (u32)field(e, IOAPIC_GSI_BASE, 4)};
}

static void add_override(struct acpi_facts *f, const u8 *e, u32 source)
{
	if (e[OVERRIDE_BUS] != 0 || source >= ARRAY_SIZE(f->override))
		log_warn("acpi: MADT: override of bus %u interrupt %u; skipped", e[OVERRIDE_BUS],
			 source);
	else
		f->override[source] = (struct acpi_override){true, (u32)field(e, OVERRIDE_GSI, 4),
							     (u16)field(e, OVERRIDE_FLAGS, 2)};
}

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

static void add_cpu_node(struct acpi_facts *f, const u8 *e, u32 apic_id)
{
	u64 domain = e[0] == SRAT_X2APIC
			     ? field(e, SRAT_X2APIC_DOMAIN, 4)
			     : e[SRAT_LAPIC_DOMAIN] | field(e, SRAT_LAPIC_DOMAIN_HIGH, 3) << 8;
	u8 node = node_of(f, (u32)domain);

	for (u32 i = 0; i < f->cpus; i++)
		if (f->apic_id[i] == apic_id)
			f->node[i] = node;
}

static void add_memory(struct acpi_facts *f, const u8 *e, u32 domain)
{
	u64 base = field(e, SRAT_MEMORY_BASE, 8), length = field(e, SRAT_MEMORY_LENGTH, 8);

	if (!length)
		return;
	if (base + length < base || f->numa.ranges >= ARRAY_SIZE(f->numa.range)) {
		log_warn("acpi: SRAT: memory 0x%lx + 0x%lx; skipped", base, length);
		return;
	}
	f->numa.range[f->numa.ranges++] = (struct numa_range){base, length, node_of(f, domain)};
}

/*
 * Where an entry's fields are and what to do with it, by its type. ACPI 6.5, 5.2.12 and 5.2.16,
 * "Structure" of each kind.
 */
struct entry_kind {
	u8 bytes; /* 0 = entries of this type are skipped */
	u8 flags; /* where they are; 0 = every one counts */
	u8 id, id_bytes;
	void (*add)(struct acpi_facts *f, const u8 *entry, u32 id);
};

/* What a table needs, and who takes it; of a list of entries, behind the minimum, their kinds. */
struct parser {
	char signature[5], name[5];
	u32 minimum; /* bytes */
	void (*parse)(struct acpi_facts *f, const u8 *table, u32 bytes, const struct parser *p);
	const struct entry_kind *kind; /* by the type */
	u32 kinds;
};

/* clang-format off */
static const struct entry_kind madt_kinds[] = {
	[MADT_LAPIC] = {8, 4, 3, 1, add_cpu},
	[MADT_IOAPIC] = {12, 0, 2, 1, add_ioapic},
	[MADT_OVERRIDE] = {10, 0, 3, 1, add_override},
	[MADT_X2APIC] = {16, 8, 4, 4, add_cpu},
};
static const struct entry_kind srat_kinds[] = {
	[SRAT_LAPIC] = {16, 4, 3, 1, add_cpu_node},
	[SRAT_MEMORY] = {40, 28, 2, 4, add_memory},
	[SRAT_X2APIC] = {24, 12, 8, 4, add_cpu_node},
};
/* clang-format on */

/*
 * Goes through the entries from `at` on. Each one's own length is checked against the table's end
 * and its type.
 */
static void parse_entries(struct acpi_facts *f, const u8 *table, u32 bytes, const struct parser *p)
{
	const char *name = p->name;

	for (u32 at = p->minimum, length; bytes - at >= 2; at += length) {
		const u8 *e = table + at;
		const struct entry_kind *k =
			e[0] < p->kinds && p->kind[e[0]].bytes ? &p->kind[e[0]] : NULL;

		length = e[1];
		if (length < 2 || length > bytes - at) {
			log_warn(
				"acpi: %s: entry type %u at offset %u has length %u, %u bytes are left; the rest "
				"is skipped",
				name, e[0], at, length, bytes - at);
			return;
		}
		if (k && length < k->bytes)
			log_warn("acpi: %s: entry type %u has length %u, it needs %u; skipped",
				 name, e[0], length, k->bytes);
		else if (k && (!k->flags || e[k->flags] & ACPI_ENTRY_ENABLED))
			k->add(f, e, (u32)field(e, k->id, k->id_bytes));
	}
}

/* ---- FADT ---- */

/*
 * The generic address at x when it is filled in, else the port whose number stands at `port`. 0:
 * the table has no such field.
 */
static struct acpi_gas gas(const u8 *fadt, u32 x, u32 port)
{
	struct acpi_gas g = {ACPI_SPACE_IO, port ? field(fadt, port, 4) : 0, NULL};
	bool sane;

	if (x && field(fadt, x + GAS_ADDRESS, 8))
		g = (struct acpi_gas){fadt[x + GAS_SPACE], field(fadt, x + GAS_ADDRESS, 8), NULL};
	sane = g.space == ACPI_SPACE_IO	   ? g.address <= 0xfffc
	       : g.space == ACPI_SPACE_PCI ? x == FADT_RESET_REG && !(g.address & ~0x1f000700ffull)
					   : g.space == ACPI_SPACE_MEMORY;
	if (!sane) {
		log_warn("acpi: FADT: a register in space %u at 0x%lx; ignored", g.space,
			 g.address);
		g.address = 0;
	}
	return g;
}

static void parse_fadt(struct acpi_facts *f, const u8 *table, u32 bytes, const struct parser *p)
{
	u8 t[FADT_BYTES] = {0}; /* fields that an older table lacks are 0 */
	struct acpi_gas timer;
	u32 flags;

	memcpy(t, table, MIN(bytes, (u32)sizeof(t)));
	flags = (u32)field(t, FADT_FLAGS, 4);
	f->dsdt = hpa(field(t, FADT_X_DSDT, 8));
	if (!f->dsdt.v)
		f->dsdt = hpa(field(t, FADT_DSDT, 4));
	if (flags & FADT_RESET_REG_SUP)
		f->power[REG_RESET] = gas(t, FADT_RESET_REG, 0);
	f->reset_value = t[FADT_RESET_VALUE];
	if (flags & FADT_HW_REDUCED) { /* the fields of the fixed hardware mean nothing */
		f->power[POWER_SLEEP] = gas(t, FADT_SLEEP_CONTROL, 0);
		return;
	}
	f->acpi_enable = t[FADT_ACPI_ENABLE];
	if (f->acpi_enable)
		f->power[POWER_ACPI_ENABLE] = gas(t, 0, FADT_SMI_CMD);
	f->power[POWER_PM1A] = gas(t, FADT_X_PM1A_CNT, FADT_PM1A_CNT);
	f->power[POWER_PM1B] = gas(t, FADT_X_PM1B_CNT, FADT_PM1B_CNT);
	timer = gas(t, FADT_X_PM_TMR, FADT_PM_TMR);
	if (timer.address && timer.space != ACPI_SPACE_IO)
		log_warn("acpi: FADT: PM timer in space %u at 0x%lx; ignored", timer.space,
			 timer.address);
	else
		f->pm_timer_port = (u16)timer.address;
	f->pm_timer_32 = flags & FADT_TMR_VAL_EXT;
}

/* ---- The others ---- */

static void parse_hpet(struct acpi_facts *f, const u8 *table, u32 bytes, const struct parser *p)
{
	u64 address = field(table, HPET_ADDRESS + GAS_ADDRESS, 8);
	u8 space = table[HPET_ADDRESS + GAS_SPACE];

	if (space != ACPI_SPACE_MEMORY || !address || !IS_ALIGNED(address, 8ull))
		log_warn("acpi: HPET: base address 0x%lx in space %u; ignored", address, space);
	else
		f->hpet = hpa(address);
}

static void parse_slit(struct acpi_facts *f, const u8 *table, u32 bytes, const struct parser *p)
{
	u64 n = field(table, SLIT_LOCALITIES, 8);
	const u32 *domain = f->numa.domain;

	if (n > 65535 || n * n > bytes - SLIT_MATRIX) {
		log_warn("acpi: SLIT: %lu localities do not fit %u bytes; ignored", n, bytes);
		return;
	}
	for (u32 i = 0; i < f->numa.nodes; i++)
		for (u32 k = 0; k < f->numa.nodes; k++)
			if (domain[i] < n && domain[k] < n)
				f->numa.distance[i][k] =
					table[SLIT_MATRIX + domain[i] * n + domain[k]];
}

static void parse_dmar(struct acpi_facts *f, const u8 *table, u32 bytes, const struct parser *p)
{
	f->x2apic_opt_out = table[DMAR_FLAGS] & DMAR_X2APIC_OPT_OUT;
}

/* In their order: SRAT needs the CPUs of the MADT, SLIT the nodes of the SRAT. */
static const struct parser parsers[] = {
	{"APIC", "MADT", MADT_BYTES, parse_entries, madt_kinds, ARRAY_SIZE(madt_kinds)},
	{"FACP", "FADT", FADT_BYTES_V1, parse_fadt, NULL, 0},
	{"HPET", "HPET", HPET_BYTES, parse_hpet, NULL, 0},
	{"DMAR", "DMAR", DMAR_BYTES, parse_dmar, NULL, 0},
	{"SRAT", "SRAT", SRAT_BYTES, parse_entries, srat_kinds, ARRAY_SIZE(srat_kinds)},
	{"SLIT", "SLIT", SLIT_MATRIX, parse_slit, NULL, 0},
};

/* Of several tables with a signature only the first counts. */
static const struct acpi_table *find(const struct acpi_facts *f, const char *signature)
{
	for (u32 i = 0; i < f->tables; i++)
		if (!memcmp(f->table[i]->signature, signature, 4))
			return f->table[i];
	return NULL;
}

void acpi_parse(struct acpi_facts *f)
{
	for (const struct parser *p = parsers; p < parsers + ARRAY_SIZE(parsers); p++) {
		const struct acpi_table *t = find(f, p->signature);

		if (t && t->length >= p->minimum)
			p->parse(f, (const u8 *)t, t->length, p);
		else if (t)
			log_warn("acpi: %s: length %u, it needs %u; skipped", p->signature,
				 t->length, p->minimum);
	}
}
