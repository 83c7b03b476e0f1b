/*
 * The I/O APIC: 24 pins, messages out. Intel 82093AA data sheet; version 0x20 with the EOI
 * register.
 */
#pragma once

#include "vmm/device.h"

#define IOAPIC_PINS 24
#define IOAPIC_VERSION 0x20u
#define IOAPIC_BASE 0xfec00000ull
#define IOAPIC_BYTES 0x1000ull

struct ioapic {
	struct device dev;
	u64 entry[IOAPIC_PINS]; /* redirection table */
	u32 level;		/* of the pins */
	u32 id;			/* register 0 */
	u8 select;		/* IOREGSEL */
};

void ioapic_init(struct ioapic *a, struct platform *plat);

/* Pin 0..23. The caller holds the device's lock. */
void ioapic_set(struct ioapic *a, u32 pin, bool up);

/* The end of a level-triggered interrupt: pins that still ask are sent again. Lock held. */
void ioapic_eoi(struct ioapic *a, u8 vector);
