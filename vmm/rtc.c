#include "vmm/rtc.h"

#include "lib/string.h"
#include "vmm/irq.h"
#include "vmm/state.h"

/* clang-format off */
enum rtc_reg {
	RTC_SECONDS = 0, RTC_SECONDS_ALARM = 1, RTC_MINUTES = 2, RTC_MINUTES_ALARM = 3,
	RTC_HOURS = 4, RTC_HOURS_ALARM = 5, RTC_WEEKDAY = 6, RTC_DAY = 7, RTC_MONTH = 8,
	RTC_YEAR = 9, RTC_A = 10, RTC_B = 11, RTC_C = 12, RTC_D = 13, CMOS_CENTURY = 0x32,
};
/* clang-format on */
enum reg_a { A_UIP = 0x80, A_DIVIDER = 0x70, A_DIVIDER_ON = 0x20, A_RATE = 0x0f };
/* clang-format off */
enum reg_b {
	B_SET = 0x80, B_PIE = 0x40, B_AIE = 0x20, B_UIE = 0x10, B_BINARY = 0x04, B_24H = 0x02,
};
/* clang-format on */
enum reg_c { C_IRQ = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10 };
#define D_VALID 0x80
#define HOUR_PM 0x80
#define ALARM_ANY 0xc0 /* two high bits set: matches every value */
/* The update takes the last 244 + 1984 us of a second (data sheet, "Update Cycle"). */
#define UPDATE_NS 2228000u
#define PERIOD_MIN_NS 100000u

struct date {
	u32 year, month, day, weekday, hour, minute, second; /* weekday 1 = Sunday */
};

/*
 * Days since 1970-01-01 of a Gregorian date; months count from March so that leap days come last.
 */
