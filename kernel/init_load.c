/* Starts init, the root task: the flat image that is the module named "init". */
#include "kernel/main.h"

#include "kernel/domain.h"
#include "kernel/sched.h"
#include "lib/string.h"
#include "mm/window.h"
#include "uapi/image.h"

/* at least: heap blocks that are partly used, start of further CPUs */
#define KERNEL_RESERVE MiB(16)
#define INFO_ORDER 3 /* pages of init's information */

static void need(int r, const char *what)
{
	if (r < 0)
		panic("init: %s: error %d", what, -r);
}

static handle_t give(struct domain *d, struct object *o, u32 rights)
{
	s64 h = handle_install(d, o, rights);

	need((int)MIN(h, 0), "a handle");
	return (handle_t)h;
}

/* What mapping the image and starting the thread do not check. */
static const char *header_error(const struct image_header *h, u64 bytes)
{
	if (bytes < sizeof(*h) || h->magic != IMAGE_MAGIC || h->header_size != sizeof(*h))
		return "not a ring-3 image";
	if (h->uapi_version != UAPI_VERSION)
		return "built for another version of the system calls";
	if (h->text_size > bytes || h->rodata_size > bytes || h->data_size > bytes ||
	    h->base >= USER_VA_MAX || h->entry >= USER_VA_MAX)
		return "a size or an address is wrong";
	return NULL;
}

static void map(struct domain *d, struct mem *m, u64 va, u64 offset, u64 bytes, u64 prot)
{
	if (bytes)
		need(aspace_map(&d->aspace, m, va, offset, bytes, prot), "mapping its image");
}

static void map_zeros(struct domain *d, u64 va, u64 bytes)
{
	struct mem *m;

	if (!bytes)
		return;
	need(mem_create(bytes, 0, &d->quota, &m), "memory");
	map(d, m, va, 0, bytes, PROT_R | PROT_W);
	object_put(&m->obj);
}

/* Init runs in the frames of its module. Returns the entry. */
static u64 load_image(struct domain *d, const struct boot_module *mod, struct mem *m)
{
	struct image_header h = {0};
	const char *error;
	u64 rodata, data;

	memcpy(&h, window_map(WINDOW_A, mod->start), MIN(mod->bytes, sizeof(h)));
	window_unmap(WINDOW_A);
	error = header_error(&h, mod->bytes);
	if (error)
		panic("init: the module \"init\" is refused: %s", error);
	rodata = h.text_size;
	data = rodata + h.rodata_size;
	map(d, m, h.base, 0, h.text_size, PROT_R | PROT_X);
	map(d, m, h.base + rodata, rodata, h.rodata_size, PROT_R);
	map(d, m, h.base + data, data, h.data_size, PROT_R | PROT_W);
	map_zeros(d, h.base + data + h.data_size, h.bss_size);
	return h.entry;
}

/*
 * Modules become memory objects, of which ring 0 maps none: the first one named "init" is init's
 * own image, init owns the others. Returns init's entry.
 */
static u64 give_modules(struct domain *d, const struct bootinfo *b, struct init_info *info)
{
	u64 entry = 0;

	for (u32 i = 0; i < b->modules; i++) {
		struct init_module *im = &info->module[info->modules];
		const struct boot_module *mod = &b->module[i];
		struct mem *m;

		if (!mod->bytes)
			continue;
		need(mem_create_borrowed(mod->start, mod->bytes, &m), "a module's memory");
		if (!entry && !strcmp(mod->name, "init")) {
			entry = load_image(d, mod, m);
			object_put(&m->obj);
			continue;
		}
		str_copy(im->name, mod->name, sizeof(im->name));
		im->memory = give(d, &m->obj, R_DUP | R_REVOKE | R_INFO | R_READ);
		im->size = mod->bytes;
		info->modules++;
	}
	if (!entry)
		panic("init: the module \"init\" is empty");
	return entry;
}

/* Everything but a reserve for the kernel's own needs is init's to give away. */
static u64 quota_for_init(void)
{
	u64 free = frame_free_bytes();

	return free - MIN(free / 2, MAX(KERNEL_RESERVE, free / 64));
}

void init_load(const struct bootinfo *b)
{
	struct thread_args args = {.size = sizeof(args),
				   .arg = INIT_INFO_VA,
				   .stack = INIT_STACK_TOP,
				   .msg_va = INIT_MSG_VA};
	struct init_info *info = kmem_alloc(kernel_quota, PAGE_SIZE << INFO_ORDER);
	struct domain *d;
	struct thread *t;

	static_assert(sizeof(*info) <= PAGE_SIZE << INFO_ORDER, "init's information fits");
	ASSERT(info);
	need(domain_create(&kernel_domain, quota_for_init(), "init", &d), "its domain");
	object_get(system_object);
	*info = (struct init_info){.size = sizeof(*info),
				   .uapi_version = UAPI_VERSION,
				   .system = give(d, system_object, R_ALL)};
	str_copy(info->cmdline, b->cmdline, sizeof(info->cmdline));
	args.entry = give_modules(d, b, info);
	for (u64 at = 0; at < sizeof(*info); at += PAGE_SIZE)
		need(aspace_map_kernel_page(&d->aspace, INIT_INFO_VA + at, (u8 *)info + at, PROT_R),
		     "its information");
	map_zeros(d, INIT_STACK_TOP - INIT_STACK_SIZE, INIT_STACK_SIZE);
	need(thread_create(d, &args, &t), "its thread");
	info->thread = give(d, &t->obj, R_ALL);
	sched_start(t);
}
