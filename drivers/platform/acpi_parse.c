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
	if (r.revision >= 2 && bytes >= sizeof(r) && r.xsdt_address && acpi_checksum_ok(rsdp, sizeof(r))) {
		*root = hpa(r.xsdt_address);
		*entry_bytes = 8;
		return true;
	}
	*root = hpa(r.rsdt_address);
	*entry_bytes = 4;
	return r.rsdt_address != 0;
}

/*
 * The next entry of a MADT or SRAT, whose own length is checked against the table's end. One that is
 * shorter than its type needs is skipped by the callers with a line in the log.
 */
static bool next_entry(const char *name, const u8 *table, u32 bytes, u32 *at, struct acpi_entry *e)
{
	if (bytes - *at < sizeof(*e))
		return false;
	memcpy(e, table + *at, sizeof(*e));
	if (e->length >= sizeof(*e) && e->length <= bytes - *at) {
		*at += e->length;
		return true;
	}
	log_warn("acpi: %s: entry type %u at offset %u has length %u, %u bytes are left; the rest is skipped",
		 name, e->type, *at, e->length, bytes - *at);
	return false;
}

static bool entry_fits(const char *name, const struct acpi_entry *e, size_t need)
{
	if (e->length >= need)
		return true;
	log_warn("acpi: %s: entry type %u has length %u, it needs %u; skipped", name, e->type, e->length,
		 (u32)need);
	return false;
}

/* ---- MADT ---- */

static void add_cpu(struct acpi_facts *f, u32 apic_id, u32 flags)
{
	if (!(flags & MADT_CPU_ENABLED))
		return;
	for (u32 i = 0; i < f->cpus; i++)
		if (f->apic_id[i] == apic_id) /* firmware may list one as local APIC and as x2APIC */
			return;
	if (f->cpus < MAX_CPUS)
		f->apic_id[f->cpus++] = apic_id;
	else
		f->cpus_dropped++;
}

static void add_ioapic(struct acpi_facts *f, const struct madt_ioapic *io)
{
	if (!io->address || !IS_ALIGNED(io->address, 16u))
		log_warn("acpi: MADT: I/O APIC %u has address 0x%x; skipped", io->id, io->address);
	else if (f->ioapics >= ARRAY_SIZE(f->ioapic))
		log_warn("acpi: MADT: I/O APIC %u is more than is supported; skipped", io->id);
	else
		f->ioapic[f->ioapics++] = (struct acpi_ioapic){io->id, hpa(io->address), io->gsi_base};
}

static void add_override(struct acpi_facts *f, const struct madt_override *o)
{
	if (o->bus != 0 || o->source > 15 || f->overrides >= ARRAY_SIZE(f->override))
		log_warn("acpi: MADT: override of bus %u interrupt %u; skipped", o->bus, o->source);
	else
		f->override[f->overrides++] = (struct acpi_override){o->source, o->gsi, o->flags};
}

static void parse_madt_entry(struct acpi_facts *f, const u8 *p, const struct acpi_entry *e)
{
	union {
		struct madt_lapic lapic;
		struct madt_ioapic ioapic;
		struct madt_override override;
		struct madt_lapic_address address;
		struct madt_x2apic x2apic;
	} u;
	static const u8 need[] = {
		[MADT_LAPIC] = sizeof(u.lapic),
		[MADT_IOAPIC] = sizeof(u.ioapic),
		[MADT_OVERRIDE] = sizeof(u.override),
		[MADT_LAPIC_ADDRESS] = sizeof(u.address),
		[MADT_X2APIC] = sizeof(u.x2apic),
	};

	if (e->type >= ARRAY_SIZE(need) || !need[e->type] || !entry_fits("MADT", e, need[e->type]))
		return;
	memcpy(&u, p, need[e->type]);
	switch (e->type) {
	case MADT_LAPIC:
		add_cpu(f, u.lapic.apic_id, u.lapic.flags);
		break;
	case MADT_IOAPIC:
		add_ioapic(f, &u.ioapic);
		break;
	case MADT_OVERRIDE:
		add_override(f, &u.override);
		break;
	case MADT_LAPIC_ADDRESS:
		f->lapic_address = hpa(u.address.address);
		break;
	case MADT_X2APIC:
		add_cpu(f, u.x2apic.apic_id, u.x2apic.flags);
		break;
	}
}

