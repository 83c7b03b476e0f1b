#include "vmm/reset_port.h"

#include "vmm/state.h"

enum kbc_command { KBC_PULSE_RESET = 0xfe };
enum port_a { PORT_A_RESET = 0x01, PORT_A_A20 = 0x02 };

static u64 reset_port_read(struct device *d, u64 offset, u32 size)
{
	struct reset_port *r = container_of(d, struct reset_port, dev);

	return offset == RESET_KBC ? 0xff : r->port_a;
}

static void reset_port_write(struct device *d, u64 offset, u32 size, u64 value)
{
	struct reset_port *r = container_of(d, struct reset_port, dev);
	bool reset = value == KBC_PULSE_RESET;

	if (offset == RESET_PORT_A) {
		reset = value & PORT_A_RESET;
		/* Address line 20 is never masked: the bit is kept, without effect. */
		r->port_a = value & PORT_A_A20;
	}
	if (reset)
		dev_end(d, VM_REASON_RESET, VM_STATUS_RESET);
}

static void reset_port_reset(struct device *d)
{
	container_of(d, struct reset_port, dev)->port_a = PORT_A_A20;
}

static const struct state_field reset_port_fields[] = {
	STATE_FIELD(struct reset_port, port_a, 1),
};

static const struct dev_ops reset_port_ops = {
	.name = "reset-port",
	.version = 1,
	.max_size = 1,
	.read = reset_port_read,
	.write = reset_port_write,
	.reset = reset_port_reset,
	.fields = reset_port_fields,
	.field_count = ARRAY_SIZE(reset_port_fields),
};

void reset_port_init(struct reset_port *r, struct platform *plat)
{
	device_init(&r->dev, &reset_port_ops, plat);
}
