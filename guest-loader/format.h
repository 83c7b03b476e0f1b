/* What the guest formats share: one load in progress, and the table's row. */
#pragma once

#include "guest-loader/loader.h"

struct loader {
	const struct loader_image *kernel, *initrd; /* initrd may be NULL */
	const char *cmdline;
	const struct loader_ram *ram;
	struct vcpu_state *out;
	char *error;
	size_t error_size;
};

struct loader_format {
	const char *name;
	/* True when the image claims to be of this format; load then says what is wrong with it. */
	bool (*probe)(const struct loader_image *image);
	int (*load)(struct loader *l);
};

extern const struct loader_format loader_bzimage, loader_multiboot;

/* Writes "NAME: text" as the error. Returns -E_INVAL. */
int loader_fail(struct loader *l, const char *fmt, ...) __printf(2, 3);

/* Host address of guest-physical gpa..gpa+bytes in low RAM; NULL when any of it is outside. */
u8 *loader_ram(const struct loader *l, u64 gpa, u64 bytes);

/* Copies the initrd to the highest page below `limit` whose range does not reach below `floor`. */
int loader_place_initrd(struct loader *l, u64 floor, u64 limit, u64 *gpa);

/*
 * Little-endian field of 1, 2, 4 or 8 bytes at an offset that the caller has checked against the
 * image.
 */
u64 loader_field(const u8 *data, u64 offset, u32 bytes);
void loader_put(u8 *data, u64 offset, u32 bytes, u64 value);

/* A flat segment: attr as in struct seg_state. */
struct seg_state loader_segment(u16 selector, u16 attr);

/* Memory map: fills up to LOADER_MAP_MAX rows, returns their number. */
struct loader_map_row {
	u64 base, bytes;
	u32 type; /* 1 = RAM, 2 = reserved */
};
#define LOADER_MAP_MAX 4
u32 loader_memory_map(const struct loader_ram *ram, struct loader_map_row row[LOADER_MAP_MAX]);