static void parse_madt(struct acpi_facts *f, const u8 *table, u32 bytes)
{
	struct acpi_madt m;
	struct acpi_entry e;
	u32 at = sizeof(m);

	memcpy(&m, table, sizeof(m));
	f->lapic_address = hpa(m.lapic_address);
	f->has_8259 = m.flags & 1;
	for (u32 start = at; next_entry("MADT", table, bytes, &at, &e); start = at)
		parse_madt_entry(f, table + start, &e);
}

void acpi_boot_cpu_first(struct acpi_facts *f, u32 apic_id)
{
	u32 i = 0;

	while (i < f->cpus && f->apic_id[i] != apic_id)
		i++;
	if (i == f->cpus && f->cpus)
		log_warn("acpi: MADT: the boot CPU (APIC id %u) is not listed", apic_id);
	if (i == f->cpus && f->cpus < MAX_CPUS)
		f->cpus++;
	for (i = MIN(i, MAX_CPUS - 1u); i > 0; i--)
		f->apic_id[i] = f->apic_id[i - 1];
	f->apic_id[0] = apic_id;
}

/* ---- FADT ---- */

static struct acpi_gas gas(const struct acpi_gas_layout *g)
{
	return (struct acpi_gas){g->space, g->bit_width, g->bit_offset, g->access_size, g->address};
}

/* The extended field when the table has it and it is filled in, else the old port. */
static struct acpi_gas gas_or_port(const struct acpi_gas_layout *x, u32 port, u8 width)
{
	if (x->address)
		return gas(x);
	return (struct acpi_gas){ACPI_SPACE_IO, width, 0, 0, port};
}

static void parse_fadt(struct acpi_facts *f, const u8 *table, u32 bytes)
{
	struct acpi_fadt t = {0}; /* fields that an older table lacks are 0 */
	struct acpi_gas timer;

	memcpy(&t, table, MIN(bytes, (u32)sizeof(t)));
	f->hw_reduced = t.flags & FADT_HW_REDUCED;
	f->dsdt = hpa(t.x_dsdt ? t.x_dsdt : t.dsdt);
	f->reset_supported = t.flags & FADT_RESET_REG_SUP && t.reset_reg.address;
	f->reset_register = gas(&t.reset_reg);
	f->reset_value = t.reset_value;
	f->sleep_control = gas(&t.sleep_control);
	if (f->hw_reduced)
		return; /* then the fields of the fixed hardware mean nothing */
	if (t.smi_cmd > 0xffff)
		log_warn("acpi: FADT: SMI_CMD is port 0x%x; ignored", t.smi_cmd);
	else
		f->smi_command = (u16)t.smi_cmd;
	f->acpi_enable = t.acpi_enable;
	f->pm1a_control = gas_or_port(&t.x_pm1a_cnt, t.pm1a_cnt_blk, 16);
	f->pm1b_control = gas_or_port(&t.x_pm1b_cnt, t.pm1b_cnt_blk, 16);
	timer = gas_or_port(&t.x_pm_tmr, t.pm_tmr_blk, 32);
	if (timer.address && (timer.space != ACPI_SPACE_IO || timer.address > 0xfffc))
		log_warn("acpi: FADT: PM timer in space %u at 0x%lx; ignored", timer.space, timer.address);
	else
		f->pm_timer_port = (u16)timer.address;
	f->pm_timer_32 = t.flags & FADT_TMR_VAL_EXT;
}

/* ---- HPET, MCFG ---- */

static void parse_hpet(struct acpi_facts *f, const u8 *table, u32 bytes)
{
	struct acpi_hpet h;

	memcpy(&h, table, sizeof(h));
	if (h.address.space != ACPI_SPACE_MEMORY || !h.address.address ||
	    !IS_ALIGNED((u64)h.address.address, 8ull))
		log_warn("acpi: HPET: base address 0x%lx in space %u; ignored", (u64)h.address.address,
			 h.address.space);
	else if (!f->hpet.v)
		f->hpet = hpa(h.address.address);
}

