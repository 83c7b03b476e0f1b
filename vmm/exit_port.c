#include "vmm/exit_port.h"

static u64 exit_port_read(struct device *d, u64 offset, u32 size) { return 0; }

static void exit_port_write(struct device *d, u64 offset, u32 size, u64 value)
{
	if (!offset)
		dev_end(d, VM_REASON_EXIT_PORT, (u32)value);
}

static void exit_port_reset(struct device *d) {}

static const struct dev_ops exit_port_ops = {
	.name = "exit-port",
	.version = 1,
	.max_size = 4,
	.read = exit_port_read,
	.write = exit_port_write,
	.reset = exit_port_reset,
};

void exit_port_init(struct exit_port *e, struct platform *plat)
{
	device_init(&e->dev, &exit_port_ops, plat);
}