static u64 days_of(u32 year, u32 month, u32 day)
{
	u32 y = month > 2 ? year : year - 1, m = (month + 9) % 12;

	return 365ull * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static struct date date_of(u64 unix_seconds)
{
	/* 34,000 years: keeps the search below short */
	u64 t = unix_seconds & (BIT(40) - 1), days = t / 86400;
	u32 s = (u32)(t % 86400), m = 1;
	struct date d = {.year = (u32)(1970 + days / 366)};

	while (days_of(d.year + 1, 1, 1) <= days)
		d.year++;
	while (m < 12 && days_of(d.year, m + 1, 1) <= days)
		m++;
	d.month = m;
	d.day = (u32)(days - days_of(d.year, m, 1)) + 1;
	d.weekday = (u32)((days + 4) % 7) + 1;
	d.hour = s / 3600;
	d.minute = s / 60 % 60;
	d.second = s % 60;
	return d;
}

static u8 encode(const struct rtc *r, u32 v)
{
	return (u8)(r->cmos[RTC_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static u32 decode(const struct rtc *r, u8 v)
{
	return r->cmos[RTC_B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15);
}

static u8 encode_hour(const struct rtc *r, u32 hour)
{
	if (r->cmos[RTC_B] & B_24H)
		return encode(r, hour);
	return encode(r, (hour + 11) % 12 + 1) | (hour >= 12 ? HOUR_PM : 0);
}

static u32 decode_hour(const struct rtc *r, u8 v)
{
	if (r->cmos[RTC_B] & B_24H)
		return decode(r, v);
	return decode(r, v & 0x7f) % 12 + (v & HOUR_PM ? 12 : 0);
}

static u64 vm_second(struct rtc *r) { return dev_now(&r->dev) / NS_PER_S; }

static u8 time_register(struct rtc *r, u32 reg)
{
	struct date d = date_of(r->base + vm_second(r));

	switch (reg) {
	case RTC_SECONDS: return encode(r, d.second);
	case RTC_MINUTES: return encode(r, d.minute);
	case RTC_HOURS: return encode_hour(r, d.hour);
	case RTC_WEEKDAY: return encode(r, d.weekday);
	case RTC_DAY: return encode(r, d.day);
	case RTC_MONTH: return encode(r, d.month);
	case RTC_YEAR: return encode(r, d.year % 100);
	default: return encode(r, d.year / 100);
	}
}

static bool is_time(u32 reg)
{
	return reg == CMOS_CENTURY || reg == RTC_SECONDS || reg == RTC_MINUTES ||
	       reg == RTC_HOURS || (reg >= RTC_WEEKDAY && reg <= RTC_YEAR);
}

/* Where a time register is kept while the SET bit holds the clock. */
static u8 *held(struct rtc *r, u32 reg)
{
	return reg == CMOS_CENTURY ? &r->set_century : &r->set_time[reg];
}

static void hold_clock(struct rtc *r)
{
	for (u32 reg = 0; reg <= RTC_YEAR; reg++)
		if (is_time(reg))
			r->set_time[reg] = time_register(r, reg);
	r->set_century = time_register(r, CMOS_CENTURY);
}

/* The held registers become the time; nonsense in them is brought into range. */
static void release_clock(struct rtc *r)
{
	u32 year = decode(r, r->set_century) * 100 + decode(r, r->set_time[RTC_YEAR]);
	u32 month = decode(r, r->set_time[RTC_MONTH]), day = decode(r, r->set_time[RTC_DAY]);
	u64 t;

	year = year < 1970 ? 1970 : year;
	month = month < 1 || month > 12 ? 1 : month;
	t = days_of(year, month, day ? day : 1) * 86400 +
	    decode_hour(r, r->set_time[RTC_HOURS]) * 3600 +
	    decode(r, r->set_time[RTC_MINUTES]) * 60 + decode(r, r->set_time[RTC_SECONDS]);
	r->base = t - vm_second(r); /* modulo 2^64: the sum comes out right */
	r->seen_second = vm_second(r);
}

static bool alarm_matches(struct rtc *r, u8 alarm, u8 now)
{
	return (alarm & ALARM_ANY) == ALARM_ANY || alarm == now;
}

/*
 * Does an alarm fall into the `seconds` behind a time? More than a day holds every time of day.
 */
static bool alarm_in(struct rtc *r, u64 from, u64 seconds)
{
	for (u64 s = 1; s <= MIN(seconds, 86400); s++) {
		u64 t = (from + s) % 86400;

		if (alarm_matches(r, r->cmos[RTC_SECONDS_ALARM], encode(r, (u32)(t % 60))) &&
		    alarm_matches(r, r->cmos[RTC_MINUTES_ALARM], encode(r, (u32)(t / 60 % 60))) &&
		    alarm_matches(r, r->cmos[RTC_HOURS_ALARM], encode_hour(r, (u32)(t / 3600))))
			return true;
	}
	return false;
}

static u64 period_ns(const struct rtc *r)
{
	u32 rate = r->cmos[RTC_A] & A_RATE;

	if (!rate || (r->cmos[RTC_A] & A_DIVIDER) != A_DIVIDER_ON)
		return 0;
	if (rate < 3)
		rate += 7; /* 1 and 2 are the rates of 8 and 9 at this time base */
	return mul_div(NS_PER_S, 1u << (rate - 1), 32768);
}

static bool counting(const struct rtc *r)
{
	return !(r->cmos[RTC_B] & B_SET) && (r->cmos[RTC_A] & A_DIVIDER) == A_DIVIDER_ON;
}

/* The alarm's bit in register C, if it is enabled and falls into these seconds. */
static u8 raised(struct rtc *r, u64 from, u64 seconds)
{
	return r->cmos[RTC_B] & B_AIE && alarm_in(r, from, seconds) ? C_AF : 0;
}

/*
 * Brings register C and the interrupt line up to date, and arms the timer for the next enabled
 * event.
 */
static void update(struct rtc *r)
{
	u64 now = dev_now(&r->dev), second = now / NS_PER_S, next = VTIMER_OFF,
	    period = period_ns(r);
	u8 *c = &r->cmos[RTC_C], b = r->cmos[RTC_B];

	if (counting(r) && second > r->seen_second) {
		*c |= C_UF | raised(r, r->base + r->seen_second, second - r->seen_second);
		r->seen_second = second;
	}
	if (!period) {
		r->next_periodic = 0;
	} else if (!r->next_periodic) {
		r->next_periodic = now + period;
	} else if (now >= r->next_periodic) {
		*c |= C_PF;
		r->next_periodic += ((now - r->next_periodic) / period + 1) * period;
	}
	*c &= (u8)~C_IRQ;
	if (*c & b & (C_PF | C_AF | C_UF))
		*c |= C_IRQ;
	dev_line(&r->dev, IRQ_RTC, *c & C_IRQ);
	if (b & B_PIE && period)
		next = MAX(r->next_periodic, now + PERIOD_MIN_NS);
	if (b & (B_AIE | B_UIE) && counting(r))
		next = MIN(next, (second + 1) * NS_PER_S);
	dev_timer(&r->dev, &r->timer, next);
}

void rtc_stood(struct rtc *r, u64 ns)
{
	u64 seconds;

	rt_lock(&r->dev.lock);
	update(r); /* up to where the clock stood */
	r->stood_ns += ns;
	seconds = r->stood_ns / NS_PER_S;
	r->stood_ns %= NS_PER_S;
	if (counting(r))
		r->cmos[RTC_C] |= raised(r, r->base + r->seen_second, seconds);
	r->base += seconds;
	update(r);
	rt_unlock(&r->dev.lock);
}

static void expired(struct device *d) { update(container_of(d, struct rtc, dev)); }

static u8 register_read(struct rtc *r, u32 reg)
{
	u8 v;

	if (is_time(reg))
		return r->cmos[RTC_B] & B_SET ? *held(r, reg) : time_register(r, reg);
	if (reg == RTC_A)
		return r->cmos[RTC_A] |
		       (counting(r) && dev_now(&r->dev) % NS_PER_S >= NS_PER_S - UPDATE_NS ? A_UIP
											   : 0);
	if (reg != RTC_C)
		return r->cmos[reg];
	update(r);
	v = r->cmos[RTC_C];
	r->cmos[RTC_C] = 0;
	dev_line(&r->dev, IRQ_RTC, false);
	return v;
}

static void control_write(struct rtc *r, u8 v)
{
	u8 was = r->cmos[RTC_B];

	if (v & B_SET && !(was & B_SET))
		hold_clock(r);
	r->cmos[RTC_B] = v & B_SET ? v & (u8)~B_UIE : v;
	if (!(v & B_SET) && was & B_SET)
		release_clock(r);
	/* An interrupt that is being enabled looks at events from now on. */
	if (v & ~was & (B_AIE | B_UIE)) {
		r->seen_second = vm_second(r);
		r->cmos[RTC_C] &= (u8) ~(v & ~was & (C_AF | C_UF));
	}
	update(r);
}

static void register_write(struct rtc *r, u32 reg, u8 v)
{
	if (is_time(reg)) {
		bool set = r->cmos[RTC_B] & B_SET;

		if (!set)
			hold_clock(r);
		*held(r, reg) = v;
		if (!set)
			release_clock(r);
	} else if (reg == RTC_A) {
		r->cmos[RTC_A] = v & (u8)~A_UIP;
		r->next_periodic = 0;
		update(r);
	} else if (reg == RTC_B) {
		control_write(r, v);
	} else if (reg != RTC_C && reg != RTC_D) {
		r->cmos[reg] = v;
	}
}

static u64 rtc_read(struct device *d, u64 offset, u32 size)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	return offset ? register_read(r, r->index) : 0xff; /* the index port is write-only */
}

static void rtc_write(struct device *d, u64 offset, u32 size, u64 value)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	if (offset)
		register_write(r, r->index, (u8)value);
	else
		r->index = value & 0x7f; /* bit 7 masks NMI on a PC; there is no NMI source here */
}

static void rtc_reset(struct device *d)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	/* A clock with a battery: time and memory outlive a reset (data sheet, "RESET"). */
	r->cmos[RTC_A] = A_DIVIDER_ON | 6;
	r->cmos[RTC_B] = B_24H;
	r->cmos[RTC_C] = 0;
	r->cmos[RTC_D] = D_VALID;
	r->index = 0;
	r->next_periodic = 0;
	r->seen_second = 0;
	r->timer.dev = d;
	r->timer.fn = expired;
	dev_timer(d, &r->timer, VTIMER_OFF);
}

static void rtc_restored(struct device *d)
{
	struct rtc *r = container_of(d, struct rtc, dev);

	r->index &= 0x7f;
	r->stood_ns %= NS_PER_S;
	update(r);
}

static const struct state_field rtc_fields[] = {
	STATE_FIELD(struct rtc, index, 1),	   STATE_ARRAY(struct rtc, cmos, 1),
	STATE_ARRAY(struct rtc, set_time, 1),	   STATE_FIELD(struct rtc, set_century, 1),
	STATE_FIELD(struct rtc, base, 1),	   STATE_FIELD(struct rtc, seen_second, 1),
	STATE_FIELD(struct rtc, next_periodic, 1), STATE_FIELD(struct rtc, stood_ns, 2),
};

static const struct dev_ops rtc_ops = {
	.name = "rtc",
	.version = 2,
	.max_size = 1,
	.read = rtc_read,
	.write = rtc_write,
	.reset = rtc_reset,
	.restored = rtc_restored,
	.fields = rtc_fields,
	.field_count = ARRAY_SIZE(rtc_fields),
};

static void put16(u8 *p, u64 v)
{
	p[0] = (u8)v;
	p[1] = (u8)(v >> 8);
}

/* Where PC firmware leaves the memory sizes, and QEMU's layout above 4 GiB. */
static void memory_sizes(struct rtc *r, u64 low, u64 high)
{
	put16(&r->cmos[0x15], 640);
	put16(&r->cmos[0x17], low > MiB(1) ? MIN((low - MiB(1)) / 1024, 0xffff) : 0);
	memcpy(&r->cmos[0x30], &r->cmos[0x17], 2);
	/* below 4 GiB it fits */
	put16(&r->cmos[0x34], low > MiB(16) ? (low - MiB(16)) / KiB(64) : 0);
	put16(&r->cmos[0x5b], high / KiB(64));
	r->cmos[0x5d] = (u8)(high / KiB(64) >> 16);
}

void rtc_init(struct rtc *r, struct platform *plat, u64 unix_seconds, u64 low, u64 high)
{
	r->base = unix_seconds;
	memory_sizes(r, low, high);
	device_init(&r->dev, &rtc_ops, plat);
}
