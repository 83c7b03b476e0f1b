#include "vmm/ioapic.h"

#include "arch/apic.h"
#include "lib/string.h"
#include "vmm/state.h"

/* Memory-mapped registers */
enum window { IOREGSEL = 0x00, IOWIN = 0x10, IOEOIR = 0x40 };
/* Registers behind the window */
enum { IOAPICID = 0x00, IOAPICVER = 0x01, IOAPICARB = 0x02, IOREDTBL = 0x10 };
/* Redirection entry */
#define RTE_VECTOR 0xffull
#define RTE_DELIVERY (7ull << 8)
#define RTE_LOWEST (1ull << 8)
#define RTE_LOGICAL BIT(11)
#define RTE_STATUS BIT(12)     /* read-only */
#define RTE_POLARITY BIT(13)   /* lines are levels here: stored, without effect */
#define RTE_REMOTE_IRR BIT(14) /* read-only */
#define RTE_LEVEL BIT(15)
#define RTE_MASKED BIT(16)
#define RTE_DEST_SHIFT 56
#define RTE_WRITABLE                                                                               \
	(RTE_VECTOR | RTE_DELIVERY | RTE_LOGICAL | RTE_POLARITY | RTE_LEVEL | RTE_MASKED |         \
	 0xffull << RTE_DEST_SHIFT)

/* Other modes than fixed and lowest priority are edges whatever bit 15 says: they have no end. */
static bool is_level(u64 e) { return e & RTE_LEVEL && (e & RTE_DELIVERY) <= RTE_LOWEST; }

static void send(struct ioapic *a, u32 pin)
{
	u64 e = a->entry[pin];
	u64 address = MSI_ADDR_BASE | (e >> RTE_DEST_SHIFT) << 12;
	u32 data = (u32)(e & (RTE_VECTOR | RTE_DELIVERY));

	if (e & RTE_LOGICAL)
		address |= MSI_ADDR_LOGICAL;
	if (is_level(e)) {
		data |= MSI_DATA_LEVEL | APIC_ICR_ASSERT;
		a->entry[pin] |= RTE_REMOTE_IRR;
	}
	dev_msi(&a->dev, address, data);
}

/* A level-triggered pin asks once until its end of interrupt. */
static void send_level(struct ioapic *a, u32 pin)
{
	u64 e = a->entry[pin];

	if (is_level(e) && !(e & (RTE_MASKED | RTE_REMOTE_IRR)) && a->level & BIT(pin))
		send(a, pin);
}

void ioapic_set(struct ioapic *a, u32 pin, bool up)
{
	u32 bit = 1u << pin, was = a->level & bit;

	a->level = up ? a->level | bit : a->level & ~bit;
	/* An edge on a masked pin is lost (82093AA, "Interrupt Mask"). */
	if (is_level(a->entry[pin]))
		send_level(a, pin);
	else if (up && !was && !(a->entry[pin] & RTE_MASKED))
		send(a, pin);
}

void ioapic_eoi(struct ioapic *a, u8 vector)
{
	for (u32 pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 e = a->entry[pin];

		if (!(e & RTE_REMOTE_IRR) || (e & RTE_VECTOR) != vector)
			continue;
		a->entry[pin] &= ~RTE_REMOTE_IRR;
		send_level(a, pin);
	}
}

static u32 window_read(const struct ioapic *a)
{
	u32 n = a->select - IOREDTBL;

	switch (a->select) {
	case IOAPICID:
	case IOAPICARB: return a->id;
	case IOAPICVER: return IOAPIC_VERSION | (IOAPIC_PINS - 1) << 16;
	default: return n < IOAPIC_PINS * 2 ? (u32)(a->entry[n / 2] >> (n & 1) * 32) : 0;
	}
}

static void window_write(struct ioapic *a, u32 value)
{
	u32 n = a->select - IOREDTBL, shift = (n & 1) * 32;
	u64 *e = &a->entry[n / 2 % IOAPIC_PINS], writable = RTE_WRITABLE & 0xffffffffull << shift;

	if (a->select == IOAPICID)
		a->id = value & 0x0f000000;
	if (n >= IOAPIC_PINS * 2)
		return;
	*e = (*e & ~writable) | ((u64)value << shift & writable);
	/* Switching to edge and back is how systems clear a remote IRR that got stuck. */
	if (!is_level(*e))
		*e &= ~RTE_REMOTE_IRR;
	send_level(a, n / 2);
}

static u64 ioapic_read(struct device *d, u64 offset, u32 size)
{
	struct ioapic *a = container_of(d, struct ioapic, dev);
	u32 shift = (offset & 3) * 8;

	switch (offset & ~3ull) {
	case IOREGSEL: return (u32)a->select >> shift;
	case IOWIN: return window_read(a) >> shift;
	default: return 0;
	}
}

static void ioapic_write(struct device *d, u64 offset, u32 size, u64 value)
{
	struct ioapic *a = container_of(d, struct ioapic, dev);

	if (offset == IOREGSEL)
		a->select = (u8)value;
	else if (offset == IOWIN && size == 4) /* the data sheet allows 32-bit accesses only */
		window_write(a, (u32)value);
	else if (offset == IOEOIR)
		ioapic_eoi(a, (u8)value);
}

static void ioapic_reset(struct device *d)
{
	struct ioapic *a = container_of(d, struct ioapic, dev);

	for (u32 i = 0; i < IOAPIC_PINS; i++)
		a->entry[i] = RTE_MASKED;
	a->level = 0;
	a->id = 0;
	a->select = 0;
}

static const struct state_field ioapic_fields[] = {
	STATE_ARRAY(struct ioapic, entry, 1),
	STATE_FIELD(struct ioapic, level, 1),
	STATE_FIELD(struct ioapic, id, 1),
	STATE_FIELD(struct ioapic, select, 1),
};

static const struct dev_ops ioapic_ops = {
	.name = "ioapic",
	.version = 1,
	.max_size = 4,
	.read = ioapic_read,
	.write = ioapic_write,
	.reset = ioapic_reset,
	.fields = ioapic_fields,
	.field_count = ARRAY_SIZE(ioapic_fields),
};

void ioapic_init(struct ioapic *a, struct platform *plat)
{
	device_init(&a->dev, &ioapic_ops, plat);
}
