/* Power-off and reset. */
#include "drivers/platform/acpi.h"
#include "drivers/platform/pci.h"
#include "hv/x86.h"
#include "mm/pt.h"

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
	for (u32 i = 0; i < ARRAY_SIZE(acpi_facts.power); i++) {
		struct acpi_gas *g = &acpi_facts.power[i];

		if (!g->address || g->space != ACPI_SPACE_MEMORY)
			continue;
		g->mapped = acpi_map(hpa(g->address), 4, PT_R | PT_W | PT_UNCACHED);
		g->address = g->mapped ? g->address : 0;
	}
}

static void reg_write(const struct acpi_gas *g, u16 v, u32 bytes)
{
	if (g->space == ACPI_SPACE_PCI)
		pci_write8((u32)(g->address >> 29) + (u32)(g->address >> 16 & 7), g->address & 0xff,
			   (u8)v);
	else if (g->mapped && bytes == 2)
		*(volatile u16 *)g->mapped = v;
	else if (g->mapped)
		*(volatile u8 *)g->mapped = (u8)v;
	else if (bytes == 2)
		outw((u16)g->address, v);
	else
		outb((u16)g->address, (u8)v);
}

int power_access(struct sys_power *p)
{
	bool pm1 = p->reg <= POWER_PM1B;
	const struct acpi_gas *g;

	if (p->reg >= POWER_REGS)
		return -E_INVAL;
	g = &acpi_facts.power[p->reg];
	if (!g->address)
		return -E_NODEV;
	if (p->write) /* no other command goes to the SMI handler */
		reg_write(g, (u16)(p->reg == POWER_ACPI_ENABLE ? acpi_facts.acpi_enable : p->value),
			  pm1 ? 2 : 1);
	else if (pm1)
		p->value = g->mapped ? *(volatile u16 *)g->mapped : inw((u16)g->address);
	else
		p->value = 0;
	return 0;
}

static void reset_by(enum reset_method method)
{
	static const struct table_register no_idt;

	switch (method) {
	case RESET_ACPI: reg_write(&acpi_facts.power[REG_RESET], acpi_facts.reset_value, 1); break;
	case RESET_PCI:
		outb(PORT_RESET, 0x02);
		delay_us(10);
		outb(PORT_RESET, 0x06); /* hard reset of system and CPU */
		break;
	case RESET_KBD:
		for (u32 i = 0; i < KBD_WAITS && inb(PORT_KBD) & KBD_BUSY; i++)
			delay_us(10);
		outb(PORT_KBD, KBD_PULSE_RESET);
		break;
	default: __asm__ volatile("lidt %0; int3" : : "m"(no_idt));
	}
}

void platform_reset(enum reset_method first, void (*say)(const char *line))
{
	static const char *const line[RESET_METHODS] = {
		[RESET_ACPI] = "reset: by the ACPI reset register",
		[RESET_PCI] = "reset: by port 0xcf9",
		[RESET_KBD] = "reset: by the keyboard controller",
		[RESET_TRIPLE] = "reset: by a triple fault",
	};

	irq_disable();
	for (u32 i = 0;; i++) {
		enum reset_method method = i ? (i - 1) % RESET_METHODS : first;

		if (method == RESET_ACPI && !acpi_facts.power[REG_RESET].address)
			continue;
		say(line[method]);
		reset_by(method);
		delay_us(20000);
	}
}
