/* What init takes its programs from: manager and vmm, of a page of text and of data each. */
#pragma once

#include <stdio.h>
#include <string.h>

#include "uapi/abi.h"
#include "uapi/image.h"

/* In the form of cpio's "newc": its length. */
static inline u32 programs_archive_add(u8 *at, const char *name, const void *data, u32 bytes)
{
	u32 names = (u32)strlen(name) + 1, start = (u32)ALIGN_UP(110 + names, 4u);

	snprintf((char *)at, 200, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 0,
		 0, 0, 0, 1, 0, bytes, 0, 0, 0, 0, names, 0);
	memcpy(at + 110, name, names);
	memcpy(at + start, data, bytes);
	return (u32)ALIGN_UP(start + bytes, 4u);
}

/* At most 32 KiB: its length. */
static inline u32 programs_archive(u8 *archive)
{
	static u8 image[2 * PAGE_SIZE];
	u32 bytes;

	*(struct image_header *)image =
		(struct image_header){.magic = IMAGE_MAGIC,
				      .uapi_version = UAPI_VERSION,
				      .header_size = sizeof(struct image_header),
				      .base = 0x400000,
				      .entry = 0x400100,
				      .text_size = PAGE_SIZE,
				      .data_size = PAGE_SIZE,
				      .bss_size = PAGE_SIZE};
	bytes = programs_archive_add(archive, "manager", image, sizeof(image));
	return bytes + programs_archive_add(archive + bytes, "vmm", image, sizeof(image));
}
