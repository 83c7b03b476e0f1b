/*
 * Guest images: what a VM boots from, put into guest RAM together with what its boot protocol wants
 * around it (tables, command line, memory map, initrd), and the state that the first vCPU starts
 * in. The image is never trusted: every offset and size in it is checked against the file and
 * against RAM.
 */
#pragma once

#include "uapi/run.h"

struct loader_image {
	const u8 *data;
	u64 bytes;
	const char *name; /* for messages, and the module string of multiboot */
};

struct loader_ram {
	u8 *host;
	u64 low_bytes;	/* RAM at 0..; 2 MiB up to 0xc0000000 */
	u64 high_bytes; /* RAM at 4 GiB.., from host + low_bytes on */
	u64 rsdp_gpa;	/* the guest's ACPI root pointer; 0 = none */
};

/* Below 1 MiB: E820 says usable up to here, reserved (but RAM: ACPI tables) from here to 1 MiB. */
#define LOADER_LOW_END 0x9fc00ull

/*
 * Finds the image's format, loads it and fills out's groups GPR, SEG and CR (out->groups names
 * them; the rest of *out is zeroed). initrd may be NULL; cmdline may be empty. 0, or -E_INVAL:
 * error then names the field, its value and what was expected. RAM may have been written in part
 * then.
 */
int loader_load(const struct loader_image *kernel, const struct loader_image *initrd,
		const char *cmdline, const struct loader_ram *ram, struct vcpu_state *out,
		char *error, size_t error_size);
