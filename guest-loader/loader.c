#include "guest-loader/loader.h"

#include "arch/cpu.h"
#include "guest-loader/format.h"
#include "lib/fmt.h"
#include "lib/string.h"

static const struct loader_format *const formats[] = {&loader_bzimage, &loader_multiboot};

int loader_fail(struct loader *l, const char *fmt, ...)
{
	int n = fmt_snprintf(l->error, l->error_size, "%s: ", l->kernel->name);
	va_list ap;

	if ((size_t)n < l->error_size) {
		va_start(ap, fmt);
		fmt_vsnprintf(l->error + n, l->error_size - (size_t)n, fmt, ap);
		va_end(ap);
	}
	return -E_INVAL;
}

u8 *loader_ram(const struct loader *l, u64 gpa, u64 bytes)
{
	if (bytes > l->ram->low_bytes || gpa > l->ram->low_bytes - bytes)
		return NULL;
	return l->ram->host + gpa;
}

int loader_place_initrd(struct loader *l, u64 floor, u64 limit, u64 *gpa)
{
	u64 bytes = l->initrd->bytes;
	u64 end = MIN(limit, l->ram->low_bytes);
	u64 start = bytes <= end ? ALIGN_DOWN(end - bytes, PAGE_SIZE) : 0;

	if (bytes > end || start < floor)
		return loader_fail(l,
				   "initrd %s: %llu bytes, expected at most the %llu between the "
				   "kernel's end and %#llx: "
				   "give the VM more memory",
				   l->initrd->name, (unsigned long long)bytes,
				   (unsigned long long)(end > floor ? end - floor : 0),
				   (unsigned long long)end);
	memcpy(l->ram->host + start, l->initrd->data, bytes);
	*gpa = start;
	return 0;
}

u64 loader_field(const u8 *data, u64 offset, u32 bytes)
{
	u64 v = 0;

	for (u32 i = 0; i < bytes; i++)
		v |= (u64)data[offset + i] << i * 8;
	return v;
}

void loader_put(u8 *data, u64 offset, u32 bytes, u64 value)
{
	for (u32 i = 0; i < bytes; i++)
		data[offset + i] = (u8)(value >> i * 8);
}

struct seg_state loader_segment(u16 selector, u16 attr)
{
	return (struct seg_state){.selector = selector, .attr = attr, .limit = 0xffffffff};
}

u32 loader_memory_map(const struct loader_ram *ram, struct loader_map_row row[LOADER_MAP_MAX])
{
	u32 n = 0;

	row[n++] = (struct loader_map_row){0, LOADER_LOW_END, 1};
	row[n++] = (struct loader_map_row){LOADER_LOW_END, MiB(1) - LOADER_LOW_END, 2};
	row[n++] = (struct loader_map_row){MiB(1), ram->low_bytes - MiB(1), 1};
	if (ram->high_bytes)
		row[n++] = (struct loader_map_row){GiB(4), ram->high_bytes, 1};
	return n;
}

/* What every format starts from: the reset state's task and table registers and flags. */
static void state_init(struct vcpu_state *s)
{
	memset(s, 0, sizeof(*s));
	s->size = sizeof(*s);
	s->groups = STATE_GPR | STATE_SEG | STATE_CR;
	s->rflags = RFLAGS_FIXED;
	s->xcr0 = 1;
	s->idtr.limit = 0xffff;
	s->gdtr.limit = 0xffff;
	s->seg[SEG_LDTR] = (struct seg_state){.attr = SEG_ATTR_P | 2, .limit = 0xffff};
	s->seg[SEG_TR] = (struct seg_state){.attr = SEG_ATTR_P | 11, .limit = 0xffff};
}

int loader_load(const struct loader_image *kernel, const struct loader_image *initrd,
		const char *cmdline, const struct loader_ram *ram, struct vcpu_state *out,
		char *error, size_t error_size)
{
	struct loader l = {kernel, initrd, cmdline ? cmdline : "", ram, out, error, error_size};

	state_init(out);
	if (ram->low_bytes < MiB(2) || ram->low_bytes > 0xc0000000)
		return loader_fail(&l, "memory: %#llx bytes below 4 GiB, expected 2M to 3G",
				   (unsigned long long)ram->low_bytes);
	for (u32 i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i]->probe(kernel))
			return formats[i]->load(&l);
	return loader_fail(
		&l,
		"%llu bytes of no known format, expected a Linux bzImage (\"HdrS\" at 0x202) or a "
		"multiboot-1 ELF (0x1badb002 in the first 8 KiB)",
		(unsigned long long)kernel->bytes);
}
