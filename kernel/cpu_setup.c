#include "kernel/cpu_setup.h"

#include "arch/msr.h"
#include "hv/facts.h"
#include "hv/x86.h"
#include "kernel/mce.h"
#include "mm/kmem.h"

/* Intel SDM 3 "Task Management in 64-bit Mode". */
struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7]; /* ist[0] is IST 1 */
	u64 reserved2;
	u16 reserved3;
	u16 io_map; /* beyond the limit: ring 3 has no ports */
} __packed;
static_assert(sizeof(struct tss) == 104, "TSS");

struct idt_gate {
	u16 offset_low;
	u16 selector;
	u8 ist;
	u8 type; /* P 7, DPL 5-6, type 0-3 */
	u16 offset_mid;
	u32 offset_high;
	u32 reserved;
};
static_assert(sizeof(struct idt_gate) == 16, "IDT gate");

enum { IST_NMI = 1, IST_DF, IST_MC, IST_DB, IST_STACKS = 4 };
/* as after reset, but PWT alone means write-combining: PT_COMBINE */
#define PAT_VALUE 0x0007040600070106ull
#define IST_STACK_SIZE 4096

struct cpu_tables {
	struct cpu cpu;
	u64 gdt[8]; /* null, kernel code, kernel data, user data, user code, TSS (2) */
	struct tss tss;
	u8 ist[IST_STACKS][IST_STACK_SIZE] __aligned(16);
};

#define GDT_KCODE 0x00209b0000000000ull
#define GDT_KDATA 0x0000930000000000ull
#define GDT_UDATA 0x0000f30000000000ull
#define GDT_UCODE 0x0020fb0000000000ull
#define GDT_TSS_TYPE 0x89ull /* present, available 64-bit TSS */

extern const u8 trap_stubs[], trap_stubs_end[];
void syscall_entry(void);

struct cpu *cpus[MAX_CPUS];
u32 cpu_count = 1;

static struct cpu_tables boot_tables;
static struct idt_gate idt[256];

static struct cpu_tables *tables_of(struct cpu *c)
{
	return container_of(c, struct cpu_tables, cpu);
}

static void idt_fill(void)
{
	const u64 step = (u64)(trap_stubs_end - trap_stubs) / 256;

	for (u32 v = 0; v < 256; v++) {
		u64 a = (u64)trap_stubs + v * step;

		idt[v] = (struct idt_gate){.offset_low = (u16)a,
					   .selector = SEL_KCODE,
					   .type = 0x8e,
					   .offset_mid = (u16)(a >> 16),
					   .offset_high = (u32)(a >> 32)};
	}
	idt[EXC_NMI].ist = IST_NMI;
	idt[EXC_DF].ist = IST_DF;
	idt[EXC_MC].ist = IST_MC;
	idt[EXC_DB].ist = IST_DB;
	idt[EXC_BP].type |= 3 << 5; /* INT3 from ring 3 is that program's own fault, not #GP */
}

static void tables_fill(struct cpu_tables *t)
{
	u64 tss = (u64)&t->tss;

	t->gdt[1] = GDT_KCODE;
	t->gdt[2] = GDT_KDATA;
	t->gdt[3] = GDT_UDATA;
	t->gdt[4] = GDT_UCODE;
	t->gdt[5] = (sizeof(struct tss) - 1) | (tss & 0xffffff) << 16 | GDT_TSS_TYPE << 40 |
		    (tss >> 24 & 0xff) << 56;
	t->gdt[6] = tss >> 32;
	t->tss.io_map = sizeof(struct tss);
	t->cpu.self = &t->cpu;
	t->cpu.timer_armed = ~0ull;
	for (u32 i = 0; i < IST_STACKS; i++)
		t->tss.ist[i] = (u64)&t->ist[i + 1];
}

void cpu_setup_tables(struct cpu *c)
{
	struct cpu_tables *t = tables_of(c);
	struct table_register gdtr = {sizeof(t->gdt) - 1, (u64)t->gdt};
	struct table_register idtr = {sizeof(idt) - 1, (u64)idt};

	__asm__ volatile(
		"lgdt %0\n\t"
		"mov %1, %%ds\n\tmov %1, %%es\n\tmov %1, %%ss\n\tmov %2, %%fs\n\tmov %2, %%gs\n\t"
		"push %3\n\tlea 1f(%%rip), %%rax\n\tpush %%rax\n\tlretq\n1:"
		:
		: "m"(gdtr), "r"((u32)SEL_KDATA), "r"(0), "i"(SEL_KCODE)
		: "rax", "memory");
	wrmsr(MSR_GS_BASE, (u64)c);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
	wrmsr(MSR_PAT, PAT_VALUE);  /* before anything is written on the screen */
	t->gdt[5] &= ~(2ull << 40); /* LTR wants it available, and marks it busy */
	/* The IDT last: an NMI takes its stack from the TSS. */
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
	__asm__ volatile("lldt %w0" : : "r"(0));
	__asm__ volatile("lidt %0" : : "m"(idtr));
}

void cpu_setup_boot(void)
{
	idt_fill();
	tables_fill(&boot_tables);
	boot_tables.cpu.up = true;
	cpus[0] = &boot_tables.cpu;
	cpu_setup_tables(cpus[0]);
}

struct cpu *cpu_create(u32 id, u32 apic_id)
{
	struct cpu_tables *t = kmem_alloc(kernel_quota, sizeof(*t));

	if (!t)
		return NULL;
	tables_fill(t);
	t->cpu.id = id;
	t->cpu.apic_id = apic_id;
	return &t->cpu;
}

void cpu_setup_registers(void)
{
	const struct cpu_facts *f = &cpu_facts;
	u64 cr4 = CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	cr4 |= f->pge ? CR4_PGE : 0;
	cr4 |= f->smep ? CR4_SMEP : 0;
	cr4 |= f->smap ? CR4_SMAP : 0;
	cr4 |= f->umip ? CR4_UMIP : 0;
	cr4 |= f->xsave ? CR4_OSXSAVE : 0;
	write_cr4(cr4);
	write_cr0(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG | CR0_TS);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE | EFER_NXE);
	wrmsr(MSR_STAR, (u64)(SEL_UDATA - 8) << 48 | (u64)SEL_KCODE << 32);
	wrmsr(MSR_LSTAR, (u64)syscall_entry);
	wrmsr(MSR_SFMASK,
	      RFLAGS_IF | RFLAGS_TF | RFLAGS_DF | RFLAGS_AC | RFLAGS_NT | RFLAGS_VM | RFLAGS_RF);
	if (f->xsave)
		xsetbv(0, 1); /* x87 only; a guest's own value is loaded with the vCPU */
	mce_init_cpu();
}

void cpu_set_kstack(u64 top)
{
	struct cpu *c = this_cpu();

	c->kstack_top = top;
	tables_of(c)->tss.rsp[0] = top;
}
