/*
 * A ring-3 program as the build makes it: a flat image. The file holds text, read-only data and
 * data, each page-aligned, in this order; the header is the first bytes of text. bss follows data
 * in memory.
 */
#pragma once

#include "uapi/abi.h"

#define IMAGE_MAGIC 0x31474d494e534343ull /* "CCSNIMG1" */

struct image_header {
	u64 magic;
	u32 uapi_version;
	u32 header_size;
	u64 base;	 /* virtual address of the first byte, page-aligned */
	u64 entry;	 /* virtual address, inside text */
	u64 text_size;	 /* multiples of the page size; text is mapped R+X, */
	u64 rodata_size; /* read-only data R, */
	u64 data_size;	 /* data and bss R+W */
	u64 bss_size;
};

/* What the kernel hands to init: rdi points to it, mapped read-only. */
#define INIT_MODULES 320
#define INIT_INFO_VA 0x00007fffff000000ull
#define INIT_STACK_TOP 0x00007ffff0000000ull
#define INIT_STACK_SIZE KiB(64)
#define INIT_MSG_VA 0x00007ffffe000000ull

struct init_module {
	char name[64];	 /* the module's string; longer ones are refused at boot with a message */
	handle_t memory; /* read-only memory object; bytes beyond size in the last page are zero */
	u32 reserved;
	u64 size;
};

struct init_info {
	u32 size; /* sizeof this structure */
	u32 uapi_version;
	handle_t system; /* all rights */
	handle_t thread; /* its own: all rights */
	u32 modules, reserved;
	char cmdline[1024];
	struct init_module module[INIT_MODULES];
};
