/*
 * Multiboot-1 ELF images, 32 and 64 bit. Multiboot Specification 0.6.96; System V ABI, "Object
 * Files".
 */
#include "arch/cpu.h"
#include "guest-loader/format.h"
#include "lib/string.h"

enum multiboot_header {
	MB_MAGIC = 0x1badb002,
	MB_SEARCH = 8192,     /* the header lies in the first 8 KiB, 4-aligned */
	MB_HEADER_BYTES = 12, /* magic, flags, checksum */
	MB_PAGE_ALIGN = 1 << 0,
	MB_MEMORY_INFO = 1 << 1,
	MB_VIDEO_MODE = 1 << 2,	  /* a wish; no mode is reported */
	MB_REQUIRED = 0xffff,	  /* unknown bits here must be refused */
	MB_AOUT_KLUDGE = 1 << 16, /* load addresses in the header instead of ELF */
	MB_AOUT_BYTES = 32,
};

/* offsets; all fields 4 bytes */
enum multiboot_info {
	MBI_FLAGS = 0,
	MBI_MEM_LOWER = 4, /* KiB */
	MBI_MEM_UPPER = 8, /* KiB from 1 MiB on */
	MBI_CMDLINE = 16,
	MBI_MODS_COUNT = 20,
	MBI_MODS_ADDR = 24,
	MBI_MMAP_LENGTH = 44,
	MBI_MMAP_ADDR = 48,
	MBI_LOADER_NAME = 64,
	MBI_BYTES = 120,
	MBI_HAS_MEMORY = 1 << 0,
	MBI_HAS_CMDLINE = 1 << 2,
	MBI_HAS_MODS = 1 << 3,
	MBI_HAS_MMAP = 1 << 6,
	MBI_HAS_LOADER_NAME = 1 << 9,
};

enum { MB_BOOT_MAGIC = 0x2badb002 };

/*
 * What the guest reads at start lies from here to LOADER_LOW_END; segments must stay clear of it.
 */
enum {
	INFO_GPA = 0x90000,
	MODS_GPA = 0x90080,
	MMAP_GPA = 0x900c0,
	NAME_GPA = 0x90180,
	MOD_NAME_GPA = 0x901c0,
	MOD_NAME_ROOM = 0x100,
	CMDLINE_GPA = 0x90400,
	CMDLINE_ROOM = 0x1000,
};

/* ELF: offsets and widths of the two classes. */
struct elf_layout {
	u32 header_bytes, phdr_bytes, word; /* word: width of an address */
	u32 entry, phoff, phentsize, phnum;
	u32 p_offset, p_vaddr, p_paddr, p_filesz, p_memsz;
};

static const struct elf_layout elf_layouts[2] = {
	{52, 32, 4, 24, 28, 42, 44, 4, 8, 12, 16, 20},
	{64, 56, 8, 24, 32, 54, 56, 8, 16, 24, 32, 40},
};

enum {
	ELF_CLASS = 4,
	ELF_DATA = 5,
	ELF_MACHINE = 18,
	EM_386 = 3,
	EM_X86_64 = 62,
	PT_LOAD = 1,
	PHDRS_MAX = 64
};

typedef unsigned long long ull;

/*
 * Offset of the multiboot header: the first with a good checksum, else the first with the magic; or
 * -1.
 */
static s64 find_header(const struct loader_image *image)
{
	u64 limit = MIN(image->bytes, (u64)MB_SEARCH);
	s64 found = -1;

	for (u64 at = 0; at + MB_HEADER_BYTES <= limit; at += 4) {
		const u8 *h = image->data + at;

		if (loader_field(h, 0, 4) != MB_MAGIC)
			continue;
		if (!(u32)(MB_MAGIC + loader_field(h, 4, 4) + loader_field(h, 8, 4)))
			return (s64)at;
		if (found < 0)
			found = (s64)at;
	}
	return found;
}

