/* Memory of the UEFI application that outlives it. */
#include "boot/efi/app.h"
#include "hv/bootinfo.h"

#define BLOCKS (BOOT_MAX_MODULES + 16) /* the kernel's file and image, configuration, ... */
#define MAP_SLACK 8

static struct {
	EFI_PHYSICAL_ADDRESS start;
	u64 pages;
} blocks[BLOCKS];
static u32 block_count;

static void *take(EFI_ALLOCATE_TYPE how, EFI_MEMORY_TYPE type, u64 bytes, EFI_PHYSICAL_ADDRESS at)
{
	u64 pages = MAX(ALIGN_UP(bytes, PAGE_SIZE) / PAGE_SIZE, 1ull);

	if (bytes > GiB(4) || block_count == BLOCKS ||
	    EFI_ERROR(app_st->BootServices->AllocatePages(how, type, pages, &at)))
		return NULL;
	blocks[block_count].start = at;
	blocks[block_count++].pages = pages;
	return (void *)at;
}

void *memory_alloc(u64 bytes, EFI_MEMORY_TYPE type)
{
	return take(AllocateMaxAddress, type, bytes, GiB(4) - 1);
}

/* The lowest place for it in the map that holds free memory. 0: none. */
static u64 find(const u8 *map, u64 map_bytes, u64 step, u64 bytes, u64 align, u64 min, u64 max)
{
	u64 best = 0;

	for (u64 at = 0; at + step <= map_bytes; at += step) {
		const EFI_MEMORY_DESCRIPTOR *d = (const void *)(map + at);
		u64 start = ALIGN_UP(MAX(d->PhysicalStart, min), align);
		u64 end = d->PhysicalStart + d->NumberOfPages * PAGE_SIZE;

		if (d->Type == EfiConventionalMemory && start < end && end - start >= bytes &&
		    start + bytes - 1 <= max && (!best || start < best))
			best = start;
	}
	return best;
}

void *memory_alloc_at(u64 bytes, u64 align, u64 min, u64 max)
{
	EFI_BOOT_SERVICES *bs = app_st->BootServices;
	UINTN map_bytes = 0, key, step = 0;
	void *map = NULL;
	UINT32 version;
	u64 at = 0;

	bs->GetMemoryMap(&map_bytes, NULL, &key, &step, &version);
	map_bytes += MAP_SLACK * step; /* the next allocation may split an entry */
	if (EFI_ERROR(bs->AllocatePool(EfiLoaderData, map_bytes, &map)))
		return NULL;
	if (!EFI_ERROR(bs->GetMemoryMap(&map_bytes, map, &key, &step, &version)))
		at = find(map, map_bytes, step, bytes, align, MAX(min, align), max);
	bs->FreePool(map);
	return at ? take(AllocateAddress, EfiLoaderData, bytes, at) : NULL;
}

void memory_free_all(void)
{
	while (block_count) {
		block_count--;
		app_st->BootServices->FreePages(blocks[block_count].start,
						blocks[block_count].pages);
	}
}
