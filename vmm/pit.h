/*
 * Intel 8254 interval timer and system control port B (0x61). Counts are computed from the VM's
 * clock.
 */
#pragma once

#include "vmm/device.h"

#define PIT_HZ 1193182u

/* offsets in the register space */
enum pit_port {
	PIT_COUNTER0 = 0, /* ports 0x40..0x43 */
	PIT_CONTROL = 3,
	PIT_PORT61 = 4,
};

struct pit_channel {
	u32 reload;  /* 1..0x10000; 0 = not programmed since the control word */
	u64 counted; /* ticks counted before the gate closed */
	u64 start;   /* VM clock when counting started or resumed */
	u16 latch;
	u8 mode, access, bcd; /* access: 1 low, 2 high, 3 low then high */
	u8 latched;	      /* bytes of the latched count still to be read: access bits */
	u8 status, status_latched;
	u8 write_low, write_half, read_half; /* second byte expected */
	u8 gate;
	u8 triggered; /* modes 1 and 5: the gate has risen */
};

struct pit {
	struct device dev;
	struct pit_channel channel[3];
	struct vtimer timer; /* channel 0's next rising output */
	u8 port61;	     /* writable bits */
};

void pit_init(struct pit *p, struct platform *plat);
