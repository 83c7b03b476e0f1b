// MODE: 32
/*
 * 32-bit two-level paging: 4 KiB and 4 MiB pages, permissions, exits from pages that are not one to
 * one.
 */
#include "guest.h"

TEST_NAME("paging-32");

enum { P = 1, W = 2, PCD = 16, A = 32, D = 64, PS = 128 };
#define HIGH 0xc0000000ul
#define CR0_PG (1ul << 31)
#define CR0_WP (1ul << 16)
#define CR4_PSE (1ul << 4)

static u32 pd[1024] __page_aligned, pt[1024] __page_aligned;
static u8 frame_a[PAGE] __page_aligned, gap[PAGE] __page_aligned, frame_b[PAGE] __page_aligned;

static void read_at(void *p) { (void)*(volatile u32 *)p; }
static void write_at(void *p) { *(volatile u32 *)p = 1; }

static void map(u32 index, const void *frame, u32 flags)
{
	pt[index] = (u32)(ulong)frame | flags;
	invlpg(HIGH + index * PAGE);
}

static void test_permissions(void)
{
	void *va = (void *)(HIGH + 3 * PAGE);

	map(3, frame_a, P | W);
	*(volatile u32 *)va = 0xbeef;
	expect_eq("alias", *(u32 *)frame_a, 0xbeef);
	expect_eq("accessed and dirty", pt[3] & (A | D), A | D);
	map(3, 0, 0);
	expect_trap("read of an absent page", try_call(read_at, va), EXC_PF);
	expect_eq("its error code", last_trap.error, 0);
	expect_eq("its CR2", last_trap.cr2, (ulong)va);
	map(3, frame_a, P);
	write_cr0(read_cr0() | CR0_WP);
	expect_trap("write to a read-only page", try_call(write_at, va), EXC_PF);
	expect_eq("its error code", last_trap.error, 3);
}

static void test_exits(void)
{
	u32 eax = 0, ebx, ecx = 0, edx, expected = cpuid(0, 0).ebx;

	map(4, frame_b, P);
	map(5, frame_a, P);
	frame_b[PAGE - 1] = 0x0f;
	frame_a[0] = 0xa2;
	frame_a[1] = 0xc3;
	gap[0] = 0x0b;
	__asm__ volatile("call *%4"
			 : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx)
			 : "S"(HIGH + 5 * PAGE - 1));
	expect_eq("CPUID across frames", ebx, expected);
	map(7, (void *)IOAPIC, P | W | PCD);
	mmio_write(HIGH + 7 * PAGE, 1);
	expect_eq("I/O APIC through an alias", mmio_read(HIGH + 7 * PAGE + 0x10), ioapic_read(1));
	outb(0x3ff, 0x6c);
	map(8, frame_b, P | W);
	ulong di = HIGH + 9 * PAGE - 4, count = 8;
	map(9, frame_a, P | W);
	__asm__ volatile("rep insb" : "+D"(di), "+c"(count) : "d"(0x3ff) : "memory");
	expect_eq("rep insb across frames: first", *(u32 *)(frame_b + PAGE - 4), 0x6c6c6c6c);
	expect_eq("rep insb across frames: second", *(u32 *)frame_a, 0x6c6c6c6c);
}

void test_main(void)
{
	for (u32 i = 0; i < 1024; i++)
		pd[i] = i << 22 | P | W | PS;
	pd[HIGH >> 22] = (u32)(ulong)pt | P | W;
	write_cr4(read_cr4() | CR4_PSE);
	write_cr3((ulong)pd);
	write_cr0(read_cr0() | CR0_PG);
	test_permissions();
	test_exits();
	write_cr0(read_cr0() & ~CR0_PG);
	*(volatile u32 *)frame_a = 7;
	write_cr0(read_cr0() | CR0_PG);
	expect_eq("after paging off and on", *(volatile u32 *)(HIGH + 9 * PAGE), 7);
}
