/* Starts init, the root task: the flat image that is the module named "init". */
#include "kernel/main.h"

#include "hv/up.h"
#include "kernel/domain.h"
#include "kernel/sched.h"
#include "kernel/sysctl.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/kmap.h"
#include "mm/kmem.h"
#include "mm/mem.h"
#include "uapi/image.h"

#define INIT_SIZE_MAX MiB(16)
/* at least: heap blocks that are partly used, start of further CPUs */
#define KERNEL_RESERVE MiB(16)

static void need(int r, const char *what)
{
	if (r < 0)
		panic("init: %s: error %d", what, -r);
}

static const struct boot_module *find(const struct bootinfo *b, const char *name)
{
	for (u32 i = 0; i < b->modules; i++)
		if (!strcmp(b->module[i].name, name))
			return &b->module[i];
	return NULL;
}

static const char *header_error(const struct image_header *h, u64 bytes)
{
	u64 file = h->text_size + h->rodata_size + h->data_size;

	if (bytes < sizeof(*h) || h->magic != IMAGE_MAGIC || h->header_size != sizeof(*h))
		return "not a ring-3 image";
	if (h->uapi_version != UAPI_VERSION)
		return "built for another version of the system calls";
	if ((h->text_size | h->rodata_size | h->data_size | h->bss_size | h->base) &
	    (PAGE_SIZE - 1))
		return "a segment is not page-aligned";
	if (h->text_size > INIT_SIZE_MAX || h->rodata_size > INIT_SIZE_MAX ||
	    h->data_size > INIT_SIZE_MAX || h->bss_size > INIT_SIZE_MAX || !h->text_size ||
	    file > bytes)
		return "a segment's size is wrong";
	if (h->base < USER_VA_MIN || h->base > GiB(4) || h->entry < h->base ||
	    h->entry >= h->base + h->text_size)
		return "base or entry is wrong";
	return NULL;
}

/* A memory object with a copy of `bytes` from the module, mapped at va. */
static void map_copy(struct domain *d, const u8 *from, u64 bytes, u64 total, u64 va, u32 prot)
{
	struct mem *m;

	if (!total)
		return;
	need(mem_create(total, 0, &d->quota, &m), "memory");
	need(mem_write(m, 0, from, bytes), "copying its image");
	need(aspace_map(&d->aspace, m, va, 0, total, prot), "mapping its image");
	object_put(&m->obj);
}

static void load_image(struct domain *d, const struct boot_module *mod, struct image_header *h)
{
	const u8 *image = mmio_map(mod->start, ALIGN_UP(mod->bytes, PAGE_SIZE), PT_R);
	const char *error;

	if (!image)
		panic("init: the module cannot be mapped");
	memset(h, 0, sizeof(*h));
	memcpy(h, image, MIN(mod->bytes, sizeof(*h)));
	error = header_error(h, mod->bytes);
	if (error)
		panic("init: the module \"init\" is refused: %s", error);
	map_copy(d, image, h->text_size, h->text_size, h->base, PROT_R | PROT_X);
	map_copy(d, image + h->text_size, h->rodata_size, h->rodata_size, h->base + h->text_size,
		 PROT_R);
	map_copy(d, image + h->text_size + h->rodata_size, h->data_size, h->data_size + h->bss_size,
		 h->base + h->text_size + h->rodata_size, PROT_R | PROT_W);
	mmio_unmap((void *)image, ALIGN_UP(mod->bytes, PAGE_SIZE));
}

/*
 * Modules become memory objects that init owns; from here on ring 0 maps none of them. Init itself
 * was copied.
 */
static void give_modules(struct domain *d, const struct bootinfo *b, struct init_info *info)
{
	for (u32 i = 0; i < b->modules; i++) {
		struct init_module *im = &info->module[info->modules];
		const struct boot_module *mod = &b->module[i];
		struct mem *m;
		s64 h;

		if (!mod->bytes)
			continue;
		need(mem_create_borrowed(mod->start, mod->bytes, &m), "a module's memory");
		if (!strcmp(mod->name, "init")) {
			/* the last reference: the reaper gives the frames back */
			object_put(&m->obj);
			continue;
		}
		h = handle_install(d, &m->obj, R_DUP | R_REVOKE | R_INFO | R_READ);
		need((int)MIN(h, 0), "a module's handle");
		str_copy(im->name, mod->name, sizeof(im->name));
		im->memory = (handle_t)h;
		im->size = mod->bytes;
		info->modules++;
	}
}

/* Everything but a reserve for the kernel's own needs is init's to give away. */
static u64 quota_for_init(void)
{
	u64 free = frame_free_bytes();

	return free - MIN(free / 2, MAX(KERNEL_RESERVE, free / 64));
}

void init_load(const struct bootinfo *b)
{
	const struct boot_module *mod = find(b, "init");
	struct thread_args args = {.size = sizeof(args),
				   .arg = INIT_INFO_VA,
				   .stack = INIT_STACK_TOP,
				   .msg_va = INIT_MSG_VA};
	struct init_info *info = kmem_pages_alloc(NULL, 2);
	struct image_header header;
	struct domain *d;
	struct thread *t;
	s64 h;

	static_assert(sizeof(*info) <= 4 * PAGE_SIZE, "init's information fits its pages");
	ASSERT(mod); /* boot_refused has looked */
	need(domain_create(NULL, quota_for_init(), "init", &d), "its domain");
	load_image(d, mod, &header);
	map_copy(d, NULL, 0, INIT_STACK_SIZE, INIT_STACK_TOP - INIT_STACK_SIZE, PROT_R | PROT_W);
	ASSERT(info);
	object_get(&system_object);
	h = handle_install(d, &system_object, R_ALL);
	need((int)MIN(h, 0), "the system handle");
	*info = (struct init_info){
		.size = sizeof(*info), .uapi_version = UAPI_VERSION, .system = (handle_t)h};
	str_copy(info->cmdline, b->cmdline, sizeof(info->cmdline));
	give_modules(d, b, info);
	map_copy(d, (const u8 *)info, sizeof(*info), ALIGN_UP(sizeof(*info), PAGE_SIZE),
		 INIT_INFO_VA, PROT_R);
	kmem_pages_free(NULL, info, 2);
	args.entry = header.entry;
	need(thread_create(d, &args, &t), "its thread");
	sched_start(t);
}