static bool multiboot_probe(const struct loader_image *image) { return find_header(image) >= 0; }

/* Copies a segment and clears the rest of it. */
static int load_segment(struct loader *l, const char *what, u64 gpa, u64 offset, u64 file_bytes,
			u64 mem_bytes, u64 *top)
{
	if (file_bytes > l->kernel->bytes || offset > l->kernel->bytes - file_bytes)
		return loader_fail(
			l, "%s: %#llx bytes at offset %#llx, expected within the file's %#llx",
			what, (ull)file_bytes, (ull)offset, (ull)l->kernel->bytes);
	if (mem_bytes < file_bytes)
		return loader_fail(
			l,
			"%s: %#llx bytes in memory, expected at least its %#llx bytes in the file",
			what, (ull)mem_bytes, (ull)file_bytes);
	u8 *ram = loader_ram(l, gpa, mem_bytes);

	if (!ram)
		return loader_fail(
			l, "%s: %#llx bytes at address %#llx, expected within memory, %#llx", what,
			(ull)mem_bytes, (ull)gpa, (ull)l->ram->low_bytes);
	if (gpa < MiB(1) && gpa + mem_bytes > INFO_GPA)
		return loader_fail(
			l, "%s: %#llx bytes at address %#llx, expected outside 0x90000 to 0x100000",
			what, (ull)mem_bytes, (ull)gpa);
	memcpy(ram, l->kernel->data + offset, file_bytes);
	memset(ram + file_bytes, 0, mem_bytes - file_bytes);
	*top = MAX(*top, gpa + mem_bytes);
	return 0;
}

static int check_elf(struct loader *l, const struct elf_layout **layout)
{
	const u8 *d = l->kernel->data;

	if (l->kernel->bytes < 64 || loader_field(d, 0, 4) != 0x464c457f)
		return loader_fail(l,
				   "ELF magic: %#llx, expected 0x464c457f, as multiboot flag bit "
				   "16 is not set",
				   l->kernel->bytes >= 4 ? (ull)loader_field(d, 0, 4) : 0);
	if (d[ELF_CLASS] != 1 && d[ELF_CLASS] != 2)
		return loader_fail(l, "ELF class: %u, expected 1 (32-bit) or 2 (64-bit)",
				   d[ELF_CLASS]);
	if (d[ELF_DATA] != 1)
		return loader_fail(l, "ELF data encoding: %u, expected 1 (little-endian)",
				   d[ELF_DATA]);
	u64 machine = loader_field(d, ELF_MACHINE, 2);

	if (machine != EM_386 && machine != EM_X86_64)
		return loader_fail(l, "e_machine: %llu, expected 3 (386) or 62 (x86-64)",
				   (ull)machine);
	*layout = &elf_layouts[d[ELF_CLASS] - 1];

	const struct elf_layout *e = *layout;
	u64 phoff = loader_field(d, e->phoff, e->word), size = loader_field(d, e->phentsize, 2);
	u64 count = loader_field(d, e->phnum, 2);

	if (size != e->phdr_bytes)
		return loader_fail(l, "e_phentsize: %llu, expected %u", (ull)size, e->phdr_bytes);
	if (!count || count > PHDRS_MAX)
		return loader_fail(l, "e_phnum: %llu, expected 1 to 64", (ull)count);
	if (phoff > l->kernel->bytes || count * size > l->kernel->bytes - phoff)
		return loader_fail(
			l,
			"e_phoff: %#llx with %llu headers, expected within the file's %#llx bytes",
			(ull)phoff, (ull)count, (ull)l->kernel->bytes);
	return 0;
}

