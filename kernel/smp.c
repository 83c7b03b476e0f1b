#include "kernel/smp.h"

#include "drivers/platform/acpi.h"
#include "drivers/platform/clock.h"
#include "drivers/platform/lapic.h"
#include "hv/vendor.h"
#include "hv/x86.h"
#include "kernel/cpu_setup.h"
#include "kernel/sched.h"
#include "kernel/vcpu.h"
#include "lib/string.h"
#include "mm/mm.h"
#include "mm/window.h"

#define AP_START_TIMEOUT_NS 5000000000ull /* an emulator on a busy host takes its time */

extern const u8 trampoline_start[], trampoline_image[], trampoline_end[]; /* boot/trampoline.asm */
/*
 * boot/multiboot2.asm: the boot tables, unused once mm_init has loaded the kernel's own. They serve
 * an AP until it loads those too: only they hold an identity mapping, beside the kernel half, whose
 * top-level entries never change.
 */
extern u64 boot_pml4[512];

struct cpu *ap_cpu;	    /* that is being started, for the trampoline */
static u64 quiesce_request; /* [a] the last epoch asked for */
static u64 flush_request;   /* [a] the last TLB flush asked for */

void smp_ipi(u32 cpu, u32 bits)
{
	struct cpu *c = cpus[cpu];
	u64 before = __atomic_fetch_or(&c->ipi_pending, bits, __ATOMIC_SEQ_CST);

	if (!(before & bits) || bits != (before & bits))
		lapic_ipi(c->apic_id, VECTOR_IPI);
}

static void flush_own(struct cpu *c)
{
	unmap_flushing(c);
	write_cr3(read_cr3());
}

static void flush_all(struct cpu *c)
{
	u64 cr4 = read_cr4();

	flush_own(c);
	write_cr4(cr4 & ~(u64)CR4_PGE); /* global translations too */
	write_cr4(cr4);
}

static void answer_flush(struct cpu *c)
{
	u64 seq = __atomic_load_n(&flush_request, __ATOMIC_ACQUIRE);

	flush_own(c);
	__atomic_store_n(&c->flush_seq, seq, __ATOMIC_RELEASE);
}

/*
 * What this CPU keeps loaded only in case it is needed again may belong to something that is to be
 * freed.
 */
static void drop_lazy(struct cpu *c)
{
	if (c->vcpu && (c->current == c->idle || c->vcpu->obj.dead || c->vcpu->unload))
		vcpu_drop(c);
	if (c->current == c->idle && c->aspace != &kernel_aspace)
		aspace_switch(&kernel_aspace);
}

void smp_ipi_interrupt(void)
{
	struct cpu *c = this_cpu();
	u64 bits = __atomic_exchange_n(&c->ipi_pending, 0, __ATOMIC_SEQ_CST);

	if (bits & IPI_FLUSH)
		answer_flush(c);
	if (bits & IPI_QUIESCE) {
		u64 seq = __atomic_load_n(&quiesce_request, __ATOMIC_ACQUIRE);

		drop_lazy(c);
		flush_all(c);
		__atomic_store_n(&c->quiesce_seq, seq, __ATOMIC_RELEASE);
	}
}

void smp_quiesce(void)
{
	u64 seq = __atomic_add_fetch(&quiesce_request, 1, __ATOMIC_SEQ_CST);

	/* This CPU too: the thread may go on elsewhere at any preemption point. */
	for (u32 i = 0; i < cpu_count; i++)
		smp_ipi(i, IPI_QUIESCE);
	for (u32 i = 0; i < cpu_count; i++)
		while (__atomic_load_n(&cpus[i]->quiesce_seq, __ATOMIC_ACQUIRE) < seq) {
			cpu_relax();
			preempt_point();
		}
}

void up_tlb_flush(struct aspace *as, u64 cpu_mask)
{
	struct cpu *me = this_cpu();
	u64 seq;

	if (cpu_mask >> me->id & 1)
		flush_own(me);
	cpu_mask &= ~BIT(me->id);
	if (!cpu_mask)
		return;
	seq = __atomic_add_fetch(&flush_request, 1, __ATOMIC_SEQ_CST);
	for (u64 left = cpu_mask; left; left &= left - 1)
		smp_ipi((u32)__builtin_ctzll(left), IPI_FLUSH);
	for (u64 left = cpu_mask; left; left &= left - 1)
		while (__atomic_load_n(&cpus[__builtin_ctzll(left)]->flush_seq, __ATOMIC_ACQUIRE) <
		       seq)
			up_spin_wait();
}

void up_spin_wait(void)
{
	struct cpu *c = this_cpu();

	if (__atomic_load_n(&c->ipi_pending, __ATOMIC_RELAXED) & IPI_FLUSH) {
		__atomic_fetch_and(&c->ipi_pending, ~(u64)IPI_FLUSH, __ATOMIC_SEQ_CST);
		answer_flush(c);
	}
	cpu_relax();
}

