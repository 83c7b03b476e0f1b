#include "vmm/pit.h"

#include "lib/string.h"
#include "vmm/irq.h"
#include "vmm/state.h"

enum control { CONTROL_BCD = 0x01, CONTROL_READ_BACK = 3, RB_NO_COUNT = 0x20, RB_NO_STATUS = 0x10 };
enum status { STATUS_OUT = 0x80, STATUS_NULL = 0x40 };
/* clang-format off */
enum port61 {
	P61_GATE2 = 0x01, P61_SPEAKER = 0x02, P61_CHECKS = 0x0c, P61_REFRESH = 0x10,
	P61_OUT2 = 0x20,
};
/* clang-format on */
enum { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH };

/* edges closer than this coalesce: they would only burn the VM's own time */
#define PERIOD_MIN_NS 50000
#define REFRESH_NS 15085 /* the refresh bit toggles with channel 1's usual count of 18 */

static u64 ticks_of(u64 ns) { return mul_div(ns, PIT_HZ, NS_PER_S); }
/* Rounded up: at that time the tick has happened. */
static u64 ns_of(u64 ticks) { return mul_div(ticks, NS_PER_S, PIT_HZ) + 1; }

static bool periodic(const struct pit_channel *c) { return c->mode == 2 || c->mode == 3; }
static bool edge_triggered(const struct pit_channel *c) { return c->mode == 1 || c->mode == 5; }

/* Counting is held by a low gate, except in the modes that the gate's rising edge starts. */
static bool running(const struct pit_channel *c)
{
	return c->reload && (edge_triggered(c) ? c->triggered : c->gate);
}

static u64 elapsed(const struct pit_channel *c, u64 now)
{
	return c->counted + (running(c) ? ticks_of(now - c->start) : 0);
}

static u16 count(const struct pit_channel *c, u64 now)
{
	u64 t = elapsed(c, now);
	u32 wrap = c->bcd ? 10000 : 0x10000, n;

	if (!c->reload)
		return 0;
	if (c->mode == 3)
		n = c->reload - (u32)(t * 2 % c->reload & ~1ull);
	else if (c->mode == 2)
		n = c->reload - (u32)(t % c->reload);
	else
		n = (u32)((c->reload + wrap - t % wrap) % wrap);
	n %= wrap;
	return (u16)(c->bcd ? n / 1000 << 12 | n / 100 % 10 << 8 | n / 10 % 10 << 4 | n % 10 : n);
}

static bool output(const struct pit_channel *c, u64 now)
{
	u64 t = elapsed(c, now);

	switch (c->mode) {
	case 0: return c->reload && t >= c->reload;
	case 1: return !c->reload || !c->triggered || t >= c->reload;
	case 2: return !c->gate || !c->reload || t % c->reload != c->reload - 1;
	case 3: return !c->gate || !c->reload || t % c->reload < (c->reload + 1) / 2;
	default: return !c->reload || t != c->reload;
	}
}

/* Arms the timer for channel 0's next rising edge. Its gate is tied high. */
static void arm(struct pit *p, u64 now)
{
	const struct pit_channel *c = &p->channel[0];
	u64 t = elapsed(c, now), edge = c->reload, at;

	if (!running(c)) {
		dev_timer(&p->dev, &p->timer, VTIMER_OFF);
		return;
	}
	if (periodic(c))
		edge = (t / c->reload + 1) * c->reload;
	else if (c->mode == 4)
		edge++; /* the strobe is low for one tick */
	at = c->start + ns_of(edge);
	if (periodic(c) && at < now + PERIOD_MIN_NS)
		at = now + PERIOD_MIN_NS;
	dev_timer(&p->dev, &p->timer, t < edge ? at : VTIMER_OFF);
}

static void expired(struct device *d)
{
	struct pit *p = container_of(d, struct pit, dev);

	/*
	 * The low phase before the edge is of no interest to an edge-triggered input, however
	 * short.
	 */
	dev_line(d, IRQ_PIT, false);
	dev_line(d, IRQ_PIT, true);
	arm(p, dev_now(d));
}

static void load(struct pit *p, u32 n, u32 value)
{
	struct pit_channel *c = &p->channel[n];

	if (c->bcd)
		value = (value >> 12) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 +
			(value & 15);
	c->reload = value ? value : c->bcd ? 10000 : 0x10000;
	c->counted = 0;
	c->start = dev_now(&p->dev);
	if (n)
		return;
	dev_line(&p->dev, IRQ_PIT, c->mode != 0);
	arm(p, c->start);
}

static void latch_count(struct pit *p, struct pit_channel *c)
{
	if (c->latched)
		return; /* the first latch stands until it is read */
	c->latch = count(c, dev_now(&p->dev));
	c->latched = c->access;
}

static void read_back(struct pit *p, u8 v)
{
	for (u32 n = 0; n < 3; n++) {
		struct pit_channel *c = &p->channel[n];

		if (!(v & 2u << n))
			continue;
		if (!(v & RB_NO_COUNT))
			latch_count(p, c);
		if (v & RB_NO_STATUS || c->status_latched)
			continue;
		c->status = (u8)((output(c, dev_now(&p->dev)) ? STATUS_OUT : 0) |
				 (c->reload ? 0 : STATUS_NULL) | c->access << 4 | c->mode << 1 |
				 c->bcd);
		c->status_latched = 1;
	}
}

