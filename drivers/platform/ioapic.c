#include "drivers/platform/acpi.h"
#include "drivers/platform/lapic.h"
#include "hv/up.h"
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

static u32 read_reg(volatile u8 *regs, u32 reg)
{
	*(volatile u32 *)(regs + IOAPIC_SELECT) = reg;
	return *(volatile u32 *)(regs + IOAPIC_WINDOW);
}

static void write_reg(volatile u8 *regs, u32 reg, u32 v)
{
	*(volatile u32 *)(regs + IOAPIC_SELECT) = reg;
	*(volatile u32 *)(regs + IOAPIC_WINDOW) = v;
}

/* The low half masks: it is written first when masking, last when unmasking. */
static void set_pin(volatile u8 *regs, u32 pin, u64 entry)
{
	write_reg(regs, IOAPIC_REDIRECTION(pin), (u32)RTE_MASKED);
	write_reg(regs, IOAPIC_REDIRECTION(pin) + 1, (u32)(entry >> 32));
	write_reg(regs, IOAPIC_REDIRECTION(pin), (u32)entry);
}

/* How it is wired: *gsi, and the bits of its pin's entry. */
static u64 wiring(u32 isa_irq, u32 *gsi)
{
	const struct acpi_override *o = &acpi_facts.override[isa_irq];

	*gsi = o->listed ? o->gsi : isa_irq;
	return ((o->flags & 3) == INTI_POLARITY_LOW ? RTE_LOW_ACTIVE : 0) |
	       ((o->flags >> 2 & 3) == INTI_TRIGGER_LEVEL ? RTE_LEVEL : 0);
}

bool ioapic_init(u32 isa_irq, u8 vector, u32 apic_id)
{
	u32 gsi, version, pins;
	u64 entry = wiring(isa_irq, &gsi) | vector | (u64)apic_id << RTE_DEST_SHIFT;
	bool routed = false;

	for (u32 i = 0; i < acpi_facts.ioapics; i++) {
		const struct acpi_ioapic *io = &acpi_facts.ioapic[i];
		volatile u8 *regs = acpi_map(io->address, 0x20, PT_R | PT_W | PT_UNCACHED);

		version = regs ? read_reg(regs, IOAPIC_VERSION) : ~0u;
		if (version == ~0u) {
			log_warn("ioapic: %u at 0x%lx does not answer; left out", io->id,
				 io->address.v);
			continue;
		}
		pins = MIN((version >> 16 & 0xff) + 1, 120u);
		for (u32 pin = 0; pin < pins; pin++)
			set_pin(regs, pin, RTE_MASKED);
		/* another CPU than the first 255 needs interrupt remapping */
		if (!routed && apic_id <= 0xff && gsi >= io->gsi_base &&
		    gsi - io->gsi_base < pins) {
			set_pin(regs, gsi - io->gsi_base, entry);
			routed = true;
		}
	}
	return routed;
}
