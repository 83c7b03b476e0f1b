/*
 * The multiboot2 information, as Multiboot2 Specification 2.0, "Boot information format", lays it
 * out.
 */
#pragma once

#include "hv/bootinfo.h"

enum mb2_tag_type {
	MB2_TAG_END = 0,
	MB2_TAG_CMDLINE = 1,
	MB2_TAG_LOADER_NAME = 2,
	MB2_TAG_MODULE = 3,
	MB2_TAG_MEMORY_MAP = 6,
	MB2_TAG_FRAMEBUFFER = 8,
	MB2_TAG_RSDP_OLD = 14, /* copy of an ACPI 1.0 RSDP */
	MB2_TAG_RSDP_NEW = 15, /* copy of an ACPI 2.0 RSDP */
};

struct mb2_info {
	u32 total_size;
	u32 reserved;
	/* tags, each at a multiple of 8 bytes */
};

struct mb2_tag {
	u32 type; /* enum mb2_tag_type */
	u32 size; /* with this header, without padding */
};

struct mb2_module {
	struct mb2_tag tag;
	u32 mod_start;
	u32 mod_end; /* exclusive */
		     /* string, zero-terminated */
};

struct mb2_memory_map {
	struct mb2_tag tag;
	u32 entry_size; /* a multiple of 8 */
	u32 entry_version;
};

#define MB2_MEMORY_AVAILABLE 1

struct mb2_memory_entry {
	u64 base_addr;
	u64 length;
	u32 type;
	u32 reserved;
};

enum mb2_framebuffer_type { MB2_FRAMEBUFFER_RGB = 1, MB2_FRAMEBUFFER_TEXT = 2 };

struct mb2_framebuffer {
	struct mb2_tag tag;
	u64 addr;
	u32 pitch;	   /* bytes */
	u32 width, height; /* pixels or characters */
	u8 bpp;		   /* bits of a pixel; 16 for text */
	u8 type;	   /* enum mb2_framebuffer_type, or 0: a palette */
	u16 reserved;
	/* colour information */
};

/*
 * Reads the information at `start`, 8-byte aligned (at most bytes of it) into *out, whose image
 * fields are set already. Everything is checked; what can't be used sets out->error. Pure.
 */
void mb2_parse(const u8 *start, u32 bytes, struct bootinfo *out);
