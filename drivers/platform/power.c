#include "drivers/platform/power.h"

#include "drivers/platform/acpi.h"
#include "drivers/platform/acpi_tables.h"
#include "hv/up.h"
#include "hv/x86.h"
#include "mm/kmap.h"
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
#define KBD_PULSE_RESET 0xfe

enum mapped_register { MAP_PM1A, MAP_PM1B, MAP_RESET, MAP_SLEEP, MAPS };
static void *mapped[MAPS];

static void delay_us(u32 us)
{
	while (us--)
		inb(PORT_DELAY);
}

static void map_register(enum mapped_register m, const struct acpi_gas *g, const char *name)
{
	if (!g->address || g->space == ACPI_SPACE_IO)
		return;
	if (g->space == ACPI_SPACE_MEMORY)
		mapped[m] = mmio_map(hpa(g->address), 4, PT_R | PT_W | PT_UNCACHED);
	else if (m != MAP_RESET || g->space != ACPI_SPACE_PCI)
		log_warn("acpi: FADT: %s is in address space %u; not usable", name, g->space);
}

void power_init(void)
{
	map_register(MAP_PM1A, &acpi_facts.pm1a_control, "PM1a_CNT");
	map_register(MAP_PM1B, &acpi_facts.pm1b_control, "PM1b_CNT");
	map_register(MAP_SLEEP, &acpi_facts.sleep_control, "SLEEP_CONTROL_REG");
	if (acpi_facts.reset_supported)
		map_register(MAP_RESET, &acpi_facts.reset_register, "RESET_REG");
}

static u32 read16(enum mapped_register m, const struct acpi_gas *g)
{
	if (g->space == ACPI_SPACE_IO && g->address && g->address <= 0xfffe)
		return inw((u16)g->address);
	return mapped[m] ? *(volatile u16 *)mapped[m] : 0;
}

static void write16(enum mapped_register m, const struct acpi_gas *g, u32 v)
{
	if (g->space == ACPI_SPACE_IO && g->address && g->address <= 0xfffe)
		outw((u16)g->address, (u16)v);
	else if (mapped[m])
		*(volatile u16 *)mapped[m] = (u16)v;
}

static void write8(enum mapped_register m, const struct acpi_gas *g, u8 v)
{
	if (g->space == ACPI_SPACE_IO && g->address && g->address <= 0xffff)
		outb((u16)g->address, v);
	else if (mapped[m])
		*(volatile u8 *)mapped[m] = v;
}

/* Firmware owns the PM1 registers until ACPI mode is on. */
static void acpi_mode_enable(void)
{
	const struct acpi_facts *f = &acpi_facts;

	if (!f->smi_command || !f->acpi_enable || read16(MAP_PM1A, &f->pm1a_control) & PM1_SCI_EN)
		return;
	outb(f->smi_command, f->acpi_enable);
	for (u32 ms = 0; ms < 1000 && !(read16(MAP_PM1A, &f->pm1a_control) & PM1_SCI_EN); ms++)
		delay_us(1000);
}

void acpi_poweroff(u8 slp_typa, u8 slp_typb)
{
	const struct acpi_facts *f = &acpi_facts;
	u32 a, b;

	if (f->hw_reduced) {
		write8(MAP_SLEEP, &f->sleep_control,
		       (u8)((slp_typa & 7) << SLEEP_CONTROL_TYP_SHIFT | SLEEP_CONTROL_EN));
		delay_us(1000000);
		return;
	}
	acpi_mode_enable();
	a = (read16(MAP_PM1A, &f->pm1a_control) & ~PM1_SLP_TYP_MASK) | (slp_typa & 7u) << PM1_SLP_TYP_SHIFT;
	b = (read16(MAP_PM1B, &f->pm1b_control) & ~PM1_SLP_TYP_MASK) | (slp_typb & 7u) << PM1_SLP_TYP_SHIFT;
	write16(MAP_PM1A, &f->pm1a_control, a);
	write16(MAP_PM1B, &f->pm1b_control, b);
	write16(MAP_PM1A, &f->pm1a_control, a | PM1_SLP_EN);
	write16(MAP_PM1B, &f->pm1b_control, b | PM1_SLP_EN);
	delay_us(1000000);
}

/* ACPI 6.5, 4.8.3.6 "Reset Register": I/O, memory, or the configuration space of bus 0. */
static void reset_by_acpi(void)
{
	const struct acpi_gas *g = &acpi_facts.reset_register;

	if (!acpi_facts.reset_supported)
		return;
	if (g->space == ACPI_SPACE_PCI) {
		u32 device = g->address >> 32 & 31, function = g->address >> 16 & 7;

		outl(0xcf8, 1u << 31 | device << 11 | function << 8 | (g->address & 0xfc));
		outb((u16)(0xcfc + (g->address & 3)), acpi_facts.reset_value);
	} else {
		write8(MAP_RESET, g, acpi_facts.reset_value);
	}
	delay_us(20000);
}

static void reset_by_pch(void)
{
	outb(PORT_RESET, 0x02);
	delay_us(10);
	outb(PORT_RESET, 0x06); /* hard reset of system and CPU */
	delay_us(20000);
}

static void reset_by_keyboard(void)
{
	for (u32 i = 0; i < 10000 && inb(PORT_KBD) & 2; i++)
		delay_us(1);
	outb(PORT_KBD, KBD_PULSE_RESET);
	delay_us(20000);
}

void platform_reset(void)
{
	struct {
		u16 limit;
		u64 base;
	} __packed no_idt = {0, 0};

	irq_disable();
	reset_by_acpi();
	reset_by_pch();
	reset_by_keyboard();
	__asm__ volatile("lidt %0; int3" : : "m"(no_idt));
	for (;;)
		__asm__ volatile("hlt");
}
