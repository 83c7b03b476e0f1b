#include "vmm/bus.h"

#include "lib/string.h"

int bus_register(struct bus *b, u64 base, u64 size, struct device *dev, u64 offset)
{
	u32 i = 0;

	if (!size || base + size - 1 < base)
		return -E_INVAL;
	if (b->ranges == BUS_RANGES)
		return -E_NOMEM;
	while (i < b->ranges && b->range[i].base < base)
		i++;
	if (i < b->ranges && b->range[i].base - base < size)
		return -E_EXIST;
	if (i && base - b->range[i - 1].base < b->range[i - 1].size)
		return -E_EXIST;
	memmove(&b->range[i + 1], &b->range[i], (b->ranges - i) * sizeof(b->range[0]));
	b->range[i] = (struct bus_range){base, size, dev, offset};
	b->ranges++;
	return 0;
}

/* The range that holds all of the access, or NULL. */
static struct bus_range *find(struct bus *b, u64 addr, u32 size)
{
	u32 low = 0, high = b->ranges;
	u32 last = __atomic_load_n(&b->last, __ATOMIC_RELAXED);
	struct bus_range *r = &b->range[last];

	/* An unused row has size 0 and never fits. */
	if (likely(addr - r->base < r->size && r->size - (addr - r->base) >= size))
		return r;
	while (low < high) {
		u32 mid = (low + high) / 2;

		r = &b->range[mid];
		if (addr < r->base) {
			high = mid;
		} else if (addr - r->base >= r->size) {
			low = mid + 1;
		} else {
			__atomic_store_n(&b->last, mid, __ATOMIC_RELAXED);
			return r->size - (addr - r->base) >= size ? r : NULL;
		}
	}
	return NULL;
}

static u64 mask(u32 size) { return size >= 8 ? ~0ull : BIT(size * 8) - 1; }

u64 bus_read(struct bus *b, u64 addr, u32 size)
{
	struct bus_range *r = find(b, addr, size);
	u64 value;
	u32 half = size / 2;

	if (likely(r && size <= r->dev->ops->max_size)) {
		rt_lock(&r->dev->lock);
		value = r->dev->ops->read(r->dev, addr - r->base + r->offset, size);
		rt_unlock(&r->dev->lock);
		return value & mask(size);
	}
	if (size == 1) {
		__atomic_fetch_add(&b->unclaimed, 1, __ATOMIC_RELAXED);
		return 0xff;
	}
	/* Wider than the device or across a border: halves, low one first. */
	value = bus_read(b, addr, half);
	return value | bus_read(b, addr + half, half) << (half * 8);
}

void bus_write(struct bus *b, u64 addr, u32 size, u64 value)
{
	struct bus_range *r = find(b, addr, size);
	u32 half = size / 2;

	if (likely(r && size <= r->dev->ops->max_size)) {
		rt_lock(&r->dev->lock);
		r->dev->ops->write(r->dev, addr - r->base + r->offset, size, value & mask(size));
		rt_unlock(&r->dev->lock);
		return;
	}
	if (size == 1) {
		__atomic_fetch_add(&b->unclaimed, 1, __ATOMIC_RELAXED);
		return;
	}
	bus_write(b, addr, half, value);
	bus_write(b, addr + half, half, value >> (half * 8));
}
