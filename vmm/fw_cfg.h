/*
 * fw_cfg: what firmware and systems ask the machine about itself, by a 16-bit selector and a data
 * port. QEMU, "QEMU Firmware Configuration (fw_cfg) Device"; the DMA interface is not offered.
 */
#pragma once

#include "vmm/device.h"
#include "vmm/ram.h"

#define FW_CFG_PORT_BASE 0x510u /* +0: selector, 2 bytes, write only; +1: data, a byte */
#define FW_CFG_PORT_BYTES 2u

#define FW_CFG_FILES 1
#define FW_CFG_FILE_NAME 56

/* etc/e820: RAM, as INT 15h E820 has it. */
struct fw_cfg_e820 {
	u64 base, bytes;
	u32 type;
} __packed;

struct fw_cfg_file { /* a row of the directory: numbers are big-endian */
	u32 size;
	u16 key, reserved;
	char name[FW_CFG_FILE_NAME];
} __packed;

struct fw_cfg {
	struct device dev;
	u16 key;
	u32 offset; /* in the item of that key */
	/* [I] the items' contents */
	u64 ram_bytes;
	u16 vcpus, possible;
	struct fw_cfg_e820 e820[2];
	u32 e820_rows;
	struct {
		u32 count; /* big-endian */
		struct fw_cfg_file file[FW_CFG_FILES];
	} __packed directory;
};

/* The machine has that RAM and, at power-on, `vcpus` of `possible` CPUs. */
void fw_cfg_init(struct fw_cfg *f, struct platform *plat, const struct ram *ram, u16 vcpus,
		 u16 possible);
