#include "mm/early.h"

#include "mm/buddy.h"

struct ranges early_ram, early_free;

void early_init(const struct bootinfo *b, u64 limit)
{
	u64 left = limit ? ALIGN_DOWN(limit, PAGE_SIZE) : ~0ull;

	early_ram = (struct ranges){0};
	for (u32 i = 0; i < b->ram.count; i++) {
		u64 start = b->ram.r[i].start, end = MIN(b->ram.r[i].end, RAM_END);

		if (start >= end)
			break;
		end = start + MIN(end - start, left);
		left -= end - start;
		ranges_add(&early_ram, start, end);
	}
	early_free = early_ram;
	ranges_remove(&early_free, 0, KiB(64)); /* some firmware writes there all the time */
	ranges_remove(&early_free, b->kernel_start.v, b->kernel_start.v + b->kernel_bytes);
	for (u32 i = 0; i < b->modules; i++) {
		u64 start = b->module[i].start.v,
		    end = ALIGN_UP(start + b->module[i].bytes, PAGE_SIZE);

		if (ranges_bytes(&early_ram, start, end) < end - start) /* beyond the limit */
			ranges_add(&early_ram, start, end);
		ranges_remove(&early_free, start, end);
	}
}

bool early_carve(u64 bytes, u64 align, u64 below, u64 *out)
{
	for (u32 i = early_free.count; i--;) {
		struct range r = early_free.r[i];
		u64 end = MIN(r.end, below);

		if (end < r.start || end - r.start < bytes ||
		    ALIGN_DOWN(end - bytes, align) < r.start)
			continue;
		*out = ALIGN_DOWN(end - bytes, align);
		ranges_remove(&early_free, *out, *out + bytes);
		return true;
	}
	return false;
}
