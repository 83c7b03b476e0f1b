#include "vmm/cpu_hotplug.h"

#include "vmm/state.h"

/* Registers, little-endian; SELECTOR reads as DATA2. */
enum reg { SELECTOR = 0, FLAGS = 4, COMMAND = 5, DATA = 8 };
/* clang-format off */
enum flag {
	FLAG_HERE = 1 << 0,    /* read */
	FLAG_CAME = 1 << 1,    /* write: the guest knows */
	FLAG_MUST_GO = 1 << 2, /* write: the guest knows */
	FLAG_EJECT = 1 << 3,   /* write */
};
/* clang-format on */
enum command { CMD_NEXT_EVENT, CMD_OST_EVENT, CMD_OST_STATUS, CMD_CPU_ID };

/* ACPI 6.4, 6.3.5 "_OST (OSPM Status Indication)" */
enum ost {
	OST_EJECT_REQUEST = 3,
	OST_EJECT_BY_GUEST = 0x103,
	OST_SUCCESS = 0,
	OST_EJECT_IN_PROGRESS = 0x84,
};

/* The selected CPU's bit; 0: the machine has none of that number, and the registers are dead. */
static u64 selected(const struct cpu_hotplug *h)
{
	return h->selector < 64 ? BIT(h->selector) & h->possible : 0;
}

static u32 flags_read(const struct cpu_hotplug *h, u64 cpu)
{
	return (h->here & cpu ? FLAG_HERE : 0) | (h->came & cpu ? FLAG_CAME : 0) |
	       (h->must_go & cpu ? FLAG_MUST_GO : 0);
}

/* Registers are read as a whole; what is reserved reads 0. */
static u64 hotplug_read(struct device *d, u64 offset, u32 size)
{
	struct cpu_hotplug *h = container_of(d, struct cpu_hotplug, dev);
	u64 cpu = selected(h);

	if (!cpu)
		return 0;
	if (offset == FLAGS)
		return flags_read(h, cpu);
	if (offset == DATA && (h->command == CMD_NEXT_EVENT || h->command == CMD_CPU_ID))
		return h->selector; /* which is its APIC id too: its upper half, in DATA2, is 0 */
	return 0;
}

static void eject(struct cpu_hotplug *h, u64 cpu)
{
	if (!(h->here & cpu & ~BIT(0)))
		return;
	h->here &= ~cpu;
	h->came &= ~cpu;
	h->must_go &= ~cpu;
	h->asked &= ~cpu;
	h->dev.plat->ops->cpu_answer(h->dev.plat, h->selector, OST_SUCCESS);
}

static void flags_write(struct cpu_hotplug *h, u64 cpu, u64 value)
{
	if (value & FLAG_CAME)
		h->came &= ~cpu;
	else if (value & FLAG_MUST_GO)
		h->must_go &= ~cpu;
	else if (value & FLAG_EJECT)
		eject(h, cpu);
}

/* What the guest says about a request. That it won't part with the CPU ends the request. */
static void ost_status(struct cpu_hotplug *h, u64 cpu, u32 status)
{
	if (h->ost_event != OST_EJECT_REQUEST && h->ost_event != OST_EJECT_BY_GUEST)
		return;
	if (!(h->asked & h->here & cpu) || status == OST_SUCCESS || status == OST_EJECT_IN_PROGRESS)
		return;
	h->asked &= ~cpu;
	h->must_go &= ~cpu;
	h->dev.plat->ops->cpu_answer(h->dev.plat, h->selector, status);
}

/* The next CPU with an event is looked for from `cpu`, the selected one, and then from 0. */
static void command_write(struct cpu_hotplug *h, u64 cpu, u8 command)
{
	u64 events = (h->came | h->must_go) & h->possible, behind = events & ~(cpu - 1);

	h->command = command;
	if (command == CMD_NEXT_EVENT && events)
		h->selector = (u32)__builtin_ctzll(behind ? behind : events);
}

static void hotplug_write(struct device *d, u64 offset, u32 size, u64 value)
{
	struct cpu_hotplug *h = container_of(d, struct cpu_hotplug, dev);
	u64 cpu = selected(h);

	if (offset == SELECTOR && size == 4)
		h->selector = (u32)value;
	else if (!cpu)
		return;
	else if (offset == FLAGS && size == 1)
		flags_write(h, cpu, value);
	else if (offset == COMMAND && size == 1)
		command_write(h, cpu, (u8)value);
	else if (offset == DATA && size == 4 && h->command == CMD_OST_EVENT)
		h->ost_event = (u32)value;
	else if (offset == DATA && size == 4 && h->command == CMD_OST_STATUS)
		ost_status(h, cpu, (u32)value);
}

void cpu_hotplug_insert(struct cpu_hotplug *h, u32 cpu)
{
	rt_lock(&h->dev.lock);
	h->here |= BIT(cpu);
	h->came |= BIT(cpu);
	h->must_go |= h->asked & BIT(cpu);
	rt_unlock(&h->dev.lock);
}

void cpu_hotplug_ask(struct cpu_hotplug *h, u64 cpus)
{
	rt_lock(&h->dev.lock);
	h->asked = cpus & h->possible & ~BIT(0);
	h->must_go = h->asked & h->here;
	rt_unlock(&h->dev.lock);
}

static void hotplug_reset(struct device *d)
{
	struct cpu_hotplug *h = container_of(d, struct cpu_hotplug, dev);

	h->here = h->boot;
	h->came = h->must_go = h->asked = 0;
	h->selector = h->ost_event = 0;
	h->command = CMD_NEXT_EVENT;
}

static void hotplug_restored(struct device *d)
{
	struct cpu_hotplug *h = container_of(d, struct cpu_hotplug, dev);

	h->here = (h->here & h->possible) | BIT(0);
	h->came &= h->here;
	h->must_go &= h->here & ~BIT(0);
	h->asked &= h->possible & ~BIT(0);
}

static const struct state_field hotplug_fields[] = {
	STATE_FIELD(struct cpu_hotplug, here, 1),     STATE_FIELD(struct cpu_hotplug, came, 1),
	STATE_FIELD(struct cpu_hotplug, must_go, 1),  STATE_FIELD(struct cpu_hotplug, asked, 1),
	STATE_FIELD(struct cpu_hotplug, selector, 1), STATE_FIELD(struct cpu_hotplug, ost_event, 1),
	STATE_FIELD(struct cpu_hotplug, command, 1),
};

static const struct dev_ops hotplug_ops = {
	.name = "cpu-hotplug",
	.version = 1,
	.max_size = 4,
	.read = hotplug_read,
	.write = hotplug_write,
	.reset = hotplug_reset,
	.restored = hotplug_restored,
	.fields = hotplug_fields,
	.field_count = ARRAY_SIZE(hotplug_fields),
};

void cpu_hotplug_init(struct cpu_hotplug *h, struct platform *plat, u32 boot, u32 possible)
{
	h->boot = ~0ull >> (64 - boot);
	h->possible = ~0ull >> (64 - possible);
	device_init(&h->dev, &hotplug_ops, plat);
}
