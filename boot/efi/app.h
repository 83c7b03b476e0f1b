/* The UEFI application: what its parts share. Firmware calls only before the boot services end. */
#pragma once

#ifndef GNU_EFI_USE_MS_ABI
#define GNU_EFI_USE_MS_ABI /* firmware functions are called by their own convention */
#endif
#include <efi.h>

#include "lib/types.h"

extern EFI_SYSTEM_TABLE *app_st; /* [I] */
extern EFI_HANDLE app_image;	 /* [I] */

/* A line on the firmware's console, which the firmware may lead to a serial line too. */
void app_say(const char *fmt, ...) __printf(1, 2);
/*
 * Says why the machine can't be started, waits for a key (a minute at most), gives the memory back
 * and returns to the firmware, which goes on with its next boot entry.
 */
void app_fail(const char *fmt, ...) __printf(1, 2) __noreturn;
/* "not found", "device error", ...: a status in words. */
const char *app_status(EFI_STATUS s);

/*
 * Memory for good: page-aligned and below 4 GiB, as the multiboot2 information needs it. NULL: none
 * left.
 */
void *memory_alloc(u64 bytes, EFI_MEMORY_TYPE type);
/* The lowest free memory of that size at a multiple of align in [min, max]. NULL: none. */
void *memory_alloc_at(u64 bytes, u64 align, u64 min, u64 max);
void memory_free_all(void);

struct file {
	void *data; /* from memory_alloc */
	u64 bytes;
};

/*
 * Opens the place that the application was loaded from. Fails with a message when it has no files.
 */
void volume_open(void);
/*
 * Reads a file. name: as in the configuration, with / or \; from the volume's root when it begins
 * with one, else from the application's folder. False: *status says why.
 */
bool volume_read(const char *name, struct file *out, EFI_STATUS *status);
