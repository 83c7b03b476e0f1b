#include "drivers/platform/acpi.h"
#include "drivers/platform/lapic.h"
#include "hv/up.h"
#include "mm/kmap.h"
#include "mm/pt.h"

/* 82093AA I/O APIC, "Register Description" */
#define IOAPIC_SELECT 0x00
#define IOAPIC_WINDOW 0x10
#define IOAPIC_VERSION 1 /* bits 23-16: highest pin */
#define IOAPIC_REDIRECTION(pin) (0x10 + 2 * (pin))
#define RTE_LOW_ACTIVE BIT(13)
#define RTE_LEVEL BIT(15)
#define RTE_MASKED BIT(16)
#define RTE_DEST_SHIFT 56

/* MPS INTI flags of an override: ACPI 6.5, table 5.26 */
#define INTI_POLARITY_LOW 3
#define INTI_TRIGGER_LEVEL 3

static struct {
	volatile u8 *regs; /* NULL: not usable */
	u32 pins;
} ioapic[ARRAY_SIZE(((struct acpi_facts *)0)->ioapic)]; /* [I] after ioapic_init */

static u32 read_reg(u32 i, u32 reg)
{
	*(volatile u32 *)(ioapic[i].regs + IOAPIC_SELECT) = reg;
	return *(volatile u32 *)(ioapic[i].regs + IOAPIC_WINDOW);
}

static void write_reg(u32 i, u32 reg, u32 v)
{
	*(volatile u32 *)(ioapic[i].regs + IOAPIC_SELECT) = reg;
	*(volatile u32 *)(ioapic[i].regs + IOAPIC_WINDOW) = v;
}

/* The low half masks: it is written first when masking, last when unmasking. */
static void set_pin(u32 i, u32 pin, u64 entry)
{
	write_reg(i, IOAPIC_REDIRECTION(pin), (u32)RTE_MASKED);
	write_reg(i, IOAPIC_REDIRECTION(pin) + 1, (u32)(entry >> 32));
	write_reg(i, IOAPIC_REDIRECTION(pin), (u32)entry);
}

void ioapic_init(void)
{
	for (u32 i = 0; i < acpi_facts.ioapics; i++) {
		volatile u8 *regs =
			acpi_map(acpi_facts.ioapic[i].address, 0x20, PT_R | PT_W | PT_UNCACHED);
		u32 version;

		ioapic[i].regs = regs;
		version = regs ? read_reg(i, IOAPIC_VERSION) : ~0u;
		if (version == ~0u) {
			log_warn("ioapic: %u at 0x%lx does not answer; left out",
				 acpi_facts.ioapic[i].id, acpi_facts.ioapic[i].address.v);
			ioapic[i].regs = NULL;
			continue;
		}
		ioapic[i].pins = MIN((version >> 16 & 0xff) + 1, 120u);
		for (u32 pin = 0; pin < ioapic[i].pins; pin++)
			set_pin(i, pin, RTE_MASKED);
	}
}

bool ioapic_route_isa(u32 isa_irq, u8 vector, u32 apic_id)
{
	u32 gsi = isa_irq;
	u64 entry = vector | (u64)apic_id << RTE_DEST_SHIFT;

	if (apic_id > 0xff)
		return false; /* needs interrupt remapping */
	for (u32 i = 0; i < acpi_facts.overrides; i++) {
		const struct acpi_override *o = &acpi_facts.override[i];

		if (o->source != isa_irq)
			continue;
		gsi = o->gsi;
		entry |= (o->flags & 3) == INTI_POLARITY_LOW ? RTE_LOW_ACTIVE : 0;
		entry |= (o->flags >> 2 & 3) == INTI_TRIGGER_LEVEL ? RTE_LEVEL : 0;
	}
	for (u32 i = 0; i < acpi_facts.ioapics; i++) {
		u32 base = acpi_facts.ioapic[i].gsi_base;

		if (!ioapic[i].regs || gsi < base || gsi - base >= ioapic[i].pins)
			continue;
		set_pin(i, gsi - base, entry);
		return true;
	}
	return false;
}
