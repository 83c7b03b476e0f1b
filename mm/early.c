#include "mm/early.h"

#include "lib/assert.h"
#include "mm/buddy.h"

#define RAM_MAX (BOOT_MAX_REGIONS + BOOT_MAX_MODULES)
#define FREE_MAX (BOOT_MAX_REGIONS + BOOT_MAX_MODULES + 64)
#define ADDRESS_END ((u64)ZONES * ZONE_FRAMES * PAGE_SIZE)

static struct {
	u32 rams, frees;
	struct early_run ram[RAM_MAX];	 /* regions and modules */
	struct early_run free[FREE_MAX]; /* regions without what is in use */
} early;

static void add(struct early_run *runs, u32 *count, u32 max, u64 start, u64 end)
{
	if (start < end && *count < max)
		runs[(*count)++] = (struct early_run){start, end};
}

/* Cuts [start, end) out of the free runs. */
static void exclude(u64 start, u64 end)
{
	u32 n = early.frees;

	for (u32 i = 0; i < n; i++) {
		struct early_run r = early.free[i];

		if (r.end <= start || end <= r.start)
			continue;
		early.free[i].end = MAX(start, r.start);
		if (early.free[i].start == early.free[i].end)
			early.free[i] = (struct early_run){end, MAX(end, r.end)};
		else
			add(early.free, &early.frees, FREE_MAX, end, r.end);
	}
}

void early_init(const struct bootinfo *b, u64 limit)
{
	u64 left = limit ? limit : ~0ull;

	early.rams = early.frees = 0;
	for (u32 i = 0; i < b->regions; i++) {
		u64 start = ALIGN_UP(b->region[i].start.v, PAGE_SIZE);
		u64 end = MIN(ALIGN_DOWN(b->region[i].start.v + b->region[i].bytes, PAGE_SIZE), ADDRESS_END);

		if (start >= end)
			continue;
		end = start + MIN(end - start, ALIGN_DOWN(left, PAGE_SIZE));
		left -= end - start;
		add(early.ram, &early.rams, RAM_MAX, start, end);
		add(early.free, &early.frees, FREE_MAX, start, end);
	}
	for (u32 i = 0; i < b->modules; i++) {
		u64 start = b->module[i].start.v;
		u64 end = ALIGN_UP(start + b->module[i].bytes, PAGE_SIZE);

		add(early.ram, &early.rams, RAM_MAX, start, end);
		exclude(start, end);
	}
	exclude(0, PAGE_SIZE); /* address 0 stands for "no frame" */
	exclude(b->kernel_start.v, b->kernel_start.v + b->kernel_bytes);
	if (b->trampoline.v)
		exclude(b->trampoline.v, b->trampoline.v + PAGE_SIZE);
}

bool early_carve(u64 bytes, u64 align, u64 below, u64 *out)
{
	u64 best = 0;

	for (u32 i = 0; i < early.frees; i++) {
		const struct early_run *r = &early.free[i];
		u64 end = MIN(r->end, below);

		if (end > r->start && end - r->start >= bytes) {
			u64 start = ALIGN_DOWN(end - bytes, align);

			if (start >= r->start)
				best = MAX(best, start);
		}
	}
	if (!best)
		return false;
	exclude(best, best + bytes);
	*out = best;
	return true;
}

enum early_cover early_covers(u64 start, u64 end)
{
	enum early_cover cover = COVER_NONE;

	for (u32 i = 0; i < early.rams; i++) {
		const struct early_run *r = &early.ram[i];

		if (r->start <= start && end <= r->end)
			return COVER_ALL;
		if (r->start < end && start < r->end)
			cover = COVER_SOME;
	}
	return cover;
}

u64 early_ram_end(void)
{
	u64 end = 0;

	for (u32 i = 0; i < early.rams; i++)
		end = MAX(end, early.ram[i].end);
	return end;
}

const struct early_run *early_free_runs(u32 *count)
{
	*count = early.frees;
	return early.free;
}
