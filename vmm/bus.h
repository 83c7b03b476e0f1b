/* The trap tree: who answers for an address. One instance for ports, one for memory. */
#pragma once

#include "vmm/device.h"

#define BUS_RANGES 48

struct bus_range {
	u64 base, size;
	struct device *dev;
	u64 offset; /* of base, in the device's register space */
};

/* Filled before the first vCPU runs, then read without a lock; [a] atomic. */
struct bus {
	struct bus_range range[BUS_RANGES]; /* by base, disjoint */
	u32 ranges;
	u32 last;      /* [a] the range that answered last: a hint */
	u64 unclaimed; /* [a] accesses that nothing answered */
};

/*
 * Gives [base, base + size) to dev, whose registers from `offset` on appear there.
 * -E_INVAL: empty or wraps; -E_EXIST: overlaps another range; -E_NOMEM: no row left.
 */
int bus_register(struct bus *b, u64 base, u64 size, struct device *dev, u64 offset);

/*
 * size 1, 2, 4 or 8. Bytes that nobody claims read as ones and are dropped on write. Takes device
 * locks.
 */
u64 bus_read(struct bus *b, u64 addr, u32 size);
void bus_write(struct bus *b, u64 addr, u32 size, u64 value);
