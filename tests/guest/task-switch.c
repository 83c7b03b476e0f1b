// MODE: 32
/* Task switches by hardware: a jump to a task and back, each with its own registers and stack. */
#include "guest.h"

TEST_NAME("task-switch");

#define TSS_LIMIT 103u
#define TSS_AVAILABLE 0x89u
#define CODE 0x08u
#define DATA 0x10u
#define EAX_GIVEN 0x13572468u
enum { TASK_A = 0x40, TASK_B = 0x48, ABSENT = 0x50, GDT_BYTES = 0x58 };

/* Intel SDM 3, "Task-State Segment (TSS)" */
struct tss {
	u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
	u32 eax, ecx, edx, ebx, esp, ebp, esi, edi;
	u32 es, cs, ss, ds, fs, gs, ldt, io_map;
};

struct gdt_register {
	u16 limit;
	u32 base;
} __attribute__((packed));

struct far_pointer {
	u32 offset;
	u16 selector;
} __attribute__((packed));

static struct tss a, b;
static u64 table[GDT_BYTES / 8];
static u8 stack[1024] __attribute__((aligned(16)));
static const struct far_pointer to_a = {0, TASK_A}, to_b = {0, TASK_B};
static volatile u32 eax_seen, tr_seen, turns, faults, fault_error, fault_task;

static u32 task(void)
{
	u32 tr;

	__asm__ volatile("str %0" : "=r"(tr));
	return tr & 0xffff;
}

/* Task B, from eip on at first, from behind its jump then. */
static void __attribute__((noreturn)) run_b(void)
{
	u32 eax;

	__asm__ volatile("" : "=a"(eax));
	eax_seen = eax;
	for (;;) {
		tr_seen = task();
		turns++;
		__asm__ volatile("ljmp *%0" ::"m"(to_a) : "memory");
	}
}

static u64 descriptor(const struct tss *t)
{
	u64 base = (ulong)t;

	return TSS_LIMIT | (base & 0xffffff) << 16 | (u64)TSS_AVAILABLE << 40 | (base >> 24) << 56;
}

/* A segment of the new task: it is the new task's fault. */
static void on_absent(struct frame *f)
{
	faults++;
	fault_error = (u32)f->error;
	fault_task = task();
	f->ip = b.eip; /* QEMU's TCG says where the old task jumped */
}

static void a_segment_is_absent(void)
{
	set_handler(EXC_NP, on_absent);
	b.fs = ABSENT;
	__asm__ volatile("ljmp *%0" ::"m"(to_b) : "memory");
	expect_eq("faults of the switch", faults, 1);
	expect_eq("their error code", fault_error, ABSENT);
	expect_eq("the task register in the handler", fault_task, TASK_B);
	expect_eq("the other task's turns afterwards", turns, 4);
}

void test_main(void)
{
	struct gdt_register now, own = {sizeof(table) - 1, (ulong)table};

	__asm__ volatile("sgdt %0" : "=m"(now));
	copy(table, (const void *)(ulong)now.base, TASK_A < now.limit + 1 ? TASK_A : now.limit + 1);
	table[TASK_A / 8] = descriptor(&a);
	table[TASK_B / 8] = descriptor(&b);
	table[ABSENT / 8] = 0x00cf12000000ffffull;
	a.io_map = b.io_map = (TSS_LIMIT + 1) << 16;
	b.eip = (ulong)run_b;
	b.eflags = 2;
	b.eax = EAX_GIVEN;
	b.esp = (ulong)stack + sizeof(stack) - 4;
	b.cs = CODE;
	b.es = b.ss = b.ds = b.fs = b.gs = DATA;
	__asm__ volatile("lgdt %0\n\tltr %w1" ::"m"(own), "r"(TASK_A));
	for (u32 i = 1; i <= 3; i++) {
		u32 kept = 0xa5a50000 + i;

		__asm__ volatile("ljmp *%1" : "+S"(kept) : "m"(to_b) : "memory");
		expect_eq("turns of the other task", turns, i);
		expect_eq("a register across it", kept, 0xa5a50000 + i);
	}
	expect_eq("the other task's EAX", eax_seen, EAX_GIVEN);
	expect_eq("its task register", tr_seen, TASK_B);
	expect_eq("ours", task(), TASK_A);
	a_segment_is_absent();
}
