/* The CMOS clock (MC146818A), read once at start; taken as UTC. */
#pragma once

#include "lib/types.h"

struct rtc_time {
	u32 second, minute, hour, day, month, year; /* hour 0..23, month 1..12, year with century */
};

/* Decodes registers as read (status B tells BCD and 12-hour mode). False: no valid time. Pure. */
bool rtc_decode(const u8 reg[10], u8 status_b, struct rtc_time *out);
/* Seconds since 1970. Pure. */
u64 rtc_to_unix(const struct rtc_time *t);
/* Seconds since 1970 now; 0 when the clock gives no valid time. */
u64 rtc_read_unix(void);
