/* From the boot tables to the kernel's own. */
#include "hv/cpu.h"
#include "hv/x86.h"
#include "mm/early.h"
#include "mm/internal.h"
#include "mm/mm.h"
#include "mm/window.h"

#define LOW_MEMORY_END 0xa0000

extern char _text_start[], _text_end[], _rodata_start[], _rodata_end[], _data_start[], _bss_end[];

struct aspace kernel_aspace;
hpa_t mm_trampoline;
static u64 image_offset; /* [I] physical minus virtual address of the image */

struct pt *kernel_pt(void) { return &kernel_aspace.pt; }
hpa_t image_to_hpa(const void *p) { return hpa((u64)p + image_offset); }

static void map_image(const char *start, const char *end, u32 prot)
{
	u64 bytes = ALIGN_UP((u64)end, PAGE_SIZE) - (u64)start;

	if (pt_map(kernel_pt(), (u64)start, image_to_hpa(start), bytes, prot | PT_GLOBAL))
		panic("mm: the image could not be mapped");
}

/*
 * Makes what leads to the table of this level. Top-level entries must exist before the first
 * aspace_init copies them; they never change afterwards.
 */
static void make_table(u64 va, u32 level)
{
	if (!pt_walk(kernel_pt(), va, &level, true))
		panic("mm: no memory for the kernel's tables");
}

/* Where the boot tables have it, too. */
static void map_screen(const struct boot_screen *s)
{
	u64 first = ALIGN_DOWN(s->base.v, PAGE_SIZE);

	if (s->bytes &&
	    pt_map(kernel_pt(), SCREEN_BASE + first % PAGE_2M, hpa(first),
		   ALIGN_UP(s->base.v + s->bytes, PAGE_SIZE) - first, PT_R | PT_W | PT_COMBINE))
		panic("mm: the screen could not be mapped");
}

static void build_tables(const struct boot_screen *screen)
{
	if (pt_init(kernel_pt(), &pt_host_format, kernel_quota))
		panic("mm: no memory for the kernel's tables");
	for (u64 a = 0; a < early_ram.r[early_ram.count - 1].end; a += PAGE_1G)
		if (ranges_bytes(&early_ram, a, a + PAGE_1G))
			make_table(DIRECT_BASE + a, 2);
	make_table(FRAMES_BASE, 3);
	make_table(MMIO_BASE, 3);
	map_image(_text_start, _text_end, PT_R | PT_X);
	map_image(_rodata_start, _rodata_end, PT_R);
	map_image(_data_start, _bss_end, PT_R | PT_W);
	map_screen(screen);
	kmem_map_early();
}

static void switch_tables(void)
{
	write_cr3(pt_root_hpa(kernel_pt()));
	/* The boot tables' global entries outlive the load of CR3. */
	write_cr4(read_cr4() & ~(u64)CR4_PGE);
	write_cr4(read_cr4() | CR4_PGE);
}

void mm_init(const struct bootinfo *b, u64 mem_limit)
{
	image_offset = b->kernel_start.v - KERNEL_BASE;
	early_init(b, mem_limit);
	if (early_ram.dropped || early_free.dropped)
		log_warn("mm: the memory map has too many ranges; some RAM is not used");
	if (!early_carve(PAGE_SIZE, PAGE_SIZE, LOW_MEMORY_END, &mm_trampoline.v))
		mm_trampoline.v = 0;
	build_tables(&b->screen);
	switch_tables();
	if (window_cpu_init(this_cpu()))
		panic("mm: no memory for the windows");
	this_cpu()->aspace = &kernel_aspace;
	kernel_aspace.active = BIT(this_cpu()->id);
}