/* The entry may be a linked address: the segment that has it tells the physical one. */
static int load_elf(struct loader *l, u64 *entry, u64 *top)
{
	const struct elf_layout *e = &elf_layouts[0];
	const u8 *d = l->kernel->data;
	bool found = false;
	int err = check_elf(l, &e);

	if (err)
		return err;
	u64 linked = loader_field(d, e->entry, e->word), count = loader_field(d, e->phnum, 2);

	for (u64 i = 0; i < count; i++) {
		const u8 *p = d + loader_field(d, e->phoff, e->word) + i * e->phdr_bytes;
		u64 vaddr = loader_field(p, e->p_vaddr, e->word),
		    gpa = loader_field(p, e->p_paddr, e->word);
		u64 mem_bytes = loader_field(p, e->p_memsz, e->word);

		if (loader_field(p, 0, 4) != PT_LOAD || !mem_bytes)
			continue;
		err = load_segment(l, "PT_LOAD segment", gpa, loader_field(p, e->p_offset, e->word),
				   loader_field(p, e->p_filesz, e->word), mem_bytes, top);
		if (err)
			return err;
		if (!found && linked - vaddr < mem_bytes) {
			*entry = gpa + (linked - vaddr);
			found = true;
		}
	}
	if (!found)
		return loader_fail(l, "e_entry: %#llx, expected within a PT_LOAD segment",
				   (ull)linked);
	return 0;
}

/* The address fields of the header: where the file's bytes from load_addr on go. */
static int load_aout(struct loader *l, u64 at, u64 *entry, u64 *top)
{
	const u8 *d = l->kernel->data;

	if (at + MB_AOUT_BYTES > l->kernel->bytes)
		return loader_fail(
			l, "multiboot header: at %#llx, expected 32 bytes within the file's %#llx",
			(ull)at, (ull)l->kernel->bytes);
	u64 header = loader_field(d, at + 12, 4), load = loader_field(d, at + 16, 4);
	u64 load_end = loader_field(d, at + 20, 4), bss_end = loader_field(d, at + 24, 4);

	if (load > header || header - load > at)
		return loader_fail(
			l,
			"load_addr: %#llx, expected at most header_addr %#llx and at least %#llx",
			(ull)load, (ull)header, (ull)(header > at ? header - at : 0));
	u64 offset = at - (header - load);

	if (!load_end)
		load_end = load + (l->kernel->bytes - offset);
	if (load_end < load)
		return loader_fail(l, "load_end_addr: %#llx, expected at least load_addr %#llx",
				   (ull)load_end, (ull)load);
	*entry = loader_field(d, at + 28, 4);
	if (*entry < load || *entry >= load_end)
		return loader_fail(
			l,
			"entry_addr: %#llx, expected from load_addr %#llx to load_end_addr %#llx",
			(ull)*entry, (ull)load, (ull)load_end);
	return load_segment(l, "load_addr", load, offset, load_end - load,
			    MAX(bss_end, load_end) - load, top);
}

