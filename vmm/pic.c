#include "vmm/pic.h"

#include "arch/apic.h"
#include "lib/string.h"
#include "vmm/state.h"

enum icw1 { ICW1_IC4 = 0x01, ICW1_INIT = 0x10 };
enum icw4 { ICW4_AEOI = 0x02, ICW4_SFNM = 0x10 };
enum ocw2 { OCW2_EOI = 0x20, OCW2_SPECIFIC = 0x40, OCW2_ROTATE = 0x80 };
/* clang-format off */
enum ocw3 {
	OCW3_SELECT = 0x08, OCW3_POLL = 0x04, OCW3_READ = 0x02, OCW3_ISR = 0x01,
	OCW3_SMM_SET = 0x40, OCW3_SMM = 0x20,
};
/* clang-format on */

#define CASCADE 2
/*
 * Edges only: timer, keyboard, cascade; RTC and FPU on the slave (Intel ICH9 data sheet, ELCR1 and
 * ELCR2).
 */
static const u8 elcr_writable[2] = {0xf8, 0xde};

/* The pin of the highest priority among `bits`, or -1. */
static s32 highest(const struct pic_chip *c, u8 bits)
{
	for (u32 i = 0; i < 8; i++) {
		u32 pin = (c->priority + i) & 7;

		if (bits & (1u << pin))
			return (s32)pin;
	}
	return -1;
}

/* How urgent a pin is: 0 first; 8 for none. */
static u32 rank(const struct pic_chip *c, s32 pin)
{
	return pin < 0 ? 8 : ((u32)pin - c->priority) & 7;
}

/* The pin that the chip would have served now, or -1. */
static s32 request(const struct pic *p, u32 n)
{
	const struct pic_chip *c = &p->chip[n];
	u8 serving = c->isr;
	s32 pin = highest(c, c->irr & (u8)~c->imr);

	if (c->special_mask)
		serving &= (u8)~c->imr;
	/* In special fully nested mode the slave may ask again while it is served. */
	if (!n && c->special_nested && pin == CASCADE)
		serving &= (u8) ~(1u << CASCADE);
	return rank(c, pin) < rank(c, highest(c, serving)) ? pin : -1;
}

static void chip_pin(struct pic_chip *c, u32 pin, bool up)
{
	u8 bit = (u8)(1u << pin);

	if (c->elcr & bit)
		c->irr = up ? c->irr | bit : c->irr & (u8)~bit;
	else if (up && !(c->level & bit))
		c->irr |= bit;
	c->level = up ? c->level | bit : c->level & (u8)~bit;
}

/* Follows a change through the cascade to the output. */
static void update(struct pic *p)
{
	bool slave = request(p, 1) >= 0, was = p->intr;

	/*
	 * The cascade follows the slave's output: it must fall with it, or a masked request would
	 * be served.
	 */
	if (slave)
		p->chip[0].irr |= 1u << CASCADE;
	else
		p->chip[0].irr &= (u8) ~(1u << CASCADE);
	p->intr = request(p, 0) >= 0;
	if (p->intr && !was)
		dev_msi(&p->dev, MSI_ADDR_BASE, APIC_DM_EXTINT << 8);
}

void pic_set(struct pic *p, u32 irq, bool up)
{
	chip_pin(&p->chip[irq >> 3 & 1], irq & 7, up);
	update(p);
}

static void accept(struct pic_chip *c, u32 pin)
{
	u8 bit = (u8)(1u << pin);

	if (!(c->elcr & bit))
		c->irr &= (u8)~bit;
	if (!c->auto_eoi)
		c->isr |= bit;
	else if (c->rotate_auto_eoi)
		c->priority = (pin + 1) & 7;
}

s32 pic_ack(struct pic *p)
{
	s32 pin = request(p, 0);
	u8 vector;

	if (pin < 0)
		return -1;
	accept(&p->chip[0], (u32)pin);
	vector = p->chip[0].base + (u8)pin;
	if (pin == CASCADE) {
		s32 sub = request(p, 1);

		/*
		 * The request went away between the two acknowledges: the data sheet's spurious
		 * IR7.
		 */
		vector = p->chip[1].base + (sub < 0 ? 7 : (u8)sub);
		if (sub >= 0)
			accept(&p->chip[1], (u32)sub);
	}
	/* The output falls with the acknowledge and rises again for the next request. */
	p->intr = 0;
	update(p);
	return vector;
}

static void chip_init(struct pic_chip *c)
{
	u8 level = c->level, elcr = c->elcr;

	memset(c, 0, sizeof(*c));
	c->level = level;
	c->elcr = elcr;
	c->irr = level & elcr;
}

