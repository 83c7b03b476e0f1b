/*
 * A data breakpoint's #DB on a stack of its own. With "nest" the breakpoint is on that stack: to
 * deliver the exception raises it again, and no instruction ever comes in between.
 */
#include "guest.h"

TEST_NAME("debug-nesting");

#define TSS_INDEX 14
/* In TSS and gate, Intel SDM 3, "64-Bit TSS Format", "64-Bit IDT Gate Descriptors" */
#define TSS_IST1 36
#define GATE_IST 4
#define DR7_WRITE_8(n) (3ull << 2 * (n) | 9ull << (16 + 4 * (n)))

static u8 stack[PAGE] __page_aligned;
static u8 tss[104];
static u64 gdt[TSS_INDEX + 2];
static volatile u64 watched;
static volatile u32 traps;
static volatile ulong handler_stack;

static void on_debug(struct frame *f)
{
	handler_stack = (ulong)f;
	traps++;
}

/* The lib's tables, with a TSS: #DB changes to the stack. */
static void tables_load(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) reg;
	u64 base = (ulong)tss, top = (ulong)stack + sizeof(stack);

	__asm__ volatile("sgdt %0" : "=m"(reg));
	for (u32 i = 0; i < (reg.limit + 1u) / 8 && i < TSS_INDEX; i++)
		gdt[i] = ((const u64 *)reg.base)[i];
	for (u32 i = 0; i < 8; i++)
		tss[TSS_IST1 + i] = (u8)(top >> 8 * i);
	gdt[TSS_INDEX] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 |
			 (base >> 24 & 0xff) << 56;
	gdt[TSS_INDEX + 1] = base >> 32;
	reg.limit = sizeof(gdt) - 1;
	reg.base = (ulong)gdt;
	__asm__ volatile("lgdt %0; ltr %w1" ::"m"(reg), "r"(TSS_INDEX * 8) : "memory");
	__asm__ volatile("sidt %0" : "=m"(reg));
	((u8 *)reg.base)[16 + GATE_IST] = 1;
}

void test_main(void)
{
	ulong top = (ulong)stack + sizeof(stack);
	u64 dr7 = DR7_WRITE_8(1) | 0x400;

	tables_load();
	set_handler(1, on_debug);
	__asm__ volatile("mov %0, %%dr1" ::"r"(&watched));
	if (command_line_has("nest")) {
		__asm__ volatile("mov %0, %%dr0" ::"r"(top - 8));
		dr7 |= DR7_WRITE_8(0);
	}
	__asm__ volatile("mov %0, %%dr7" ::"r"(dr7));
	watched = 1;
	__asm__ volatile("mov %0, %%dr7" ::"r"(0x400ul));
	expect_eq("traps", traps, 1);
	expect(handler_stack >= (ulong)stack && handler_stack < top, "another stack");
}
