#include "hv/ap_start.h"

#include "drivers/platform/clock.h"
#include "drivers/platform/lapic.h"
#include "hv/bootinfo.h"
#include "hv/up.h"
#include "hv/x86.h"
#include "lib/string.h"
#include "mm/kmap.h"
#include "mm/mm.h"

extern const u8 trampoline_start[], trampoline_params[], trampoline_end[]; /* boot/trampoline.asm */
/*
 * boot/multiboot2.asm: the boot tables, unused once mm_init has loaded the kernel's own. They serve
 * an AP until it loads those too: only they hold an identity mapping, beside the kernel half, whose
 * top-level entries never change.
 */
extern u64 boot_pml4[512];

static struct ap_params *params; /* in the trampoline frame, mapped for good */

/* Copies the trampoline into its frame, which the kernel maps writable and never executable. */
static bool trampoline_install(void)
{
	u32 size = (u32)(trampoline_end - trampoline_start);
	u8 *p;

	ASSERT(size <= PAGE_SIZE);
	if (!mm_trampoline.v) {
		log_error("smp: no free page below 640 KiB: the other CPUs can't be started");
		return false;
	}
	p = mmio_map(mm_trampoline, PAGE_SIZE, PT_R | PT_W);
	if (!p)
		return false;
	memcpy(p, trampoline_start, size);
	params = (struct ap_params *)(p + (trampoline_params - trampoline_start));
	params->image = bootinfo.kernel_start.v;
	memcpy(boot_pml4 + KERNEL_HALF, kernel_aspace.pt.root + KERNEL_HALF, PAGE_SIZE / 2);
	return true;
}

bool ap_start(struct cpu *c, u64 stack_top, u64 timeout_ns)
{
	u64 deadline;

	if (!params && !trampoline_install())
		return false;
	params->kernel_cr3 = aspace_cr3(&kernel_aspace);
	params->stack_top = stack_top;
	params->cpu = c;
	lapic_init_sipi(c->apic_id, (u32)(mm_trampoline.v >> PAGE_SHIFT));
	deadline = clock_ns() + timeout_ns;
	while (!__atomic_load_n(&c->claimed, __ATOMIC_ACQUIRE) && clock_ns() < deadline)
		cpu_relax();
	if (!__atomic_exchange_n(&c->claimed, true, __ATOMIC_ACQ_REL)) {
		lapic_park(c->apic_id); /* it must not come up later, with another CPU's stack */
		return false;
	}
	/* From here on it runs the kernel and may hold its locks: nothing stops it any more. */
	while (!__atomic_load_n(&c->up, __ATOMIC_ACQUIRE)) {
		clock_sync_poll();
		cpu_relax();
	}
	return true;
}