static void control(struct pit *p, u8 v)
{
	u32 n = v >> 6, access = v >> 4 & 3;
	struct pit_channel *c = &p->channel[n % 3];
	u8 gate = c->gate;

	if (n == CONTROL_READ_BACK) {
		read_back(p, v);
		return;
	}
	if (access == ACCESS_LATCH) {
		latch_count(p, c);
		return;
	}
	memset(c, 0, sizeof(*c));
	c->gate = gate;
	c->access = (u8)access;
	c->mode = v >> 1 & 7;
	if (c->mode > 5)
		c->mode -= 4; /* 6 and 7 are other names of 2 and 3 */
	c->bcd = v & CONTROL_BCD;
	if (!n) {
		dev_line(&p->dev, IRQ_PIT, c->mode != 0);
		arm(p, 0);
	}
}

static void counter_write(struct pit *p, u32 n, u8 v)
{
	struct pit_channel *c = &p->channel[n];

	if (c->access == ACCESS_LOW) {
		load(p, n, v);
	} else if (c->access == ACCESS_HIGH) {
		load(p, n, (u32)v << 8);
	} else if (c->write_half) {
		c->write_half = 0;
		load(p, n, c->write_low | (u32)v << 8);
	} else {
		c->write_half = 1;
		c->write_low = v;
	}
}

static u8 counter_read(struct pit *p, u32 n)
{
	struct pit_channel *c = &p->channel[n];
	bool high;
	u16 v;

	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	if (c->latched) {
		high = !(c->latched & ACCESS_LOW);
		c->latched &= (u8)(high ? 0 : ~ACCESS_LOW);
		return (u8)(high ? c->latch >> 8 : c->latch);
	}
	v = count(c, dev_now(&p->dev));
	high = c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->read_half);
	c->read_half = c->access == ACCESS_BOTH && !c->read_half;
	return (u8)(high ? v >> 8 : v);
}

static void set_gate(struct pit *p, u32 n, bool gate)
{
	struct pit_channel *c = &p->channel[n];
	u64 now = dev_now(&p->dev);

	if (gate == c->gate)
		return;
	if (!gate && !edge_triggered(c))
		c->counted = elapsed(c, now);
	c->gate = gate;
	if (!gate)
		return;
	/* Modes 0 and 4 go on where they stopped; the others begin again. */
	if (c->mode != 0 && c->mode != 4)
		c->counted = 0;
	c->triggered = c->reload != 0;
	c->start = now;
}

static u64 pit_read(struct device *d, u64 offset, u32 size)
{
	struct pit *p = container_of(d, struct pit, dev);
	u64 now;

	if (offset < PIT_CONTROL)
		return counter_read(p, (u32)offset);
	if (offset != PIT_PORT61)
		return 0xff;
	now = dev_now(d);
	return p->port61 | (now / REFRESH_NS & 1 ? P61_REFRESH : 0) |
	       (output(&p->channel[2], now) ? P61_OUT2 : 0);
}

static void pit_write(struct device *d, u64 offset, u32 size, u64 value)
{
	struct pit *p = container_of(d, struct pit, dev);

	if (offset < PIT_CONTROL) {
		counter_write(p, (u32)offset, (u8)value);
	} else if (offset == PIT_CONTROL) {
		control(p, (u8)value);
	} else {
		p->port61 = value & (P61_GATE2 | P61_SPEAKER | P61_CHECKS);
		set_gate(p, 2, value & P61_GATE2);
	}
}

static void pit_reset(struct device *d)
{
	struct pit *p = container_of(d, struct pit, dev);

	memset(p->channel, 0, sizeof(p->channel));
	for (u32 n = 0; n < 3; n++) {
		p->channel[n].access = ACCESS_BOTH;
		p->channel[n].mode = 3;
		p->channel[n].gate = n != 2;
	}
	p->port61 = 0;
	p->timer.dev = d;
	p->timer.fn = expired;
	dev_timer(d, &p->timer, VTIMER_OFF);
}

static void pit_restored(struct device *d) { arm(container_of(d, struct pit, dev), dev_now(d)); }

#define CH(n, m) STATE_FIELD(struct pit, channel[n].m, 1)
#define CH_FIELDS(n)                                                                               \
	CH(n, reload), CH(n, counted), CH(n, start), CH(n, latch), CH(n, mode), CH(n, access),     \
		CH(n, bcd), CH(n, latched), CH(n, status), CH(n, status_latched),                  \
		CH(n, write_low), CH(n, write_half), CH(n, read_half), CH(n, gate),                \
		CH(n, triggered)
static const struct state_field pit_fields[] = {
	CH_FIELDS(0),
	CH_FIELDS(1),
	CH_FIELDS(2),
	STATE_FIELD(struct pit, port61, 1),
};

static const struct dev_ops pit_ops = {
	.name = "pit",
	.version = 1,
	.max_size = 1,
	.read = pit_read,
	.write = pit_write,
	.reset = pit_reset,
	.restored = pit_restored,
	.fields = pit_fields,
	.field_count = ARRAY_SIZE(pit_fields),
};

void pit_init(struct pit *p, struct platform *plat) { device_init(&p->dev, &pit_ops, plat); }
