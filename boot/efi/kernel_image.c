#include "boot/efi/kernel_image.h"

#include "lib/string.h"

/* ELF-64 Object File Format 1.5: "ELF header", "Program header table" */
struct elf_header {
	u8 ident[16];
	u16 type, machine;
	u32 version;
	u64 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_segment {
	u32 type, flags;
	u64 offset, vaddr, paddr, filesz, memsz, align;
};

static_assert(sizeof(struct elf_header) == 64, "ELF header");
static_assert(sizeof(struct elf_segment) == 56, "ELF program header");

#define ELF_IDENT "\177ELF\2\1\1" /* 64-bit, little-endian, version 1 */
#define ELF_X86_64 62
#define ELF_LOAD 1
#define IMAGE_MAX MiB(256) /* of any use for a kernel */

/* Multiboot2 Specification 2.0, "OS image format" */
#define MB2_HEADER_MAGIC 0xe85250d6u
#define MB2_SEARCH KiB(32)
enum mb2_header_tag { MB2_HEADER_END = 0, MB2_HEADER_ENTRY = 3, MB2_HEADER_RELOCATABLE = 10 };

static u32 read32(const u8 *p)
{
	u32 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void read_segment(const struct kernel_image *k, const struct elf_header *h, u32 i,
			 struct elf_segment *out)
{
	memcpy(out, k->file + h->phoff + (u64)i * sizeof(*out), sizeof(*out));
}

static const char *read_elf(struct kernel_image *k, struct elf_header *h)
{
	if (k->file_bytes < sizeof(*h))
		return "is too short for an ELF file";
	memcpy(h, k->file, sizeof(*h));
	if (memcmp(h->ident, ELF_IDENT, sizeof(ELF_IDENT) - 1) || h->machine != ELF_X86_64 ||
	    h->phentsize != sizeof(struct elf_segment))
		return "is not an ELF file for x86-64";
	if (h->phoff > k->file_bytes ||
	    (k->file_bytes - h->phoff) / sizeof(struct elf_segment) < h->phnum)
		return "ends before its program headers do";
	k->low = ~0ull;
	for (u32 i = 0; i < h->phnum; i++) {
		struct elf_segment s;

		read_segment(k, h, i, &s);
		if (s.type != ELF_LOAD || !s.memsz)
			continue;
		if (s.offset > k->file_bytes || s.filesz > k->file_bytes - s.offset)
			return "ends before its segments do";
		if (s.filesz > s.memsz || s.memsz > IMAGE_MAX || s.paddr > GiB(4))
			return "has a segment with impossible sizes";
		k->low = MIN(k->low, s.paddr);
		k->high = MAX(k->high, s.paddr + s.memsz);
	}
	if (k->low >= k->high || k->high - k->low > IMAGE_MAX)
		return "has no segment to load, or they lie too far apart";
	return NULL;
}

/* The header's tags at p, of `left` bytes. */
static const char *read_tags(struct kernel_image *k, const u8 *p, u32 left)
{
	bool relocatable = false;

	k->entry = ~0ull;
	while (left >= 8) {
		u32 type = read32(p) & 0xffff, size = read32(p + 4);

		if (type == MB2_HEADER_END || size < 8 || size > left)
			break;
		if (type == MB2_HEADER_ENTRY && size >= 12)
			k->entry = read32(p + 8);
		if (type == MB2_HEADER_RELOCATABLE && size >= 24) {
			k->load_min = read32(p + 8);
			k->load_max = read32(p + 12);
			k->align = read32(p + 16);
			relocatable = true;
		}
		size = MIN(ALIGN_UP(size, 8u), left);
		p += size;
		left -= size;
	}
	if (k->entry < k->low || k->entry >= k->high)
		return "has no multiboot2 entry address inside its segments";
	if (!relocatable || k->align < PAGE_SIZE || (k->align & (k->align - 1)) ||
	    !IS_ALIGNED(k->low, k->align))
		return "has no multiboot2 tag that lets it be loaded where memory is free";
	return NULL;
}

const char *kernel_image_read(const void *file, u64 bytes, struct kernel_image *out)
{
	struct elf_header h;
	const char *bad;

	*out = (struct kernel_image){.file = file, .file_bytes = bytes};
	bad = read_elf(out, &h);
	if (bad)
		return bad;
	for (u64 at = 0; at + 16 <= MIN(bytes, MB2_SEARCH); at += 8) {
		const u8 *p = out->file + at;
		u32 length = read32(p + 8);

		if (read32(p) == MB2_HEADER_MAGIC && !read32(p + 4) &&
		    !(MB2_HEADER_MAGIC + length + read32(p + 12)) && length >= 16 &&
		    length <= bytes - at)
			return read_tags(out, p + 16, length - 16);
	}
	return "has no multiboot2 header in its first 32 KiB";
}

void kernel_image_load(const struct kernel_image *k, void *memory)
{
	struct elf_header h;

	memcpy(&h, k->file, sizeof(h));
	memset(memory, 0, k->high - k->low);
	for (u32 i = 0; i < h.phnum; i++) {
		struct elf_segment s;

		read_segment(k, &h, i, &s);
		if (s.type == ELF_LOAD && s.memsz)
			memcpy((u8 *)memory + (s.paddr - k->low), k->file + s.offset, s.filesz);
	}
}
