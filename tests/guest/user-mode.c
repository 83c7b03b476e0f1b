/*
 * Ring 3 of the guest: what exits there works, what is privileged faults, and the emulator minds
 * the U/S bit.
 */
#include "kvm.h"

TEST_NAME("user-mode");

#define PTE_US 4ull
#define PTE_PS_BASE(a) ((a)&0x000fffffffe00000ull)
#define USER_DATA (0x30 | 3)
#define USER_CODE (0x38 | 3)
#define TSS_SELECTOR 0x40
#define IOPL_3 0x3000ul
#define SCRATCH 0x3ff
#define KERNEL_PAGE 0x600000ul /* RAM, supervisor */
#define IO_PAGE_FAULT_WRITE 7u /* present, write, user */

extern u64 page_pml4[];

/* As in start.asm up to 0x18; then user segments and the TSS. */
static u64 user_gdt[] = {
	0,
	0x00cf9b000000ffff,
	0x00cf93000000ffff,
	0x00af9b000000ffff,
	0,
	0,
	0x00cff3000000ffff,
	0x00affb000000ffff,
	0,
	0,
};
static struct {
	u32 reserved0;
	u64 rsp[3];
	u8 reserved1[74];
	u16 io_map;
} __attribute__((packed)) tss;
static u8 trap_stack[4 * PAGE] __attribute__((aligned(16))),
	user_stack[PAGE] __attribute__((aligned(16)));
static struct frame last;

