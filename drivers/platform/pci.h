/* PCI configuration space of segment 0, by the ports of configuration mechanism 1: the first 256 bytes. */
#pragma once

#include "lib/types.h"

struct pci_bdf {
	u8 bus, device, function;
};

/* offset a multiple of the width (1, 2, 4), below 256. A function that is not there reads all ones. */
u32 pci_read(struct pci_bdf f, u32 offset, u32 width);
void pci_write(struct pci_bdf f, u32 offset, u32 width, u32 value);

/*
 * DMA is denied by default: clears bus mastering on every function but bridges. Every bus number is tried,
 * since root buses that no bridge leads to exist. No frame buffer is in use, so none is excepted.
 */
void pci_quiesce(void);
