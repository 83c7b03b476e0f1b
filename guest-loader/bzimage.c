/*
 * Linux bzImage by the 64-bit boot protocol. Linux Documentation/arch/x86/boot.rst, zero-page.rst.
 */
#include "arch/cpu.h"
#include "guest-loader/format.h"
#include "lib/string.h"

/* struct setup_header: offsets in the image and in the zero page alike. */
enum setup_header {
	SH_SETUP_SECTS = 0x1f1,	   /* 1: size of the real-mode part in sectors, without the first */
	SH_BOOT_FLAG = 0x1fe,	   /* 2: 0xaa55 */
	SH_JUMP = 0x201,	   /* 1: the header ends this far behind 0x202 */
	SH_MAGIC = 0x202,	   /* 4: "HdrS" */
	SH_VERSION = 0x206,	   /* 2 */
	SH_TYPE_OF_LOADER = 0x210, /* 1 */
	SH_LOADFLAGS = 0x211,	   /* 1 */
	SH_RAMDISK_IMAGE = 0x218,  /* 4 */
	SH_RAMDISK_SIZE = 0x21c,   /* 4 */
	SH_CMD_LINE_PTR = 0x228,   /* 4 */
	SH_INITRD_ADDR_MAX = 0x22c, /* 4: highest address of its last byte */
	SH_XLOADFLAGS = 0x236,	    /* 2 */
	SH_CMDLINE_SIZE = 0x238,    /* 4: without the terminator */
	SH_PREF_ADDRESS = 0x258,    /* 8 */
	SH_INIT_SIZE = 0x260,	    /* 4: memory that the kernel needs from its load address on */
	SH_END = 0x264,		    /* of version 2.10 and what we read */
	SH_MAX = 0x290,		    /* the zero page has no more room */
};

enum {
	LOADFLAGS_LOADED_HIGH = 1,
	XLF_KERNEL_64 = 1, /* has the 64-bit entry at 0x200 */
	ENTRY_64 = 0x200,
	VERSION_MIN = 0x20c, /* the first with xloadflags */
};

/* struct boot_params, the zero page. */
enum zero_page {
	ZP_ACPI_RSDP = 0x070,	 /* 8 */
	ZP_E820_ENTRIES = 0x1e8, /* 1 */
	ZP_E820_TABLE = 0x2d0,	 /* rows of base 8, size 8, type 4 */
	ZP_E820_ROW = 20,
};

/* Where the pieces lie in guest memory, all below LOADER_LOW_END. */
enum {
	GDT_GPA = 0x8000,
	PAGE_TABLES_GPA = 0x9000, /* PML4, PDPT, four page directories: 4 GiB by 2 MiB pages */
	ZERO_PAGE_GPA = 0x10000,
	CMDLINE_GPA = 0x20000,
	CMDLINE_ROOM = 0x10000,
	STACK_GPA = 0x8000, /* top */
	BOOT_CS = 0x10,
	BOOT_DS = 0x18,
};

typedef unsigned long long ull;

static u64 field(const struct loader *l, u64 offset, u32 bytes)
{
	return loader_field(l->kernel->data, offset, bytes);
}

static bool bzimage_probe(const struct loader_image *image)
{
	return image->bytes >= SH_MAGIC + 4 && !memcmp(image->data + SH_MAGIC, "HdrS", 4);
}

/* Byte offset of the protected-mode part. */
static u64 setup_bytes(const struct loader *l)
{
	u64 sectors = field(l, SH_SETUP_SECTS, 1);

	return ((sectors ? sectors : 4) + 1) * 512;
}

static int check_header(struct loader *l)
{
	if (l->kernel->bytes < SH_END)
		return loader_fail(l,
				   "file size: %llu, expected more than the setup header's 0x264",
				   (ull)l->kernel->bytes);
	u64 end = SH_MAGIC + field(l, SH_JUMP, 1);

	if (field(l, SH_BOOT_FLAG, 2) != 0xaa55)
		return loader_fail(l, "boot_flag: %#llx, expected 0xaa55",
				   (ull)field(l, SH_BOOT_FLAG, 2));
	if (field(l, SH_VERSION, 2) < VERSION_MIN)
		return loader_fail(l, "version: %#llx, expected 0x20c or later",
				   (ull)field(l, SH_VERSION, 2));
	if (end < SH_END || end > SH_MAX || end > l->kernel->bytes)
		return loader_fail(l, "jump: header ends at %#llx, expected 0x264 to 0x290",
				   (ull)end);
	if (!(field(l, SH_LOADFLAGS, 1) & LOADFLAGS_LOADED_HIGH))
		return loader_fail(
			l,
			"loadflags: %#llx, expected bit 0 (LOADED_HIGH: a bzImage, not a zImage)",
			(ull)field(l, SH_LOADFLAGS, 1));
	if (!(field(l, SH_XLOADFLAGS, 2) & XLF_KERNEL_64))
		return loader_fail(
			l, "xloadflags: %#llx, expected bit 0 (XLF_KERNEL_64: 64-bit entry)",
			(ull)field(l, SH_XLOADFLAGS, 2));
	if (setup_bytes(l) + ENTRY_64 >= l->kernel->bytes)
		return loader_fail(l,
				   "setup_sects: %llu, expected the kernel to follow within the "
				   "file's %llu bytes",
				   (ull)field(l, SH_SETUP_SECTS, 1), (ull)l->kernel->bytes);
	if (strlen(l->cmdline) > MIN(field(l, SH_CMDLINE_SIZE, 4), (u64)CMDLINE_ROOM - 1))
		return loader_fail(l,
				   "cmdline_size: %llu, expected at least the command line's %llu",
				   (ull)field(l, SH_CMDLINE_SIZE, 4), (ull)strlen(l->cmdline));
	return 0;
}

