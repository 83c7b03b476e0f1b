#include "services/init/wall_clock.h"

#include "lib/string.h"
#include "user/rt.h"
#include "user/sys.h"

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

bool wall_clock_decode(const u8 reg[10], u8 status_b, struct wall_time *out)
{
	u8 hour = reg[RTC_HOUR];
	struct wall_time t = {
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

u64 wall_clock_unix(const struct wall_time *t)
{
	/* Years are counted from March, so that the leap day comes last. */
	u32 y = t->month > 2 ? t->year : t->year - 1;
	u32 m = t->month > 2 ? t->month - 3 : t->month + 9;
	u64 days = 365ull * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + t->day - 1 - 719468;

	return ((days * 24 + t->hour) * 60 + t->minute) * 60 + t->second;
}

static u8 cmos_read(handle_t system, u8 reg)
{
	return (u8)sys_ctl(system, SYSOP_CMOS_READ, NULL, reg); /* an error: no valid time */
}

static void read_registers(handle_t system, u8 reg[10])
{
	for (u32 i = 0; i < RTC_WAIT && cmos_read(system, RTC_STATUS_A) & RTC_UPDATING; i++)
		;
	for (u8 i = 0; i < 10; i++)
		reg[i] = cmos_read(system, i);
}

u64 wall_clock_at_boot(handle_t system)
{
	u8 a[10], b[10], status_b = cmos_read(system, RTC_STATUS_B);
	u64 up, unix_s;
	struct wall_time t;
	bool ok = false;

	for (u32 i = 0; i < RTC_TRIES && !ok; i++) { /* the same twice: no update came between */
		read_registers(system, a);
		read_registers(system, b);
		ok = !memcmp(a, b, sizeof(a)) && wall_clock_decode(a, status_b, &t);
	}
	unix_s = ok ? wall_clock_unix(&t) : 0;
	up = rt_clock_ns() / 1000000000;
	return unix_s > up ? unix_s - up : 0;
}
