/* The kernel's file: an ELF64 with a multiboot2 header that says how it may be loaded. */
#pragma once

#include "lib/types.h"

struct kernel_image {
	const u8 *file;
	u64 file_bytes;
	u64 low, high; /* physical addresses that it is linked at; high is exclusive */
	u64 entry;     /* linked physical address of the 32-bit entry */
	u64 load_min;  /* it may be loaded at a multiple of align, from load_min on */
	u64 load_max;  /* highest address of its last byte */
	u64 align;
};

/* Returns NULL, or what is wrong with the file. Pure. */
const char *kernel_image_read(const void *file, u64 bytes, struct kernel_image *out) __must_check;
/*
 * Copies the segments to memory that holds high - low bytes, for a load address of k->low; zeroes
 * the rest.
 */
void kernel_image_load(const struct kernel_image *k, void *memory);
