/* Motorola MC146818 real-time clock and its CMOS memory, as a PC has it at ports 0x70 and 0x71. */
#pragma once

#include "vmm/device.h"

struct rtc {
	struct device dev;
	u8 index;
	u8 cmos[128];	 /* registers A..D and memory; time and date are computed */
	u8 set_time[10]; /* registers 0..9 as written while the SET bit holds the clock */
	u8 set_century;
	u64 base;	     /* Unix seconds at the VM clock's 0 */
	u64 seen_second;     /* VM-clock second up to which updates have raised UF and AF */
	u64 next_periodic;   /* VM clock, ns; 0 = off */
	struct vtimer timer; /* the next interrupt that is enabled */
};

/* unix_seconds: wall time at the VM clock's 0. low, high: RAM in bytes below and above 4 GiB. */
void rtc_init(struct rtc *r, struct platform *plat, u64 unix_seconds, u64 low, u64 high);