/* On the new CPU, on its idle thread's stack, with the boot tables. */
void ap_main(struct cpu *c)
{
	if (__atomic_exchange_n(&c->claimed, true, __ATOMIC_ACQ_REL))
		for (;;) /* too late: it was given up, and an INIT is on its way */
			__asm__ volatile("cli; hlt");
	cpu_setup_tables(c);
	cpu_setup_registers();
	lapic_init_cpu();
	clock_check_cpu(c);
	c->aspace = NULL;
	aspace_switch(&kernel_aspace);
	sched_init_cpu(c, c->idle);
	if (hv_ops && hv_ops->cpu_enable(c))
		log_error("smp: cpu%u cannot run VMs", c->id);
	else if (hv_ops)
		__atomic_fetch_or(&vcpu_cpus, BIT(c->id), __ATOMIC_SEQ_CST);
	__atomic_store_n(&c->up, true, __ATOMIC_RELEASE);
	sched_idle_loop();
}

/* Copies the trampoline into its frame, which the kernel maps writable and never executable. */
static bool trampoline_install(void)
{
	u64 size = (u64)(trampoline_end - trampoline_start);
	u8 *p = mm_trampoline.v ? mmio_map(mm_trampoline, PAGE_SIZE, PT_R | PT_W) : NULL;

	ASSERT(size <= PAGE_SIZE);
	if (!p) {
		log_error("smp: no free page below 640 KiB: the other CPUs can't be started");
		return false;
	}
	memcpy(p, trampoline_start, size);
	*(u32 *)(p + (trampoline_image - trampoline_start)) = (u32)bootinfo.kernel_start.v;
	memcpy(boot_pml4 + KERNEL_HALF, kernel_aspace.pt.root + KERNEL_HALF, PAGE_SIZE / 2);
	return true;
}

/* Sends a CPU to ap_main, and answers its clock_check_cpu. False: it did not get there in time. */
static bool ap_start(struct cpu *c)
{
	u64 deadline;

	ap_cpu = c;
	lapic_init_sipi(c->apic_id, (u32)(mm_trampoline.v >> PAGE_SHIFT));
	deadline = clock_ns() + AP_START_TIMEOUT_NS;
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

/* NULL: it is up; else why not. */
static const char *start_one(u32 id, u32 apic_id, u32 node)
{
	u32 boot_node = this_cpu()->node;
	struct cpu *c;

	if (!lapic_id_valid(apic_id))
		return "no interrupt reaches this id";
	this_cpu()->node = node; /* its memory comes from there */
	c = cpu_create(id, apic_id);
	if (c && !window_cpu_init(c))
		/* sched_init_cpu says that it is this CPU's */
		c->idle = thread_create_kernel(NULL);
	this_cpu()->node = boot_node;
	if (!c || !c->idle)
		return "no memory";
	c->node = node;
	c->current = c->idle;
	c->kstack_top = c->idle->kstack_top;
	cpus[id] = c;
	if (ap_start(c))
		return NULL;
	cpus[id] = NULL; /* its memory is not given back: it may still come up late and use it */
	return "it did not start within 5 s";
}

void smp_start(u32 max_cpus)
{
	u32 boot = lapic_id();
	const char *why;

	cpus[0]->apic_id = boot;
	for (u32 i = 0; i < acpi_facts.cpus; i++)
		if (acpi_facts.apic_id[i] == boot)
			cpus[0]->node = acpi_facts.node[i];
	if (acpi_facts.cpus > 1 && max_cpus > 1 && !trampoline_install())
		max_cpus = 1;
	for (u32 i = 0; i < acpi_facts.cpus; i++) {
		if (acpi_facts.apic_id[i] == boot)
			continue;
		if (cpu_count >= max_cpus || cpu_count == MAX_CPUS)
			break;
		why = start_one(cpu_count, acpi_facts.apic_id[i], acpi_facts.node[i]);
		if (why)
			log_warn("smp: the CPU with APIC id %u is left out: %s",
				 acpi_facts.apic_id[i], why);
		else
			cpu_count++;
	}
	log_info("smp: %u of %u CPUs are up", cpu_count, MAX(acpi_facts.cpus, 1));
	/*
	 * XRSTOR, FXRSTOR and FLDENV on any CPU make QEMU's TCG change hflags2 of its first one,
	 * without a lock: a VMRUN or #VMEXIT there at that moment can lose whether nested paging is
	 * on, for the guest or for us.
	 */
	if (lapic_on_tcg() && vcpu_cpus & ~BIT(0)) {
		vcpu_cpus &= ~BIT(0);
		log_notice("smp: VMs run on all CPUs but cpu0, where QEMU's TCG corrupts them");
	}
}
