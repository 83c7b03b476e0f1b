#include "drivers/platform/pci.h"

#include "hv/lock.h"
#include "hv/up.h"
#include "hv/x86.h"

/* PCI Local Bus 3.0, 3.2.2.3.2 and 6.1 */
#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc
#define CONFIG_ENABLE (1u << 31)

#define PCI_VENDOR 0x00
#define PCI_COMMAND 0x04
#define PCI_CLASS 0x0b
#define PCI_HEADER_TYPE 0x0e
#define PCI_COMMAND_MASTER (1u << 2)
#define PCI_CLASS_BRIDGE 0x06
#define PCI_HEADER_MULTI 0x80
#define PCI_HEADER_LAYOUT 0x7f

static spinlock_t lock; /* of the address port */

static u16 select(struct pci_bdf f, u32 offset)
{
	outl(CONFIG_ADDRESS, CONFIG_ENABLE | (u32)f.bus << 16 | (f.device & 31u) << 11 |
				     (f.function & 7u) << 8 | (offset & 0xfc));
	return (u16)(CONFIG_DATA + (offset & 3));
}

u32 pci_read(struct pci_bdf f, u32 offset, u32 width)
{
	u32 v;

	spin_lock(&lock);
	u16 port = select(f, offset);

	v = width == 1 ? inb(port) : width == 2 ? inw(port) : inl(port);
	spin_unlock(&lock);
	return v;
}

void pci_write(struct pci_bdf f, u32 offset, u32 width, u32 value)
{
	spin_lock(&lock);
	u16 port = select(f, offset);

	if (width == 1)
		outb(port, (u8)value);
	else if (width == 2)
		outw(port, (u16)value);
	else
		outl(port, value);
	spin_unlock(&lock);
}

/* True: it was a bus master and is none any more. */
static bool quiesce(struct pci_bdf f)
{
	u32 command = pci_read(f, PCI_COMMAND, 2);

	if (pci_read(f, PCI_CLASS, 1) == PCI_CLASS_BRIDGE ||
	    (pci_read(f, PCI_HEADER_TYPE, 1) & PCI_HEADER_LAYOUT) != 0 || !(command & PCI_COMMAND_MASTER))
		return false;
	pci_write(f, PCI_COMMAND, 2, command & ~PCI_COMMAND_MASTER);
	if (pci_read(f, PCI_COMMAND, 2) & PCI_COMMAND_MASTER)
		log_error("pci: %02x:%02x.%u stays a bus master; it can reach all memory", f.bus, f.device,
			  f.function);
	return true;
}

void pci_quiesce(void)
{
	u32 functions = 0, masters = 0;

	for (u32 slot = 0; slot < 256 * 32; slot++) {
		struct pci_bdf f = {(u8)(slot / 32), slot % 32, 0};
		u32 count = 1;

		for (; f.function < count; f.function++) {
			if (pci_read(f, PCI_VENDOR, 4) == ~0u)
				continue;
			if (f.function == 0 && pci_read(f, PCI_HEADER_TYPE, 1) & PCI_HEADER_MULTI)
				count = 8;
			functions++;
			masters += quiesce(f);
		}
	}
	log_info("pci: %u functions, bus mastering cleared on %u", functions, masters);
}
