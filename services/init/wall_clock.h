/* The machine's CMOS clock (MC146818A); taken as UTC. */
#pragma once

#include "uapi/abi.h"

struct wall_time {
	u32 second, minute, hour, day, month, year; /* hour 0..23, month 1..12, year with century */
};

/* Decodes registers as read (status B tells BCD and 12-hour mode). False: no valid time. Pure. */
bool wall_clock_decode(const u8 reg[10], u8 status_b, struct wall_time *out);
/* Seconds since 1970. Pure. */
u64 wall_clock_unix(const struct wall_time *t);
/*
 * Reads it: seconds since 1970 at the start of the machine (ns 0); 0 when it gives no valid time.
 */
u64 wall_clock_at_boot(handle_t system);
