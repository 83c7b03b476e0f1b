#include "boot/multiboot2.h"

#include "lib/fmt.h"
#include "lib/string.h"
#include "uapi/layout.h"

#define ADDRESS_END BIT(52)

static void __printf(2, 3) refuse(struct bootinfo *out, const char *fmt, ...)
{
	va_list ap;

	if (out->error[0]) /* the first reason is the one to tell */
		return;
	va_start(ap, fmt);
	fmt_vsnprintf(out->error, sizeof(out->error), fmt, ap);
	va_end(ap);
	/* It is to be seen, also if the tag that describes the screen is never come to. */
	if (!out->screen.bytes)
		out->screen = (struct boot_screen){hpa(0xb8000), 160 * 25, 160, 80, 25, true};
}

/*
 * The tag at *at, wholly inside the information, and moves on. NULL: the end tag, or a broken one
 * (then refused).
 */
static const struct mb2_tag *next_tag(const struct mb2_info *info, u32 *at, struct bootinfo *out)
{
	const struct mb2_tag *tag = (const void *)((const u8 *)info + *at);
	u32 left = info->total_size - *at;
	/* clang-format off */
	static const u32 need[] = {
		[MB2_TAG_MODULE] = sizeof(struct mb2_module),
		[MB2_TAG_MEMORY_MAP] = sizeof(struct mb2_memory_map),
	};
	/* clang-format on */

	if (left < sizeof(*tag)) {
		refuse(out, "multiboot2: the information ends without an end tag");
		return NULL;
	}
	if (tag->size < sizeof(*tag) || tag->size > left ||
	    (tag->type < ARRAY_SIZE(need) && tag->size < need[tag->type])) {
		refuse(out, "multiboot2: tag type %u at offset %u has size %u, %u bytes are left",
		       tag->type, *at, tag->size, left);
		return NULL;
	}
	*at = MIN(info->total_size, *at + ALIGN_UP(tag->size, 8u));
	return tag->type == MB2_TAG_END ? NULL : tag;
}

/*
 * A zero-terminated string at offset from in a tag, copied whole. False: not terminated, or too
 * long.
 */
static bool tag_string(const struct mb2_tag *tag, u32 from, char *dst, u32 room)
{
	const char *s = (const char *)tag + from;
	size_t n = strnlen(s, tag->size - from);

	if (n >= tag->size - from || n >= room)
		return false;
	memcpy(dst, s, n + 1);
	return true;
}

static void parse_module(const struct mb2_module *tag, struct bootinfo *out)
{
	struct boot_module *m = &out->module[out->modules];

	if (out->modules >= BOOT_MAX_MODULES) {
		refuse(out, "multiboot2: more than %u modules", BOOT_MAX_MODULES);
		return;
	}
	if (!tag_string(&tag->tag, sizeof(*tag), m->name, sizeof(m->name)))
		refuse(out, "multiboot2: module %u: its name is longer than %u characters",
		       out->modules, BOOT_MODULE_NAME - 1);
	else if (tag->mod_end < tag->mod_start)
		refuse(out, "multiboot2: module '%s' ends before it starts", m->name);
	else if (!IS_ALIGNED(tag->mod_start, PAGE_SIZE))
		refuse(out, "multiboot2: module '%s' does not start on a page", m->name);
	m->start = hpa(tag->mod_start);
	m->bytes = tag->mod_end - tag->mod_start;
	out->modules++;
}

/*
 * First pass (available = true) adds usable RAM, page-aligned inwards, the second takes everything
 * else away again, aligned outwards. A usable range that wraps is left out.
 */
static void parse_memory_map(const struct mb2_memory_map *tag, bool available, struct bootinfo *out)
{
	if (tag->entry_size < sizeof(struct mb2_memory_entry) || !IS_ALIGNED(tag->entry_size, 8u)) {
		refuse(out, "multiboot2: memory map: entry size %u", tag->entry_size);
		return;
	}
	for (u32 at = sizeof(*tag); tag->tag.size - at >= tag->entry_size; at += tag->entry_size) {
		const struct mb2_memory_entry *e = (const void *)((const u8 *)tag + at);
		u64 start = MIN(e->base_addr, ADDRESS_END),
		    end = start + MIN(e->length, ADDRESS_END - start);

		if (available && e->type == MB2_MEMORY_AVAILABLE && e->base_addr + e->length == end)
			ranges_add(&out->ram, ALIGN_UP(start, PAGE_SIZE),
				   ALIGN_DOWN(end, PAGE_SIZE));
		else if (!available && e->type != MB2_MEMORY_AVAILABLE)
			ranges_remove(&out->ram, ALIGN_DOWN(start, PAGE_SIZE),
				      ALIGN_UP(end, PAGE_SIZE));
	}
}

