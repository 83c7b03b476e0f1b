/* PCI configuration space of segment 0, by the ports of configuration mechanism 1. */
#pragma once

/*
 * DMA is denied by default: clears bus mastering on every function but bridges. Every bus number is tried,
 * since root buses that no bridge leads to exist. No frame buffer is in use, so none is excepted. Boot CPU, at start.
 */
void pci_quiesce(void);