static void command_eoi(struct pic_chip *c, u8 v)
{
	s32 pin = v & OCW2_SPECIFIC ? v & 7 : highest(c, c->isr);

	if (!(v & OCW2_EOI)) {
		if (v & OCW2_SPECIFIC && v & OCW2_ROTATE)
			c->priority = (v + 1) & 7;
		else if (!(v & OCW2_SPECIFIC))
			c->rotate_auto_eoi = !!(v & OCW2_ROTATE);
		return;
	}
	if (pin < 0)
		return;
	c->isr &= (u8) ~(1u << pin);
	if (v & OCW2_ROTATE)
		c->priority = (u8)(pin + 1) & 7;
}

static void command(struct pic_chip *c, u8 v)
{
	if (v & ICW1_INIT) {
		chip_init(c);
		c->init_state = 2;
		c->need_icw4 = v & ICW1_IC4;
	} else if (v & OCW3_SELECT) {
		if (v & OCW3_POLL)
			c->poll = 1;
		if (v & OCW3_READ)
			c->read_isr = v & OCW3_ISR;
		if (v & OCW3_SMM_SET)
			c->special_mask = !!(v & OCW3_SMM);
	} else {
		command_eoi(c, v);
	}
}

static void data(struct pic_chip *c, u8 v)
{
	switch (c->init_state) {
	case 2:
		c->base = v & 0xf8;
		c->init_state = 3;
		break;
	case 3: /* the cascade is wired, not programmed */
		c->init_state = c->need_icw4 ? 4 : 0;
		break;
	case 4:
		c->auto_eoi = !!(v & ICW4_AEOI);
		c->special_nested = !!(v & ICW4_SFNM);
		c->init_state = 0;
		break;
	default: c->imr = v;
	}
}

static void pic_write(struct device *d, u64 offset, u32 size, u64 value)
{
	struct pic *p = container_of(d, struct pic, dev);
	struct pic_chip *c = &p->chip[offset >> 1 & 1];

	if (offset >= PIC_ELCR) {
		c = &p->chip[offset & 1];
		c->elcr = (u8)value & elcr_writable[offset & 1];
	} else if (offset & 1) {
		data(c, (u8)value);
	} else {
		command(c, (u8)value);
	}
	update(p);
}

static u64 pic_read(struct device *d, u64 offset, u32 size)
{
	struct pic *p = container_of(d, struct pic, dev);
	u32 n = offset >> 1 & 1;
	struct pic_chip *c = &p->chip[n];

	if (offset >= PIC_ELCR)
		return p->chip[offset & 1].elcr;
	if (c->poll) { /* a poll is an acknowledge by software */
		s32 pin = request(p, n);

		c->poll = 0;
		if (pin < 0)
			return 0;
		accept(c, (u32)pin);
		update(p);
		return 0x80 | (u8)pin;
	}
	if (offset & 1)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

static void pic_reset(struct device *d)
{
	struct pic *p = container_of(d, struct pic, dev);

	memset(p->chip, 0, sizeof(p->chip));
	p->intr = 0;
	/*
	 * As firmware leaves them: masked, at the usual vectors, the SCI (IRQ 9) level-triggered.
	 */
	p->chip[0].imr = p->chip[1].imr = 0xff;
	p->chip[0].base = 0x08;
	p->chip[1].base = 0x70;
	p->chip[1].elcr = 1u << (9 - 8);
}

#define CHIP(n, m) STATE_FIELD(struct pic, chip[n].m, 1)
#define CHIP_FIELDS(n)                                                                             \
	CHIP(n, irr), CHIP(n, imr), CHIP(n, isr), CHIP(n, level), CHIP(n, elcr), CHIP(n, base),    \
		CHIP(n, priority), CHIP(n, init_state), CHIP(n, need_icw4), CHIP(n, auto_eoi),     \
		CHIP(n, rotate_auto_eoi), CHIP(n, special_mask), CHIP(n, special_nested),          \
		CHIP(n, read_isr), CHIP(n, poll)
static const struct state_field pic_fields[] = {
	CHIP_FIELDS(0),
	CHIP_FIELDS(1),
	STATE_FIELD(struct pic, intr, 1),
};

static const struct dev_ops pic_ops = {
	.name = "pic",
	.version = 1,
	.max_size = 1,
	.read = pic_read,
	.write = pic_write,
	.reset = pic_reset,
	.fields = pic_fields,
	.field_count = ARRAY_SIZE(pic_fields),
};

void pic_init(struct pic *p, struct platform *plat) { device_init(&p->dev, &pic_ops, plat); }