static void parse_rsdp(const struct mb2_tag *tag, struct bootinfo *out)
{
	if (tag->type == MB2_TAG_RSDP_OLD && out->rsdp_bytes > 20)
		return; /* the new one is there already */
	out->rsdp_bytes = MIN(tag->size - (u32)sizeof(*tag), (u32)sizeof(out->rsdp_copy));
	memcpy(out->rsdp_copy, tag + 1, out->rsdp_bytes);
}

/* One that can't be used is no screen: the machine starts all the same. */
static void parse_framebuffer(const struct mb2_framebuffer *t, struct boot_screen *out)
{
	bool text;
	u32 cell_width, cell_height, height;

	if (t->tag.size < sizeof(*t))
		return;
	text = t->type == MB2_FRAMEBUFFER_TEXT && t->bpp == 16;
	cell_width = text ? 1 : 8;
	cell_height = text ? 1 : 16;
	if ((!text && (t->type != MB2_FRAMEBUFFER_RGB || t->bpp != 32)) || t->addr >= ADDRESS_END ||
	    !IS_ALIGNED(t->addr | t->pitch, 4u) || t->width < cell_width ||
	    t->pitch < (u64)t->width * (t->bpp / 8))
		return;
	height = (u32)MIN((u64)t->height, (SCREEN_MAX - t->addr % PAGE_2M) / t->pitch);
	if (height >= 2 * cell_height)
		*out = (struct boot_screen){
			hpa(t->addr), (u64)height * t->pitch, t->pitch, t->width, height, text};
}

static void parse_tag(const struct mb2_tag *tag, struct bootinfo *out)
{
	switch (tag->type) {
	case MB2_TAG_CMDLINE:
		if (!tag_string(tag, sizeof(*tag), out->cmdline, sizeof(out->cmdline)))
			refuse(out, "multiboot2: the command line is longer than %u characters",
			       BOOT_CMDLINE - 1);
		break;
	case MB2_TAG_LOADER_NAME:
		if (!tag_string(tag, sizeof(*tag), out->loader, sizeof(out->loader)))
			str_copy(out->loader, "unknown loader", sizeof(out->loader));
		break;
	case MB2_TAG_MODULE: parse_module((const void *)tag, out); break;
	case MB2_TAG_MEMORY_MAP: parse_memory_map((const void *)tag, true, out); break;
	case MB2_TAG_FRAMEBUFFER: parse_framebuffer((const void *)tag, &out->screen); break;
	case MB2_TAG_RSDP_OLD:
	case MB2_TAG_RSDP_NEW: parse_rsdp(tag, out); break;
	default: /* the specification adds tags: unknown ones are skipped */ break;
	}
}

/* Modules become memory objects: each must lie in RAM, apart from the image and from each other. */
static void check_modules(struct bootinfo *out)
{
	static struct ranges left;

	left = out->ram;
	ranges_remove(&left, out->kernel_start.v, out->kernel_start.v + out->kernel_bytes);
	for (u32 i = 0; i < out->modules; i++) {
		const struct boot_module *m = &out->module[i];
		u64 start = m->start.v, end = start + ALIGN_UP(m->bytes, PAGE_SIZE);

		if (ranges_bytes(&left, start, end) < end - start)
			refuse(out,
			       "multiboot2: module '%s' does not lie in usable memory, or overlaps the kernel or "
			       "another module",
			       m->name);
		ranges_remove(&left, start, end);
	}
}

void mb2_parse(const u8 *start, u32 bytes, struct bootinfo *out)
{
	const struct mb2_info *info = (const void *)start;
	u32 total = bytes >= sizeof(*info) ? info->total_size : 0, at = sizeof(*info);
	const struct mb2_tag *tag;

	if (total < sizeof(*info) || total > bytes) {
		refuse(out, "multiboot2: the information has %u bytes, %u can be read", total,
		       bytes);
		return;
	}
	while ((tag = next_tag(info, &at, out)))
		parse_tag(tag, out);
	for (at = sizeof(*info); (tag = next_tag(info, &at, out));)
		if (tag->type == MB2_TAG_MEMORY_MAP)
			parse_memory_map((const void *)tag, false, out);
	/* the firmware's vectors, and 0 is no address of a frame */
	ranges_remove(&out->ram, 0, PAGE_SIZE);
	ranges_remove(&out->ram, ALIGN_DOWN(out->screen.base.v, PAGE_SIZE),
		      ALIGN_UP(out->screen.base.v + out->screen.bytes, PAGE_SIZE));
	if (!out->ram.count)
		refuse(out, "multiboot2: the memory map names no usable memory");
	check_modules(out);
}
