/*
 * The UEFI application's configuration file: key = value lines, # begins a comment.
 *
 *	kernel = PATH		the kernel, once
 *	args = WORDS		boot options; several lines are joined by spaces
 *	module = NAME PATH	a boot module; NAME is what Caisson calls it
 */
#pragma once

#include "hv/bootinfo.h"

#define CONFIG_PATH 256

struct config_module {
	u32 line; /* where it stands in the file */
	char name[BOOT_MODULE_NAME];
	char path[CONFIG_PATH];
};

struct config {
	u32 kernel_line;
	char kernel[CONFIG_PATH];
	char args[BOOT_CMDLINE];
	u32 modules;
	struct config_module module[BOOT_MAX_MODULES];
	char error[160]; /* with the line's number: "3: ..." */
};

/* Reads bytes of text. False: out->error says what is wrong and what was expected. Pure. */
bool config_parse(const char *text, u64 bytes, struct config *out) __must_check;
