#include "lib/ranges.h"

/* [start, end) overlaps nothing in the list. */
static void insert(struct ranges *l, u64 start, u64 end)
{
	u32 i;

	if (start >= end)
		return;
	if (l->count == RANGES_MAX) {
		l->dropped++;
		return;
	}
	for (i = l->count++; i && l->r[i - 1].start > start; i--)
		l->r[i] = l->r[i - 1];
	l->r[i] = (struct range){start, end};
}

void ranges_remove(struct ranges *l, u64 start, u64 end)
{
	for (u32 i = 0; i < l->count && start < end;) {
		struct range r = l->r[i];

		if (r.end <= start || end <= r.start) {
			i++;
			continue;
		}
		l->count--;
		for (u32 k = i; k < l->count; k++)
			l->r[k] = l->r[k + 1];
		insert(l, r.start, start);
		insert(l, end, r.end);
	}
}

void ranges_add(struct ranges *l, u64 start, u64 end)
{
	ranges_remove(l, start, end);
	insert(l, start, end);
}

u64 ranges_bytes(const struct ranges *l, u64 start, u64 end)
{
	u64 sum = 0;

	for (u32 i = 0; i < l->count; i++) {
		u64 from = MAX(start, l->r[i].start), to = MIN(end, l->r[i].end);

		sum += from < to ? to - from : 0;
	}
	return sum;
}