/* Always at pref_address: even a relocatable kernel that starts below it moves itself there. */
static int place_kernel(struct loader *l, u64 *load, u64 *need)
{
	u64 file = l->kernel->bytes - setup_bytes(l);

	*load = field(l, SH_PREF_ADDRESS, 8);
	*need = MAX(field(l, SH_INIT_SIZE, 4), file);
	if (*load < MiB(1) || !IS_ALIGNED(*load, PAGE_SIZE))
		return loader_fail(l, "pref_address: %#llx, expected a page from 0x100000 on",
				   (ull)*load);
	if (!loader_ram(l, *load, *need))
		return loader_fail(l,
				   "init_size: %#llx bytes at pref_address %#llx, expected to end "
				   "within memory, %#llx: "
				   "give the VM more memory",
				   (ull)*need, (ull)*load, (ull)l->ram->low_bytes);
	return 0;
}

static void write_zero_page(struct loader *l, u64 initrd_gpa)
{
	u8 *zp = l->ram->host + ZERO_PAGE_GPA;
	u64 end = SH_MAGIC + field(l, SH_JUMP, 1);
	struct loader_map_row row[LOADER_MAP_MAX];
	u32 rows = loader_memory_map(l->ram, row);

	memset(zp, 0, PAGE_SIZE);
	memcpy(zp + SH_SETUP_SECTS, l->kernel->data + SH_SETUP_SECTS, end - SH_SETUP_SECTS);
	loader_put(zp, SH_TYPE_OF_LOADER, 1, 0xff); /* "undefined": has no number assigned */
	loader_put(zp, SH_CMD_LINE_PTR, 4, CMDLINE_GPA);
	loader_put(zp, SH_RAMDISK_IMAGE, 4, initrd_gpa);
	loader_put(zp, SH_RAMDISK_SIZE, 4, l->initrd ? l->initrd->bytes : 0);
	loader_put(zp, ZP_ACPI_RSDP, 8, l->ram->rsdp_gpa);
	loader_put(zp, ZP_E820_ENTRIES, 1, rows);
	for (u32 i = 0; i < rows; i++) {
		u64 at = ZP_E820_TABLE + i * ZP_E820_ROW;

		loader_put(zp, at, 8, row[i].base);
		loader_put(zp, at + 8, 8, row[i].bytes);
		loader_put(zp, at + 16, 4, row[i].type);
	}
	memcpy(l->ram->host + CMDLINE_GPA, l->cmdline, strlen(l->cmdline) + 1);
}

/* Identity tables of the first 4 GiB and a GDT with the two segments that the protocol names. */
static void write_tables(struct loader *l)
{
	enum { PTE_P_RW = 3, PTE_PS = 0x80 };
	u8 *tables = l->ram->host + PAGE_TABLES_GPA, *gdt = l->ram->host + GDT_GPA;

	memset(tables, 0, 6 * PAGE_SIZE);
	loader_put(tables, 0, 8, (PAGE_TABLES_GPA + PAGE_SIZE) | PTE_P_RW);
	for (u64 i = 0; i < 4; i++)
		loader_put(tables, PAGE_SIZE + i * 8, 8,
			   (PAGE_TABLES_GPA + (2 + i) * PAGE_SIZE) | PTE_P_RW);
	for (u64 i = 0; i < 4 * 512; i++)
		loader_put(tables, 2 * PAGE_SIZE + i * 8, 8, i * PAGE_2M | PTE_P_RW | PTE_PS);
	memset(gdt, 0, 32);
	loader_put(gdt, BOOT_CS, 8, 0x00af9b000000ffff);
	loader_put(gdt, BOOT_DS, 8, 0x00cf93000000ffff);
}

static void set_state(struct vcpu_state *s, u64 load)
{
	s->rip = load + ENTRY_64;
	s->gpr[GPR_RSI] = ZERO_PAGE_GPA;
	s->gpr[GPR_RSP] = STACK_GPA;
	s->seg[SEG_CS] =
		loader_segment(BOOT_CS, SEG_ATTR_G | SEG_ATTR_L | SEG_ATTR_P | SEG_ATTR_S | 11);
	for (u32 i = 0; i < SEG_LDTR; i++)
		if (i != SEG_CS)
			s->seg[i] = loader_segment(BOOT_DS, SEG_ATTR_G | SEG_ATTR_DB | SEG_ATTR_P |
								    SEG_ATTR_S | 3);
	s->gdtr = (struct table_state){.base = GDT_GPA, .limit = 31};
	s->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	s->cr3 = PAGE_TABLES_GPA;
	s->cr4 = CR4_PAE;
	s->efer = EFER_LME | EFER_LMA;
}

static int bzimage_load(struct loader *l)
{
	u64 load = 0, need = 0, initrd_gpa = 0;
	int e = check_header(l);

	if (!e)
		e = place_kernel(l, &load, &need);
	if (!e && l->initrd && l->initrd->bytes)
		e = loader_place_initrd(l, load + need, field(l, SH_INITRD_ADDR_MAX, 4) + 1,
					&initrd_gpa);
	if (e)
		return e;
	memcpy(l->ram->host + load, l->kernel->data + setup_bytes(l),
	       l->kernel->bytes - setup_bytes(l));
	write_zero_page(l, initrd_gpa);
	write_tables(l);
	set_state(l->out, load);
	return 0;
}

const struct loader_format loader_bzimage = {"bzImage", bzimage_probe, bzimage_load};
