#include "vmm/pci.h"

#include "lib/string.h"
#include "vmm/state.h"

/* Offsets among the ports */
enum pci_port { CONFIG_ADDRESS = 0, RESET_CONTROL = 1, CONFIG_DATA = 4 };
#define ADDRESS_ENABLE (1u << 31)
#define ADDRESS_WRITABLE 0x80fffffcu
enum reset_control { RESET_SYSTEM = 0x02, RESET_CPU = 0x04, RESET_FULL = 0x08 };

/* Configuration header, type 0 */
/* clang-format off */
enum pci_header {
	PCI_VENDOR = 0x00, PCI_DEVICE = 0x02, PCI_COMMAND = 0x04, PCI_REVISION = 0x08,
	PCI_CLASS = 0x0a, PCI_CACHE_LINE = 0x0c, PCI_SUBSYSTEM_VENDOR = 0x2c, PCI_SUBSYSTEM = 0x2e,
};
/* clang-format on */
/* The host bridge of Intel's 3 Series chip set, as on a q35 board */
/* clang-format off */
enum host_bridge {
	MCH_VENDOR = 0x8086, MCH_DEVICE = 0x29c0, MCH_REVISION = 2, CLASS_HOST_BRIDGE = 0x0600,
	MCH_SUBSYSTEM_VENDOR = 0x1af4, MCH_SUBSYSTEM = 0x1100,
};
/* clang-format on */

static void put16(u8 *config, u32 offset, u32 v)
{
	config[offset] = (u8)v;
	config[offset + 1] = (u8)(v >> 8);
}

static void host_bridge_init(struct pci_function *f)
{
	memset(f, 0, sizeof(*f));
	put16(f->config, PCI_VENDOR, MCH_VENDOR);
	put16(f->config, PCI_DEVICE, MCH_DEVICE);
	f->config[PCI_REVISION] = MCH_REVISION;
	put16(f->config, PCI_CLASS, CLASS_HOST_BRIDGE);
	put16(f->config, PCI_SUBSYSTEM_VENDOR, MCH_SUBSYSTEM_VENDOR);
	put16(f->config, PCI_SUBSYSTEM, MCH_SUBSYSTEM);
	f->writable[PCI_CACHE_LINE] = 0xff;
}

/* The function that CONFIG_ADDRESS names, or NULL. */
static struct pci_function *selected(struct pci *p)
{
	if (!(p->address & ADDRESS_ENABLE) || p->address >> 16 & 0xff)
		return NULL;
	for (u32 i = 0; i < p->functions; i++)
		if (p->function[i].devfn == (u8)(p->address >> 8))
			return &p->function[i];
	return NULL;
}

static u64 pci_read(struct device *d, u64 offset, u32 size)
{
	struct pci *p = container_of(d, struct pci, dev);
	struct pci_function *f = selected(p);
	u32 reg = (p->address & 0xfc) + (u32)(offset & 3), v = 0;

	if (offset == CONFIG_ADDRESS && size == 4)
		return p->address;
	if (offset == RESET_CONTROL && size == 1)
		return p->reset_control;
	if (offset < CONFIG_DATA || !f)
		return ~0ull;
	for (u32 i = 0; i < size && reg + i < sizeof(f->config); i++)
		v |= (u32)f->config[reg + i] << i * 8;
	return v;
}

static void reset_write(struct pci *p, u8 v)
{
	bool rise = v & RESET_CPU && !(p->reset_control & RESET_CPU);

	p->reset_control = v & (RESET_SYSTEM | RESET_CPU | RESET_FULL);
	if (rise)
		dev_end(&p->dev, VM_REASON_RESET, VM_STATUS_RESET);
}

static void pci_write(struct device *d, u64 offset, u32 size, u64 value)
{
	struct pci *p = container_of(d, struct pci, dev);
	struct pci_function *f = selected(p);
	u32 reg = (p->address & 0xfc) + (u32)(offset & 3);

	if (offset == CONFIG_ADDRESS && size == 4)
		p->address = (u32)value & ADDRESS_WRITABLE;
	else if (offset == RESET_CONTROL && size == 1)
		reset_write(p, (u8)value);
	if (offset < CONFIG_DATA || !f)
		return;
	for (u32 i = 0; i < size && reg + i < sizeof(f->config); i++) {
		u8 w = f->writable[reg + i];

		f->config[reg + i] = (u8)((f->config[reg + i] & ~w) | (value >> i * 8 & w));
	}
}

static void pci_reset(struct device *d)
{
	struct pci *p = container_of(d, struct pci, dev);

	p->address = 0;
	p->reset_control = 0;
	p->functions = 1;
	host_bridge_init(&p->function[0]);
}

static const struct state_field pci_fields[] = {
	STATE_FIELD(struct pci, address, 1),
	STATE_FIELD(struct pci, reset_control, 1),
	STATE_ARRAY(struct pci, function[0].config, 1),
};

static const struct dev_ops pci_ops = {
	.name = "pci",
	.version = 1,
	.max_size = 4,
	.read = pci_read,
	.write = pci_write,
	.reset = pci_reset,
	.fields = pci_fields,
	.field_count = ARRAY_SIZE(pci_fields),
};

void pci_init(struct pci *p, struct platform *plat) { device_init(&p->dev, &pci_ops, plat); }
