/* Power-off and reset. */
#include "drivers/platform/acpi.h"
#include "drivers/platform/acpi_tables.h"
#include "drivers/platform/pci.h"
#include "hv/x86.h"
#include "mm/pt.h"

/* ACPI 6.5, 4.8.3.2 "PM1 Control Registers" and 4.8.3.7 "Sleep Control and Status Registers". */
#define PM1_SCI_EN 1u
#define PM1_SLP_TYP_SHIFT 10
#define PM1_SLP_TYP_MASK (7u << PM1_SLP_TYP_SHIFT)
#define PM1_SLP_EN (1u << 13)
#define SLEEP_CONTROL_TYP_SHIFT 2
#define SLEEP_CONTROL_EN (1u << 5)

#define PORT_DELAY 0x80 /* a read takes about a microsecond */
#define PORT_KBD 0x64
#define PORT_RESET 0xcf9
#define KBD_BUSY 2u /* it has not read the last byte yet */
#define KBD_WAITS 10000
#define KBD_PULSE_RESET 0xfe

static void delay_us(u32 us)
{
	while (us--)
		inb(PORT_DELAY);
}

void power_init(void)
{
	struct acpi_facts *f = &acpi_facts;
	struct acpi_gas *reg[] = {&f->pm1a_control, &f->pm1b_control, &f->sleep_control,
				  &f->reset_register};

	for (u32 i = 0; i < ARRAY_SIZE(reg); i++)
		if (reg[i]->address && reg[i]->space == ACPI_SPACE_MEMORY)
			reg[i]->mapped =
				acpi_map(hpa(reg[i]->address), 4, PT_R | PT_W | PT_UNCACHED);
}

static u16 read16(const struct acpi_gas *g)
{
	if (g->space == ACPI_SPACE_IO && g->address)
		return inw((u16)g->address);
	return g->mapped ? *(volatile u16 *)g->mapped : 0;
}

static void write16(const struct acpi_gas *g, u32 v)
{
	if (g->space == ACPI_SPACE_IO && g->address)
		outw((u16)g->address, (u16)v);
	else if (g->mapped)
		*(volatile u16 *)g->mapped = (u16)v;
}

static void write8(const struct acpi_gas *g, u32 v)
{
	if (g->space == ACPI_SPACE_IO && g->address)
		outb((u16)g->address, (u8)v);
	else if (g->space == ACPI_SPACE_PCI)
		pci_write8((u32)(g->address >> 29) + (u32)(g->address >> 16 & 7), g->address & 0xff,
			   (u8)v);
	else if (g->mapped)
		*(volatile u8 *)g->mapped = (u8)v;
}

/* Firmware owns the PM1 registers until ACPI mode is on. */
static void acpi_mode_enable(void)
{
	const struct acpi_facts *f = &acpi_facts;

	if (!f->smi_command || !f->acpi_enable || read16(&f->pm1a_control) & PM1_SCI_EN)
		return;
	outb(f->smi_command, f->acpi_enable);
	for (u32 ms = 0; ms < 1000 && !(read16(&f->pm1a_control) & PM1_SCI_EN); ms++)
		delay_us(1000);
}

static u32 pm1_value(const struct acpi_gas *g, u32 slp_typ)
{
	return (read16(g) & ~PM1_SLP_TYP_MASK) | (slp_typ & 7) << PM1_SLP_TYP_SHIFT;
}

void acpi_poweroff(u8 slp_typa, u8 slp_typb)
{
	const struct acpi_facts *f = &acpi_facts;
	u32 a, b;

	if (f->hw_reduced) {
		write8(&f->sleep_control,
		       (slp_typa & 7u) << SLEEP_CONTROL_TYP_SHIFT | SLEEP_CONTROL_EN);
	} else {
		acpi_mode_enable();
		a = pm1_value(&f->pm1a_control, slp_typa);
		b = pm1_value(&f->pm1b_control, slp_typb);
		write16(&f->pm1a_control, a);
		write16(&f->pm1b_control, b);
		write16(&f->pm1a_control, a | PM1_SLP_EN);
		write16(&f->pm1b_control, b | PM1_SLP_EN);
	}
	delay_us(1000000);
}

static void reset_acpi(void) { write8(&acpi_facts.reset_register, acpi_facts.reset_value); }

static void reset_pci(void)
{
	outb(PORT_RESET, 0x02);
	delay_us(10);
	outb(PORT_RESET, 0x06); /* hard reset of system and CPU */
}

static void reset_kbd(void)
{
	for (u32 i = 0; i < KBD_WAITS && inb(PORT_KBD) & KBD_BUSY; i++)
		delay_us(10);
	outb(PORT_KBD, KBD_PULSE_RESET);
}

static void reset_triple(void)
{
	struct {
		u16 limit;
		u64 base;
	} __packed no_idt = {0, 0};

	__asm__ volatile("lidt %0; int3" : : "m"(no_idt));
}

static const struct {
	void (*reset)(void);
	const char *line;
} reset_methods[RESET_METHODS] = {
	[RESET_ACPI] = {reset_acpi, "reset: by the ACPI reset register"},
	[RESET_PCI] = {reset_pci, "reset: by port 0xcf9"},
	[RESET_KBD] = {reset_kbd, "reset: by the keyboard controller"},
	[RESET_TRIPLE] = {reset_triple, "reset: by a triple fault"},
};

void platform_reset(enum reset_method first, void (*say)(const char *line))
{
	irq_disable();
	for (u32 i = 0;; i++) {
		u32 method = i ? (i - 1) % RESET_METHODS : first;

		if (method == RESET_ACPI && !acpi_facts.reset_register.address)
			continue;
		say(reset_methods[method].line);
		reset_methods[method].reset();
		delay_us(20000);
	}
}
