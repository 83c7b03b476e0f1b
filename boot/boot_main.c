/* First C code: fills the boot information and starts the kernel. */
#include "boot/multiboot2.h"
#include "uapi/layout.h"

#define INFO_MAX MiB(1)

extern const u8 _image_start[], _image_end[];

struct bootinfo bootinfo;
extern u64 boot_pd_image[512]; /* boot/multiboot2.asm: the 1 GiB from KERNEL_BASE on */

/* page, PWT, writable, present: write-combining as cpu_setup_tables() sets the PAT */
#define PDE_SCREEN 0x8bu

/* From boot/multiboot2.asm: on the boot stack, the low 4 GiB identity-mapped. */
__noreturn void boot_main(u64 info, u64 image, u64 entry_tsc);

/* At the address where the kernel's own tables have it: what is logged before them is seen too. */
static void map_screen(const struct boot_screen *s)
{
	u64 *pde = boot_pd_image + (SCREEN_BASE - KERNEL_BASE) / PAGE_2M;

	for (u64 a = ALIGN_DOWN(s->base.v, PAGE_2M); a < s->base.v + s->bytes; a += PAGE_2M)
		*pde++ = a | PDE_SCREEN;
}

void boot_main(u64 info, u64 image, u64 entry_tsc)
{
	struct bootinfo *b = &bootinfo;

	b->entry_tsc = entry_tsc;
	b->kernel_start = hpa(image);
	b->kernel_bytes = ALIGN_UP((u64)(_image_end - _image_start), PAGE_2M);
	mb2_parse((const u8 *)info, (u32)MIN(INFO_MAX, GiB(4) - info), b);
	map_screen(&b->screen);
	kernel_main();
}