static void write_info(struct loader *l, u64 module_gpa)
{
	u8 *ram = l->ram->host, *info = ram + INFO_GPA;
	struct loader_map_row row[LOADER_MAP_MAX];
	u32 rows = loader_memory_map(l->ram, row);
	size_t name = str_copy((char *)ram + CMDLINE_GPA, l->kernel->name, CMDLINE_ROOM);

	memset(info, 0, MBI_BYTES);
	loader_put(info, MBI_FLAGS, 4,
		   MBI_HAS_MEMORY | MBI_HAS_CMDLINE | MBI_HAS_MODS | MBI_HAS_MMAP |
			   MBI_HAS_LOADER_NAME);
	loader_put(info, MBI_MEM_LOWER, 4, LOADER_LOW_END >> 10);
	loader_put(info, MBI_MEM_UPPER, 4, (l->ram->low_bytes - MiB(1)) >> 10);
	loader_put(info, MBI_CMDLINE, 4, CMDLINE_GPA);
	loader_put(info, MBI_MMAP_ADDR, 4, MMAP_GPA);
	loader_put(info, MBI_MMAP_LENGTH, 4, rows * 24);
	loader_put(info, MBI_LOADER_NAME, 4, NAME_GPA);
	str_copy((char *)ram + NAME_GPA, "Caisson", MOD_NAME_GPA - NAME_GPA);
	/* as other loaders do: the image's name, a blank, the arguments */
	ram[CMDLINE_GPA + name] = ' ';
	str_copy((char *)ram + CMDLINE_GPA + name + 1, l->cmdline, CMDLINE_ROOM - name - 1);
	for (u32 i = 0; i < rows; i++) {
		loader_put(ram, MMAP_GPA + i * 24, 4, 20); /* size of the row without this field */
		loader_put(ram, MMAP_GPA + i * 24 + 4, 8, row[i].base);
		loader_put(ram, MMAP_GPA + i * 24 + 12, 8, row[i].bytes);
		loader_put(ram, MMAP_GPA + i * 24 + 20, 4, row[i].type);
	}
	loader_put(info, MBI_MODS_ADDR, 4, MODS_GPA);
	if (!l->initrd || !l->initrd->bytes)
		return;
	loader_put(info, MBI_MODS_COUNT, 4, 1);
	loader_put(ram, MODS_GPA, 4, module_gpa);
	loader_put(ram, MODS_GPA + 4, 4, module_gpa + l->initrd->bytes);
	loader_put(ram, MODS_GPA + 8, 4, MOD_NAME_GPA);
	loader_put(ram, MODS_GPA + 12, 4, 0);
	str_copy((char *)ram + MOD_NAME_GPA, l->initrd->name, MOD_NAME_ROOM);
}

static void set_state(struct vcpu_state *s, u64 entry)
{
	s->rip = entry;
	s->gpr[GPR_RAX] = MB_BOOT_MAGIC;
	s->gpr[GPR_RBX] = INFO_GPA;
	s->seg[SEG_CS] =
		loader_segment(0x08, SEG_ATTR_G | SEG_ATTR_DB | SEG_ATTR_P | SEG_ATTR_S | 11);
	for (u32 i = 0; i < SEG_LDTR; i++)
		if (i != SEG_CS)
			s->seg[i] = loader_segment(0x10, SEG_ATTR_G | SEG_ATTR_DB | SEG_ATTR_P |
								 SEG_ATTR_S | 3);
	s->cr0 = CR0_PE | CR0_ET;
}

static int multiboot_load(struct loader *l)
{
	u64 at = (u64)find_header(l->kernel), entry = 0, top = 0, module_gpa = 0;
	u64 flags = loader_field(l->kernel->data, at + 4, 4);
	u32 sum = (u32)(MB_MAGIC + flags + loader_field(l->kernel->data, at + 8, 4));

	if (sum)
		return loader_fail(
			l,
			"multiboot checksum: magic, flags and checksum add up to %#x, expected 0",
			sum);
	if (flags & MB_REQUIRED & ~(u64)(MB_PAGE_ALIGN | MB_MEMORY_INFO | MB_VIDEO_MODE))
		return loader_fail(l, "multiboot flags: %#llx, expected none of bits 3 to 15",
				   (ull)flags);
	if (strlen(l->kernel->name) + strlen(l->cmdline) + 2 > CMDLINE_ROOM)
		return loader_fail(l, "command line: %llu characters, expected at most %d",
				   (ull)strlen(l->cmdline),
				   CMDLINE_ROOM - 2 - (int)strlen(l->kernel->name));
	int e = flags & MB_AOUT_KLUDGE ? load_aout(l, at, &entry, &top) : load_elf(l, &entry, &top);

	if (!e && l->initrd && l->initrd->bytes)
		e = loader_place_initrd(l, MAX(top, MiB(1)), l->ram->low_bytes, &module_gpa);
	if (e)
		return e;
	write_info(l, module_gpa);
	set_state(l->out, entry);
	return 0;
}

const struct loader_format loader_multiboot = {"multiboot", multiboot_probe, multiboot_load};
