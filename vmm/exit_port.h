/* Port 0xf4, as QEMU's isa-debug-exit: the value written is the status that the VM ends with. */
#pragma once

#include "vmm/device.h"

#define EXIT_PORT_BASE 0xf4u
#define EXIT_PORT_BYTES 4u

struct exit_port {
	struct device dev;
};

void exit_port_init(struct exit_port *e, struct platform *plat);
