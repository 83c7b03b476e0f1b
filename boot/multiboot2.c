#include "boot/multiboot2.h"

#include "hv/layout.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define ADDRESS_END BIT(52)

/* A position in the information; size is what total_size says, checked against the bytes given. */
struct cursor {
	const u8 *info;
	u32 size, at;
};

static void __printf(2, 3) refuse(struct bootinfo *out, const char *fmt, ...)
{
	va_list ap;

	if (out->error[0]) /* the first reason is the one to tell */
		return;
	va_start(ap, fmt);
	fmt_vsnprintf(out->error, sizeof(out->error), fmt, ap);
	va_end(ap);
}

/* The next tag, wholly inside the information. False: at the end tag, or broken (then refused). */
static bool next_tag(struct cursor *c, struct mb2_tag *tag, const u8 **body, struct bootinfo *out)
{
	u32 left = c->size - c->at;

	if (left < sizeof(*tag)) {
		refuse(out, "multiboot2: the information ends without an end tag");
		return false;
	}
	memcpy(tag, c->info + c->at, sizeof(*tag));
	if (tag->size < sizeof(*tag) || tag->size > left) {
		refuse(out, "multiboot2: tag type %u at offset %u has size %u, %u bytes are left",
		       tag->type, c->at, tag->size, left);
		return false;
	}
	*body = c->info + c->at;
	c->at = MIN(c->size, c->at + ALIGN_UP(tag->size, 8u));
	return tag->type != MB2_TAG_END;
}

/*
 * A zero-terminated string at offset from in a tag, copied whole. False: not terminated, or too
 * long.
 */
static bool tag_string(const u8 *body, u32 size, u32 from, char *dst, u32 room)
{
	size_t n = strnlen((const char *)body + from, size - from);

	if (n >= size - from || n >= room)
		return false;
	memcpy(dst, body + from, n + 1);
	return true;
}

static void parse_module(const u8 *body, u32 size, struct bootinfo *out)
{
	struct boot_module *m = &out->module[out->modules];
	struct mb2_module tag;

	if (size < sizeof(tag)) {
		refuse(out, "multiboot2: module %u: the tag has %u bytes, it needs 16",
		       out->modules, size);
		return;
	}
	if (out->modules >= BOOT_MAX_MODULES) {
		refuse(out, "multiboot2: more than %u modules", BOOT_MAX_MODULES);
		return;
	}
	memcpy(&tag, body, sizeof(tag));
	if (!tag_string(body, size, sizeof(tag), m->name, sizeof(m->name)))
		refuse(out, "multiboot2: module %u: its name is longer than %u characters",
		       out->modules, BOOT_MODULE_NAME - 1);
	else if (tag.mod_end < tag.mod_start)
		refuse(out, "multiboot2: module '%s' ends before it starts", m->name);
	else if (!IS_ALIGNED(tag.mod_start, PAGE_SIZE))
		refuse(out, "multiboot2: module '%s' does not start on a page", m->name);
	m->start = hpa(tag.mod_start);
	m->bytes = tag.mod_end - tag.mod_start;
	out->modules++;
}

/*
 * First pass (available = true) adds usable RAM, page-aligned inwards, the second takes everything
 * else away again, aligned outwards. A usable range that wraps is left out.
 */
static void parse_memory_map(const u8 *body, u32 size, bool available, struct bootinfo *out)
{
	struct mb2_memory_map tag;
	struct mb2_memory_entry e;

	if (size < sizeof(tag)) {
		refuse(out, "multiboot2: memory map: the tag has %u bytes, it needs 16", size);
		return;
	}
	memcpy(&tag, body, sizeof(tag));
	if (tag.entry_size < sizeof(e) || !IS_ALIGNED(tag.entry_size, 8u)) {
		refuse(out, "multiboot2: memory map: entry size %u", tag.entry_size);
		return;
	}
	for (u32 at = sizeof(tag); size - at >= tag.entry_size; at += tag.entry_size) {
		memcpy(&e, body + at, sizeof(e));
		u64 start = MIN(e.base_addr, ADDRESS_END),
		    end = start + MIN(e.length, ADDRESS_END - start);

		if (available && e.type == MB2_MEMORY_AVAILABLE && e.base_addr + e.length == end)
			ranges_add(&out->ram, ALIGN_UP(start, PAGE_SIZE),
				   ALIGN_DOWN(end, PAGE_SIZE));
		else if (!available && e.type != MB2_MEMORY_AVAILABLE)
			ranges_remove(&out->ram, ALIGN_DOWN(start, PAGE_SIZE),
				      ALIGN_UP(end, PAGE_SIZE));
	}
}

