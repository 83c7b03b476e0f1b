#include "kernel/refuse.h"

#include "hv/vendor.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define FREE_MIN MiB(16) /* frame table, heap, stacks of many CPUs, init, manager */

/* RAM within the limit, without the image and the modules, which lie in it. */
static u64 free_bytes(const struct bootinfo *b, u64 limit)
{
	u64 ram = ranges_bytes(&b->ram, 0, ~0ull), used = b->kernel_bytes;

	for (u32 i = 0; i < b->modules; i++)
		used += ALIGN_UP(b->module[i].bytes, PAGE_SIZE);
	ram = limit ? MIN(ram, limit) : ram;
	return ram - MIN(ram, used);
}

static bool has_module(const struct bootinfo *b, const char *name)
{
	for (u32 i = 0; i < b->modules; i++)
		if (!strcmp(b->module[i].name, name))
			return true;
	return false;
}

bool boot_refused(const struct bootinfo *b, const struct cpu_facts *f, u64 mem_limit, char *why,
		  size_t size)
{
	u64 room = free_bytes(b, mem_limit);
	const char *module = !has_module(b, "init")	  ? "init"
			     : !has_module(b, "programs") ? "programs"
							  : NULL;

	why[0] = 0;
	if (b->error[0])
		fmt_snprintf(why, size, "what the boot loader handed over can't be used: %s",
			     b->error);
	else if (!f->nx || !f->syscall)
		fmt_snprintf(why, size, "this CPU has no %s: a 64-bit CPU that has it is needed%s",
			     f->nx ? "SYSCALL" : "no-execute pages (NX)",
			     f->nx ? "" : ", or the firmware's set-up switches it off");
	else if (module)
		fmt_snprintf(why, size,
			     "of %u boot modules none is named \"%s\": the boot menu's entry needs "
			     "a line as \"module2 /boot/init init\"",
			     b->modules, module);
	else if (room < FREE_MIN)
		fmt_snprintf(why, size,
			     "%lu KiB of memory are free beside kernel and boot modules, Caisson "
			     "needs %lu: add memory%s",
			     room / 1024, FREE_MIN / 1024,
			     mem_limit ? " or raise the boot option mem=" : "");
	return why[0];
}

const struct hv_ops *vendor_choose(const struct cpu_facts *f, const char **why)
{
	const struct hv_ops *ops = f->vmx ? &vmx_ops : &svm_ops;

	*why = "the CPU offers neither VT-x nor AMD-V, or the firmware hides it";
	return (f->vmx || f->svm) && ops->probe(f, why) ? ops : NULL;
}
