/* What every boot path fills in before kernel_main; nothing later looks at the boot protocol. */
#pragma once

#include "lib/ranges.h"

#define BOOT_MAX_MODULES 320 /* 256 definitions of VMs, and what they name */
#define BOOT_CMDLINE 1024
#define BOOT_MODULE_NAME 64

struct boot_module {
	hpa_t start; /* page-aligned */
	u64 bytes;   /* exact size */
	char name[BOOT_MODULE_NAME];
};

/* Where the log can be shown: a linear framebuffer of 32-bit pixels, or VGA text. */
struct boot_screen {
	hpa_t base;
	u64 bytes; /* at most SCREEN_MAX; 0: no screen */
	u32 pitch; /* bytes from one line to the next */
	/* pixels, or characters of VGA text; at least one character wide and two high */
	u32 width, height;
	bool text;
};

struct bootinfo {
	u64 entry_tsc;	    /* at the first instruction of ours */
	hpa_t kernel_start; /* where the image was loaded, 2 MiB-aligned */
	u64 kernel_bytes;   /* with bss, rounded up to 2 MiB */
	u8 rsdp_copy[36];   /* the loader's copy when it gives one: rsdp_bytes > 0 */
	u32 rsdp_bytes;
	u32 modules;
	char loader[32]; /* "GRUB 2.06", for the log */
	char cmdline[BOOT_CMDLINE];
	struct boot_screen screen;
	struct ranges ram; /* usable, page-aligned inwards */
	struct boot_module module[BOOT_MAX_MODULES];
	/* not empty: refuse with this text (broken memory map, cmdline too long, ...) */
	char error[128];
};

extern struct bootinfo bootinfo; /* [I] after boot_main */

/*
 * The kernel's start, called by every boot path on its own stack with the low 4 GiB
 * identity-mapped.
 */
void kernel_main(void) __noreturn;