static void parse_rsdp(const struct mb2_tag *tag, const u8 *body, struct bootinfo *out)
{
	u32 bytes = MIN(tag->size - (u32)sizeof(*tag), (u32)sizeof(out->rsdp_copy));

	if (tag->type == MB2_TAG_RSDP_OLD && out->rsdp_bytes > 20)
		return; /* the new one is there already */
	memcpy(out->rsdp_copy, body + sizeof(*tag), bytes);
	out->rsdp_bytes = bytes;
}

/* One that can't be used is no screen: the machine starts all the same. */
static void parse_framebuffer(const u8 *body, u32 size, struct boot_screen *out)
{
	struct mb2_framebuffer t;

	if (size < sizeof(t))
		return;
	memcpy(&t, body, sizeof(t));
	bool text = t.type == MB2_FRAMEBUFFER_TEXT && t.bpp == 16;
	u32 cell_width = text ? 1 : 8, cell_height = text ? 1 : 16;

	if ((!text && (t.type != MB2_FRAMEBUFFER_RGB || t.bpp != 32)) || t.addr >= ADDRESS_END ||
	    !IS_ALIGNED(t.addr | t.pitch, 4u) || t.width < cell_width ||
	    t.pitch < (u64)t.width * (t.bpp / 8))
		return;
	t.height = (u32)MIN((u64)t.height, (SCREEN_MAX - t.addr % PAGE_2M) / t.pitch);
	if (t.height >= 2 * cell_height)
		*out = (struct boot_screen){
			hpa(t.addr), (u64)t.height * t.pitch, t.pitch, t.width, t.height, text};
}

static void parse_tag(const struct mb2_tag *tag, const u8 *body, struct bootinfo *out)
{
	switch (tag->type) {
	case MB2_TAG_CMDLINE:
		if (!tag_string(body, tag->size, sizeof(*tag), out->cmdline, sizeof(out->cmdline)))
			refuse(out, "multiboot2: the command line is longer than %u characters",
			       BOOT_CMDLINE - 1);
		break;
	case MB2_TAG_LOADER_NAME:
		if (!tag_string(body, tag->size, sizeof(*tag), out->loader, sizeof(out->loader)))
			str_copy(out->loader, "unknown loader", sizeof(out->loader));
		break;
	case MB2_TAG_MODULE: parse_module(body, tag->size, out); break;
	case MB2_TAG_MEMORY_MAP: parse_memory_map(body, tag->size, true, out); break;
	case MB2_TAG_FRAMEBUFFER: parse_framebuffer(body, tag->size, &out->screen); break;
	case MB2_TAG_RSDP_OLD:
	case MB2_TAG_RSDP_NEW: parse_rsdp(tag, body, out); break;
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

		if (!ranges_contain(&left, start, end))
			refuse(out,
			       "multiboot2: module '%s' does not lie in usable memory, or overlaps the kernel or "
			       "another module",
			       m->name);
		ranges_remove(&left, start, end);
	}
}

void mb2_parse(const u8 *info, u32 bytes, struct bootinfo *out)
{
	struct mb2_info head = {0};
	struct mb2_tag tag;
	const u8 *body;

	if (bytes >= sizeof(head))
		memcpy(&head, info, sizeof(head));
	if (head.total_size < sizeof(head) || head.total_size > bytes) {
		refuse(out, "multiboot2: the information has %u bytes, %u can be read",
		       head.total_size, bytes);
		return;
	}
	struct cursor c = {info, head.total_size, sizeof(head)};

	while (next_tag(&c, &tag, &body, out))
		parse_tag(&tag, body, out);
	for (c.at = sizeof(head); next_tag(&c, &tag, &body, out);)
		if (tag.type == MB2_TAG_MEMORY_MAP)
			parse_memory_map(body, tag.size, false, out);
	/* the firmware's vectors, and 0 is no address of a frame */
	ranges_remove(&out->ram, 0, PAGE_SIZE);
	ranges_remove(&out->ram, ALIGN_DOWN(out->screen.base.v, PAGE_SIZE),
		      ALIGN_UP(out->screen.base.v + out->screen.bytes, PAGE_SIZE));
	if (!out->ram.count)
		refuse(out, "multiboot2: the memory map names no usable memory");
	check_modules(out);
}