/* Each piece ends by UD2; the registers are then in `last`. */
#define USER(name, code)                                                                           \
	extern const char name[];                                                                  \
	__asm__(".text\n" #name ": " code "; ud2\n")
USER(user_cpuid, "cpuid");
USER(user_in, "inb %dx, %al");
USER(user_out, "outb %al, %dx");
USER(user_hlt, "hlt");
USER(user_rdmsr, "rdmsr");
USER(user_wrmsr, "wrmsr");
USER(user_read_cr0, "mov %cr0, %rax");
USER(user_write_cr0, "mov %rax, %cr0");
USER(user_write_cr4, "mov %rax, %cr4");
USER(user_write_cr8, "mov %rax, %cr8");
USER(user_clts, "clts");
USER(user_lmsw, "lmsw %ax");
USER(user_dr, "mov %rax, %dr0");
USER(user_load, "movl (%rsi), %eax");
USER(user_store, "movl %eax, (%rdi)");
USER(user_move, "movsl");
USER(user_add, "addl (%rsi), %eax");
USER(user_ins, "insb");
USER(user_vmcall, "vmcall");
USER(user_vmmcall, "vmmcall");

struct call {
	const char *name, *code;
	u32 vector, error;
	ulong flags, cx, dx, si, di;
};

static const struct call calls[] = {
	{"CPUID", user_cpuid, .vector = EXC_UD},
	{"IN", user_in, .vector = EXC_GP, .dx = SCRATCH},
	{"OUT", user_out, .vector = EXC_GP, .dx = SCRATCH},
	{"INS", user_ins, .vector = EXC_GP, .dx = SCRATCH, .di = (ulong)user_stack},
	{"OUT with IOPL 3", user_out, .vector = EXC_UD, .flags = IOPL_3, .dx = SCRATCH},
	{"IN with IOPL 3", user_in, .vector = EXC_UD, .flags = IOPL_3, .dx = SCRATCH},
	{"INS with IOPL 3", user_ins, .vector = EXC_UD, .flags = IOPL_3, .dx = SCRATCH,
	 .di = (ulong)user_stack},
	{"INS to a supervisor page", user_ins, .vector = EXC_PF, .error = IO_PAGE_FAULT_WRITE,
	 .flags = IOPL_3, .dx = SCRATCH, .di = KERNEL_PAGE},
	{"HLT", user_hlt, .vector = EXC_GP},
	{"RDMSR", user_rdmsr, .vector = EXC_GP, .cx = 0x1b},
	{"WRMSR", user_wrmsr, .vector = EXC_GP, .cx = 0x1b},
	{"WRMSR of a passed MSR", user_wrmsr, .vector = EXC_GP, .cx = 0xc0000082},
	{"read of CR0", user_read_cr0, .vector = EXC_GP},
	{"write of CR0", user_write_cr0, .vector = EXC_GP},
	{"write of CR4", user_write_cr4, .vector = EXC_GP},
	{"write of CR8", user_write_cr8, .vector = EXC_GP},
	{"CLTS", user_clts, .vector = EXC_GP},
	{"LMSW", user_lmsw, .vector = EXC_GP},
	{"write of DR0", user_dr, .vector = EXC_GP},
	{"load from a device", user_load, .vector = EXC_UD, .si = IOAPIC},
	{"store to a device", user_store, .vector = EXC_UD, .di = IOAPIC},
	{"ADD from a device", user_add, .vector = EXC_UD, .si = IOAPIC},
	{"load from a supervisor device page", user_load, .vector = EXC_PF, .error = 5,
	 .si = LAPIC},
	{"store to a supervisor device page", user_store, .vector = EXC_PF, .error = 7,
	 .di = LAPIC + APIC_TPR},
	{"MOVS from a device to a user page", user_move, .vector = EXC_UD, .si = IOAPIC,
	 .di = (ulong)user_stack},
	{"MOVS from a device to a supervisor page", user_move, .vector = EXC_PF,
	 .error = IO_PAGE_FAULT_WRITE, .si = IOAPIC, .di = KERNEL_PAGE},
	{"MOVS from a supervisor page to a device", user_move, .vector = EXC_PF, .error = 5,
	 .si = KERNEL_PAGE, .di = IOAPIC},
};

static void leave(struct frame *f)
{
	last = *f;
	try_abort((long)f->vector);
}

static void enter(void *arg)
{
	const struct call *c = arg;

	__asm__ volatile(
		"push %0; push %1; push %2; push %3; push %4; mov %5, %%rsi; mov %6, %%rdi; iretq" ::
			"r"((ulong)USER_DATA),
		"r"((ulong)user_stack + sizeof(user_stack)), "r"(2 | c->flags),
		"r"((ulong)USER_CODE), "r"(c->code), "r"(c->si), "r"(c->di), "a"(0), "c"(c->cx),
		"d"(c->dx)
		: "memory", "rsi", "rdi");
}

static void set_user(ulong a)
{
	u64 *pdpt = (u64 *)(page_pml4[0] & ~0xffful), *pd;

	page_pml4[0] |= PTE_US;
	pdpt[a >> 30] |= PTE_US;
	pd = (u64 *)(pdpt[a >> 30] & ~0xffful);
	pd[a >> 21 & 511] |= PTE_US;
	invlpg(a);
}

static void init(void)
{
	struct {
		u16 limit;
		ulong base;
	} __attribute__((packed)) reg = {sizeof(user_gdt) - 1, (ulong)user_gdt};
	u64 base = (ulong)&tss;

	tss.rsp[0] = (ulong)trap_stack + sizeof(trap_stack);
	tss.io_map = sizeof(tss);
	user_gdt[TSS_SELECTOR / 8] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 |
				     (base >> 24 & 0xff) << 56;
	user_gdt[TSS_SELECTOR / 8 + 1] = base >> 32;
	__asm__ volatile("lgdt %0; ltr %w1" ::"m"(reg), "r"(TSS_SELECTOR) : "memory");
	set_user(0x100000);
	set_user(0x200000);
	set_user(IOAPIC);
	set_handler(EXC_UD, leave);
	set_handler(EXC_GP, leave);
	set_handler(EXC_PF, leave);
}

/* Ring 3 makes none: -EPERM. */
static void test_hypercall(void)
{
	const struct call c = {.code = on_amd() ? user_vmmcall : user_vmcall};

	expect_trap("hypercall", try_call(enter, (void *)&c), EXC_UD);
	expect_eq("hypercall: RAX", last.ax, (ulong)-1l);
}

void test_main(void)
{
	u32 leaf0 = cpuid(0, 0).eax;

	init();
	outb(SCRATCH, 0x47);
	for (u32 i = 0; i < ARRAY_SIZE(calls); i++) {
		const struct call *c = &calls[i];

		expect_trap(c->name, try_call(enter, (void *)c), c->vector);
		if (c->vector != EXC_UD && last.error != c->error)
			fail("%s: error code 0x%lx, expected 0x%x", c->name, last.error, c->error);
		if (c->vector != EXC_UD && last.ip != (ulong)c->code)
			fail("%s: faulted at 0x%lx, expected 0x%lx", c->name, last.ip,
			     (ulong)c->code);
		expect_eq(c->name, last.cs, USER_CODE);
		if (c->code == user_cpuid)
			expect_eq("CPUID: EAX", last.ax, leaf0);
	}
	if (under_caisson)
		test_hypercall();
	expect_eq("OUT with IOPL 3 wrote", inb(SCRATCH), 0);
	expect_eq("the supervisor page", *(volatile u32 *)KERNEL_PAGE, 0);
}
