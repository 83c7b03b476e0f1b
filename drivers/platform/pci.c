#include "drivers/platform/pci.h"

#include "hv/up.h"
#include "hv/x86.h"

/* PCI Local Bus 3.0, 3.2.2.3.2 and 6.1 */
#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA 0xcfc
#define CONFIG_ENABLE (1u << 31)

#define PCI_VENDOR 0x00
#define PCI_COMMAND 0x04 /* and status above it, whose bits are cleared by writing 1 */
#define PCI_CLASS 0x08	 /* bits 31-24 */
#define PCI_HEADER 0x0c	 /* header type in bits 23-16 */
#define PCI_BAR0 0x10
#define PCI_BARS_END 0x28
#define PCI_COMMAND_MASTER (1u << 2)
#define PCI_CLASS_DISPLAY 0x03
#define PCI_CLASS_BRIDGE 0x06
#define PCI_BAR_IO 1u
#define PCI_BAR_TYPE 6u
#define PCI_BAR_64 4u
#define PCI_HEADER_MULTI (0x80u << 16)
#define PCI_HEADER_LAYOUT (0x7fu << 16)

/* f: bus in bits 15-8, device 7-3, function 2-0. A function that is not there reads all ones. */
static u32 read32(u32 f, u32 offset)
{
	outl(CONFIG_ADDRESS, CONFIG_ENABLE | f << 8 | offset);
	return inl(CONFIG_DATA);
}

void pci_write8(u32 f, u32 offset, u8 v)
{
	outl(CONFIG_ADDRESS, CONFIG_ENABLE | f << 8 | (offset & ~3u));
	outb((u16)(CONFIG_DATA + (offset & 3)), v);
}

/*
 * Is the screen in memory of this function? A BAR tells its size only while it is moved, so what
 * lies this close above its address is taken to be inside; VGA text may be any display's.
 */
static bool shows(u32 f, hpa_t screen)
{
	if (read32(f, PCI_CLASS) >> 24 != PCI_CLASS_DISPLAY)
		return false;
	for (u32 bar = PCI_BAR0; bar < PCI_BARS_END; bar += 4) {
		u64 low = read32(f, bar), base = low & ~0xfull;

		if (low & PCI_BAR_IO)
			continue;
		if ((low & PCI_BAR_TYPE) == PCI_BAR_64)
			base |= (u64)read32(f, bar += 4) << 32;
		if (base && (screen.v - 1 < MiB(1) || screen.v - base < MiB(256)))
			return true;
	}
	return false;
}

/* True: it was a bus master and is none any more. */
static bool quiesce(u32 f, hpa_t screen)
{
	u32 command = read32(f, PCI_COMMAND);

	if (read32(f, PCI_CLASS) >> 24 == PCI_CLASS_BRIDGE ||
	    read32(f, PCI_HEADER) & PCI_HEADER_LAYOUT || !(command & PCI_COMMAND_MASTER) ||
	    shows(f, screen))
		return false;
	pci_write8(f, PCI_COMMAND, (u8)(command & ~PCI_COMMAND_MASTER));
	if (read32(f, PCI_COMMAND) & PCI_COMMAND_MASTER)
		log_error("pci: %02x:%02x.%u stays a bus master; it can reach all memory", f >> 8,
			  f >> 3 & 31, f & 7);
	return true;
}

void pci_quiesce(hpa_t screen)
{
	u32 functions = 0, masters = 0;

	for (u32 slot = 0; slot < 1u << 16; slot += 8) {
		u32 count = read32(slot, PCI_VENDOR) == ~0u		  ? 0
			    : read32(slot, PCI_HEADER) & PCI_HEADER_MULTI ? 8
									  : 1;

		for (u32 f = slot; f < slot + count; f++) {
			if (read32(f, PCI_VENDOR) == ~0u)
				continue;
			functions++;
			masters += quiesce(f, screen);
		}
	}
	log_info("pci: %u functions, bus mastering cleared on %u", functions, masters);
}
