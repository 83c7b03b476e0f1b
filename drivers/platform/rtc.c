#include "drivers/platform/rtc.h"

#include "hv/x86.h"
#include "lib/string.h"

enum rtc_register {
	RTC_SECOND = 0,
	RTC_MINUTE = 2,
	RTC_HOUR = 4, /* bit 7: afternoon, in 12-hour mode */
	RTC_DAY = 7,
	RTC_MONTH = 8,
	RTC_YEAR = 9,
	RTC_STATUS_A = 10, /* bit 7: update in progress */
	RTC_STATUS_B = 11, /* bit 1: 24 hours; bit 2: binary */
};

#define RTC_UPDATING 0x80
#define RTC_24_HOURS 0x02
#define RTC_BINARY 0x04
#define RTC_AFTERNOON 0x80
#define RTC_TRIES 8
#define RTC_WAIT 10000 /* port reads; an update takes at most 2 ms */

static u32 number(u8 v, u8 status_b)
{
	return status_b & RTC_BINARY ? v : (v >> 4) * 10u + (v & 15);
}

bool rtc_decode(const u8 reg[10], u8 status_b, struct rtc_time *out)
{
	u8 hour = reg[RTC_HOUR];
	struct rtc_time t = {
		.second = number(reg[RTC_SECOND], status_b),
		.minute = number(reg[RTC_MINUTE], status_b),
		.hour = number(status_b & RTC_24_HOURS ? hour : hour & 0x7f, status_b),
		.day = number(reg[RTC_DAY], status_b),
		.month = number(reg[RTC_MONTH], status_b),
		.year = number(reg[RTC_YEAR], status_b),
	};

	if (!(status_b & RTC_24_HOURS))
		t.hour = t.hour % 12 + (hour & RTC_AFTERNOON ? 12 : 0);
	t.year += t.year < 70 ? 2000 : 1900; /* no century register is common to all machines */
	*out = t;
	return t.second < 60 && t.minute < 60 && t.hour < 24 && t.day - 1 < 31 &&
	       t.month - 1 < 12 && t.year < 2070;
}

u64 rtc_to_unix(const struct rtc_time *t)
{
	/* Years are counted from March, so that the leap day comes last. */
	u32 y = t->month > 2 ? t->year : t->year - 1;
	u32 m = t->month > 2 ? t->month - 3 : t->month + 9;
	u64 days = 365ull * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + t->day - 1 - 719468;

	return ((days * 24 + t->hour) * 60 + t->minute) * 60 + t->second;
}

static u8 cmos_read(u8 reg)
{
	outb(0x70, reg | 0x80); /* NMI masked while the index is not at rest */
	return inb(0x71);
}

static void read_registers(u8 reg[10])
{
	for (u32 i = 0; i < RTC_WAIT && cmos_read(RTC_STATUS_A) & RTC_UPDATING; i++)
		cpu_relax();
	for (u8 i = 0; i < 10; i++)
		reg[i] = cmos_read(i);
}

u64 rtc_read_unix(void)
{
	u8 a[10], b[10], status_b = cmos_read(RTC_STATUS_B);
	struct rtc_time t;
	bool ok = false;

	for (u32 i = 0; i < RTC_TRIES && !ok; i++) { /* the same twice: no update came between */
		read_registers(a);
		read_registers(b);
		ok = !memcmp(a, b, sizeof(a)) && rtc_decode(a, status_b, &t);
	}
	outb(0x70, RTC_STATUS_A); /* NMI on again */
	return ok ? rtc_to_unix(&t) : 0;
}
