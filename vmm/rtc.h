/* Motorola MC146818 real-time clock and its CMOS memory, as a PC has it at ports 0x70 and 0x71. */
#pragma once

#include "vmm/device.h"

struct rtc {
	struct device dev;
	u8 index;
	u8 cmos[128];	 /* registers A..D and memory; time and date are computed */
	u8 set_time[10]; /* registers 0..9 as written while the SET bit holds the clock */
	u8 set_century;
	u64 base;	     /* Unix seconds at the VM clock's 0, moved by each pause */
	u64 stood_ns;	     /* that it has stood, beyond whole seconds: these are in base */
	u64 seen_second;     /* VM-clock second up to which updates have raised UF and AF */
	u64 next_periodic;   /* VM clock, ns; 0 = off */
	struct vtimer timer; /* the next interrupt that is enabled */
};

/* unix_seconds: wall time at the VM clock's 0. low, high: RAM in bytes below and above 4 GiB. */
void rtc_init(struct rtc *r, struct platform *plat, u64 unix_seconds, u64 low, u64 high);

/*
 * The VM's clock has stood for so long and goes on: the time of day follows the host's, and an
 * alarm of meanwhile comes now; its periods go on where they stood.
 */
void rtc_stood(struct rtc *r, u64 ns);
