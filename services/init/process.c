#include "services/init/process.h"

#include "lib/string.h"
#include "services/common/cpio.h"
#include "services/common/image.h"
#include "services/proto.h"
#include "user/rt.h"
#include "user/sys.h"

/*
 * A memory object that starts with n bytes of src. Negative: error. Its quota is no promise of
 * frames: without one, a plain access would end init.
 */
static s64 mem_filled(u64 bytes, const void *src, u64 n)
{
	s64 mem = mem_create(bytes, 0);
	int err;
	void *p;

	if (mem < 0 || !n)
		return mem;
	p = rt_map((handle_t)mem, bytes, PROT_R | PROT_W, &err);
	if (!p) {
		handle_close((handle_t)mem);
		return err;
	}
	err = rt_populate(p, n) < n ? -E_NOMEM : 0;
	if (!err)
		memcpy(p, src, n);
	rt_unmap(p, bytes);
	if (err)
		handle_close((handle_t)mem);
	return err ? err : mem;
}

int program_load(struct program *p, const char *name, const u8 *archive, size_t n, const char **why)
{
	size_t size;
	s64 mem;

	*p = (struct program){.name = name};
	*why = "not in the archive of programs";
	if (!cpio_find(archive, n, name, &p->file, &size))
		return -E_NOENT;
	if (!image_check(p->file, size, &p->header, why))
		return -E_INVAL;
	*why = "no memory";
	mem = mem_filled(p->header.text_size, p->file, p->header.text_size);
	if (mem < 0)
		return (int)mem;
	p->text = (handle_t)mem;
	if (!p->header.rodata_size)
		return 0;
	mem = mem_filled(p->header.rodata_size, p->file + p->header.text_size,
			 p->header.rodata_size);
	if (mem < 0)
		return (int)mem;
	p->rodata = (handle_t)mem;
	return 0;
}

/* Makes an object of `bytes`, holding n bytes of src, and maps it into the process. */
static int process_add(struct process *p, handle_t *out, u64 va, u64 bytes, const void *src, u64 n,
		       u32 prot)
{
	s64 mem;

	if (!bytes)
		return 0;
	mem = mem_filled(bytes, src, n);
	if (mem < 0)
		return (int)mem;
	*out = (handle_t)mem;
	return (int)mem_map(p->domain, *out, va, 0, bytes, prot);
}

int process_create(struct process *out, const struct program *p, const char *name, u64 quota)
{
	const struct image_header *h = &p->header;
	char name32[32] = {0}; /* the kernel copies all of it */
	u64 va = h->base;
	s64 e;

	*out = (struct process){0};
	str_copy(name32, name, sizeof(name32));
	e = domain_create(quota, name32);
	if (e < 0)
		return (int)e;
	out->domain = (handle_t)e;
	e = mem_map(out->domain, p->text, va, 0, h->text_size, PROT_R | PROT_X);
	va += h->text_size;
	if (e >= 0 && h->rodata_size)
		e = mem_map(out->domain, p->rodata, va, 0, h->rodata_size, PROT_R);
	va += h->rodata_size;
	if (e >= 0)
		e = process_add(out, &out->data, va, h->data_size + h->bss_size,
				p->file + h->text_size + h->rodata_size, h->data_size,
				PROT_R | PROT_W);
	if (e >= 0)
		e = process_add(out, &out->stack, INIT_STACK_TOP - INIT_STACK_SIZE, INIT_STACK_SIZE,
				NULL, 0, PROT_R | PROT_W);
	if (e < 0)
		process_destroy(out);
	return e < 0 ? (int)e : 0;
}

s64 process_give(const struct process *p, handle_t h, u32 rights)
{
	return h == HANDLE_NONE ? 0 : handle_dup(h, rights, p->domain);
}

int process_thread(struct process *p, const struct program *program)
{
	struct thread_args args = {
		.size = sizeof(args),
		.entry = program->header.entry,
		.stack = INIT_STACK_TOP,
		.arg = START_VA,
		.msg_va = INIT_MSG_VA,
	};
	s64 e = thread_create(p->domain, &args);

	if (e >= 0)
		p->thread = (handle_t)e;
	return e < 0 ? (int)e : 0;
}

int thread_keep_off(handle_t thread, u64 cpus)
{
	return cpus ? (int)thread_set(thread, THREAD_AFFINITY, ~cpus) : 0;
}

int process_run(struct process *p, const void *start, size_t bytes)
{
	s64 e = process_add(p, &p->start, START_VA, ALIGN_UP(bytes, PAGE_SIZE), start, bytes,
			    PROT_R);

	if (e >= 0)
		e = thread_set(p->thread, THREAD_START, 0);
	return e < 0 ? (int)e : 0;
}

void process_destroy(struct process *p)
{
	handle_t all[] = {p->thread, p->domain, p->data, p->stack, p->start};

	if (p->domain != HANDLE_NONE)
		handle_revoke(p->domain);
	for (u32 i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i] != HANDLE_NONE)
			handle_close(all[i]);
	*p = (struct process){0};
}
