/*
 * Builds the multiboot2 information (boot/multiboot2.h), so that the kernel has one way to be
 * started. All pure; what does not fit is left out and makes info_end() return NULL.
 */
#pragma once

#include "boot/multiboot2.h"

struct info {
	u8 *buf; /* 8-byte aligned */
	u32 size, used;
	bool full;
	u32 map; /* where the memory map's tag begins; 0: none yet */
};

void info_begin(struct info *i, void *buf, u32 size);
void info_string(struct info *i, enum mb2_tag_type type, const char *s);
void info_module(struct info *i, u32 start, u32 end, const char *name);
/* bytes of the RSDP; the type follows from its revision. */
void info_rsdp(struct info *i, const void *rsdp, u32 bytes, bool acpi2);
void info_framebuffer(struct info *i, u64 address, u32 pitch, u32 width, u32 height);
/*
 * The entries of the memory map come last and one after the other; neighbours of one kind are
 * joined.
 */
void info_memory(struct info *i, u64 start, u64 bytes, bool usable);
/* The whole, or NULL when it did not fit. */
const void *info_end(struct info *i) __must_check;
