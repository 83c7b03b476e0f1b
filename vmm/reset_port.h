/*
 * The ports of a PC that reset it: the keyboard controller's command port 0x64 (without the
 * controller: its status reads 0xff) and system control port A, 0x92. The third, 0xcf9, lies inside
 * PCI's ports.
 */
#pragma once

#include "vmm/device.h"

/* offsets in the register space */
enum reset_port_reg {
	RESET_KBC = 0,	  /* port 0x64 */
	RESET_PORT_A = 1, /* port 0x92 */
};

struct reset_port {
	struct device dev;
	u8 port_a;
};

void reset_port_init(struct reset_port *r, struct platform *plat);