static void parse_mcfg(struct acpi_facts *f, const u8 *table, u32 bytes)
{
	struct mcfg_entry e;

	for (u32 at = sizeof(struct acpi_mcfg); bytes - at >= sizeof(e); at += sizeof(e)) {
		memcpy(&e, table + at, sizeof(e));
		if (e.segment != 0)
			continue;
		if (!e.base || !IS_ALIGNED(e.base, MiB(1)) || e.bus_first > e.bus_last) {
			log_warn("acpi: MCFG: buses %u-%u at 0x%lx; ignored", e.bus_first, e.bus_last,
				 (u64)e.base);
			continue;
		}
		f->mcfg_base = hpa(e.base);
		f->mcfg_bus_first = e.bus_first;
		f->mcfg_bus_last = e.bus_last;
		return;
	}
}

/* ---- SRAT, SLIT ---- */

/* The node of a proximity domain; those past the limit count as node 0. */
static u8 node_of(struct acpi_facts *f, u32 domain)
{
	for (u32 i = 0; i < f->nodes; i++)
		if (f->domain[i] == domain)
			return (u8)i;
	if (f->nodes >= ARRAY_SIZE(f->domain)) {
		log_warn("acpi: SRAT: proximity domain %u is more than is supported; taken as node 0", domain);
		return 0;
	}
	f->domain[f->nodes] = domain;
	return (u8)f->nodes++;
}

static void set_cpu_node(struct acpi_facts *f, u32 apic_id, u32 domain)
{
	u8 node = node_of(f, domain);

	for (u32 i = 0; i < f->cpus; i++)
		if (f->apic_id[i] == apic_id)
			f->node[i] = node;
}

static void add_memory(struct acpi_facts *f, const struct srat_memory *m)
{
	if (!m->length)
		return;
	if (m->base + m->length < m->base || f->mem_ranges >= ARRAY_SIZE(f->mem_range)) {
		log_warn("acpi: SRAT: memory 0x%lx + 0x%lx; skipped", (u64)m->base, (u64)m->length);
		return;
	}
	f->mem_range[f->mem_ranges].base = m->base;
	f->mem_range[f->mem_ranges].bytes = m->length;
	f->mem_range[f->mem_ranges++].node = node_of(f, m->domain);
}

static void parse_srat_entry(struct acpi_facts *f, const u8 *p, const struct acpi_entry *e)
{
	union {
		struct srat_lapic lapic;
		struct srat_memory memory;
		struct srat_x2apic x2apic;
	} u;
	static const u8 need[] = {
		[SRAT_LAPIC] = sizeof(u.lapic),
		[SRAT_MEMORY] = sizeof(u.memory),
		[SRAT_X2APIC] = sizeof(u.x2apic),
	};

	if (e->type >= ARRAY_SIZE(need) || !entry_fits("SRAT", e, need[e->type]))
		return;
	memcpy(&u, p, need[e->type]);
	if (e->type == SRAT_LAPIC && u.lapic.flags & SRAT_ENABLED)
		set_cpu_node(f, u.lapic.apic_id,
			     u.lapic.domain_low | (u32)u.lapic.domain_high[0] << 8 |
				     (u32)u.lapic.domain_high[1] << 16 | (u32)u.lapic.domain_high[2] << 24);
	else if (e->type == SRAT_MEMORY && u.memory.flags & SRAT_ENABLED)
		add_memory(f, &u.memory);
	else if (e->type == SRAT_X2APIC && u.x2apic.flags & SRAT_ENABLED)
		set_cpu_node(f, u.x2apic.apic_id, u.x2apic.domain);
}

static void parse_srat(struct acpi_facts *f, const u8 *table, u32 bytes)
{
	struct acpi_entry e;
	u32 at = sizeof(struct acpi_srat);

	for (u32 start = at; next_entry("SRAT", table, bytes, &at, &e); start = at)
		parse_srat_entry(f, table + start, &e);
}

static void parse_slit(struct acpi_facts *f, const u8 *table, u32 bytes)
{
	struct acpi_slit s;
	u64 n;

	memcpy(&s, table, sizeof(s));
	n = s.localities;
	if (n > 65535 || n * n > bytes - sizeof(s)) {
		log_warn("acpi: SLIT: %lu localities do not fit %u bytes; ignored", n, bytes);
		return;
	}
	for (u32 i = 0; i < f->nodes; i++)
		for (u32 k = 0; k < f->nodes; k++)
			if (f->domain[i] < n && f->domain[k] < n)
				f->distance[i][k] = table[sizeof(s) + f->domain[i] * n + f->domain[k]];
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
