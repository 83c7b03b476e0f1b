/*
 * PCI bus 0 with its host bridge, by configuration mechanism 1 (PCI Local Bus 3.0, 3.2.2.3.2), and
 * the reset control register 0xcf9 that lies among its ports. There is no memory-mapped
 * configuration space.
 */
#pragma once

#include "vmm/device.h"

#define PCI_PORT_BASE 0xcf8u
#define PCI_PORT_BYTES 8u
#define PCI_FUNCTIONS 8u

struct pci_function {
	u8 devfn; /* [I] device << 3 | function */
	u8 config[256];
	u8 writable[256]; /* [I] bits that the guest may change */
};

struct pci {
	struct device dev;
	u32 address; /* CONFIG_ADDRESS */
	u8 reset_control;
	struct pci_function function[PCI_FUNCTIONS];
	u32 functions; /* [I] */
};

void pci_init(struct pci *p, struct platform *plat);
