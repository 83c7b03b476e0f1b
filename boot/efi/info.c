#include "boot/efi/info.h"

#include "lib/string.h"

#define MEMORY_RESERVED 2u

/* Room for n bytes at the next multiple of 8, zeroed; NULL: full. */
static void *room(struct info *i, u32 n)
{
	u32 padded = ALIGN_UP(n, 8u);
	void *p = i->buf + i->used;

	if (i->full || padded < n || padded > i->size - i->used) {
		i->full = true;
		return NULL;
	}
	memset(p, 0, padded);
	i->used += padded;
	return p;
}

static void *add_tag(struct info *i, enum mb2_tag_type type, u32 size)
{
	struct mb2_tag *tag = room(i, size);

	if (tag)
		*tag = (struct mb2_tag){type, size};
	return tag;
}

void info_begin(struct info *i, void *buf, u32 size)
{
	*i = (struct info){.buf = buf, .size = ALIGN_DOWN(size, 8u)};
	(void)room(i, sizeof(struct mb2_info));
}

void info_string(struct info *i, enum mb2_tag_type type, const char *s)
{
	u32 n = (u32)strlen(s) + 1;
	u8 *tag = add_tag(i, type, (u32)sizeof(struct mb2_tag) + n);

	if (tag)
		memcpy(tag + sizeof(struct mb2_tag), s, n);
}

void info_module(struct info *i, u32 start, u32 end, const char *name)
{
	u32 n = (u32)strlen(name) + 1;
	struct mb2_module *m = add_tag(i, MB2_TAG_MODULE, (u32)sizeof(*m) + n);

	if (!m)
		return;
	m->mod_start = start;
	m->mod_end = end;
	memcpy(m + 1, name, n);
}

void info_rsdp(struct info *i, const void *rsdp, u32 bytes, bool acpi2)
{
	u8 *tag = add_tag(i, acpi2 ? MB2_TAG_RSDP_NEW : MB2_TAG_RSDP_OLD,
			  (u32)sizeof(struct mb2_tag) + bytes);

	if (tag)
		memcpy(tag + sizeof(struct mb2_tag), rsdp, bytes);
}

void info_framebuffer(struct info *i, u64 address, u32 pitch, u32 width, u32 height)
{
	struct mb2_framebuffer *f = add_tag(i, MB2_TAG_FRAMEBUFFER, sizeof(*f));

	if (f)
		*f = (struct mb2_framebuffer){.tag = f->tag,
					      .addr = address,
					      .pitch = pitch,
					      .width = width,
					      .height = height,
					      .bpp = 32,
					      .type = MB2_FRAMEBUFFER_RGB};
}

/* The last entry, if it can grow by what follows it. */
static struct mb2_memory_entry *neighbour(struct info *i, u64 start, u32 type)
{
	struct mb2_memory_entry *e = (void *)(i->buf + i->used - sizeof(*e));

	if (!i->map || i->used < i->map + sizeof(struct mb2_memory_map) + sizeof(*e))
		return NULL;
	return e->type == type && e->base_addr + e->length == start ? e : NULL;
}

void info_memory(struct info *i, u64 start, u64 bytes, bool usable)
{
	u32 type = usable ? MB2_MEMORY_AVAILABLE : MEMORY_RESERVED;
	struct mb2_memory_entry *e;
	struct mb2_memory_map *map;

	if (!i->map) {
		i->map = i->used;
		map = add_tag(i, MB2_TAG_MEMORY_MAP, sizeof(*map));
		if (map)
			map->entry_size = sizeof(*e);
	}
	e = i->full ? NULL : neighbour(i, start, type);
	if (e) {
		e->length += bytes;
		return;
	}
	e = room(i, sizeof(*e));
	if (!e)
		return;
	*e = (struct mb2_memory_entry){start, bytes, type, 0};
	((struct mb2_tag *)(i->buf + i->map))->size += (u32)sizeof(*e);
}

const void *info_end(struct info *i)
{
	(void)add_tag(i, MB2_TAG_END, sizeof(struct mb2_tag));
	if (i->full)
		return NULL;
	((struct mb2_info *)i->buf)->total_size = i->used;
	return i->buf;
}
