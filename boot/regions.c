#include "boot/regions.h"

static u64 region_end(const struct boot_region *r)
{
	return r->start.v + r->bytes;
}

void regions_add(struct bootinfo *b, u64 start, u64 bytes)
{
	if (!bytes)
		return;
	if (start + bytes < start || b->regions >= BOOT_MAX_REGIONS) {
		b->regions_dropped++;
		return;
	}
	b->region[b->regions++] = (struct boot_region){hpa(start), bytes};
}

static void remove_at(struct bootinfo *b, u32 at)
{
	b->regions--;
	for (u32 i = at; i < b->regions; i++)
		b->region[i] = b->region[i + 1];
}

void regions_merge(struct bootinfo *b)
{
	struct boot_region *r = b->region;

	for (u32 i = 1; i < b->regions; i++) {
		struct boot_region x = r[i];
		u32 k = i;

		for (; k > 0 && r[k - 1].start.v > x.start.v; k--)
			r[k] = r[k - 1];
		r[k] = x;
	}
	for (u32 i = 1; i < b->regions;) {
		if (region_end(&r[i - 1]) < r[i].start.v) {
			i++;
			continue;
		}
		r[i - 1].bytes = MAX(region_end(&r[i - 1]), region_end(&r[i])) - r[i - 1].start.v;
		remove_at(b, i);
	}
}

/* Cuts a region in two at a hole inside it. Without room for the second part, that part is lost and counted. */
static void split(struct bootinfo *b, u32 at, u64 hole_start, u64 hole_end)
{
	u64 end = region_end(&b->region[at]);

	b->region[at].bytes = hole_start - b->region[at].start.v;
	if (b->regions >= BOOT_MAX_REGIONS) {
		b->regions_dropped++;
		return;
	}
	for (u32 i = b->regions++; i > at + 1; i--)
		b->region[i] = b->region[i - 1];
	b->region[at + 1] = (struct boot_region){hpa(hole_end), end - hole_end};
}

void regions_subtract(struct bootinfo *b, u64 start, u64 bytes)
{
	u64 end = start + bytes < start ? ~0ull : start + bytes;

	for (u32 i = 0; i < b->regions && start < end;) {
		struct boot_region *r = &b->region[i];
		u64 r_end = region_end(r);

		if (r_end <= start || r->start.v >= end) {
			i++;
		} else if (r->start.v >= start && r_end <= end) {
			remove_at(b, i);
		} else if (r->start.v < start && r_end > end) {
			split(b, i, start, end);
			return;
		} else if (r->start.v < start) {
			r->bytes = start - r->start.v;
			i++;
		} else {
			*r = (struct boot_region){hpa(end), r_end - end};
			i++;
		}
	}
}

void regions_align(struct bootinfo *b)
{
	for (u32 i = 0; i < b->regions;) {
		struct boot_region *r = &b->region[i];
		u64 end = ALIGN_DOWN(region_end(r), PAGE_SIZE);
		u64 start = r->start.v + PAGE_SIZE - 1 < r->start.v ? end : ALIGN_UP(r->start.v, PAGE_SIZE);

		if (start >= end) {
			remove_at(b, i);
			continue;
		}
		*r = (struct boot_region){hpa(start), end - start};
		i++;
	}
}

bool regions_contain(const struct bootinfo *b, u64 start, u64 bytes)
{
	for (u32 i = 0; i < b->regions; i++)
		if (b->region[i].start.v <= start && start + bytes >= start &&
		    start + bytes <= region_end(&b->region[i]))
			return true;
	return false;
}
