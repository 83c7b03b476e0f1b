/*
 * Long-mode paging: page sizes, permissions, accessed and dirty bits; exits from pages that are not
 * one to one.
 */
#include "guest.h"

TEST_NAME("paging-long");

enum { P = 1, W = 2, U = 4, PCD = 16, A = 32, D = 64, PS = 128 };
#define NX (1ull << 63)
#define HIGH 0xffff800000000000ul
#define EFER 0xc0000080u
#define CR0_WP (1ul << 16)

extern u64 page_pml4[512];
static u64 pdpt[512] __page_aligned, pd[512] __page_aligned, pt[512] __page_aligned;
static u8 frame_a[PAGE] __page_aligned, gap[PAGE] __page_aligned, frame_b[PAGE] __page_aligned;

static void read_at(void *p) { (void)*(volatile u32 *)p; }
static void write_at(void *p) { *(volatile u32 *)p = 1; }
static void run_at(void *p) { ((void (*)(void))p)(); }

static void map(u32 index, const void *frame, u64 flags)
{
	pt[index] = (ulong)frame | flags;
	invlpg(HIGH + index * PAGE);
}

static void test_permissions(void)
{
	void *va = (void *)(HIGH + 3 * PAGE);

	map(3, frame_a, P | W);
	*(volatile u32 *)va = 0xbeef;
	expect_eq("alias", *(u32 *)frame_a, 0xbeef);
	expect_eq("accessed and dirty", pt[3] & (A | D), A | D);
	map(3, frame_a, P | W);
	read_at(va);
	expect_eq("accessed only", pt[3] & (A | D), A);
	map(3, frame_b, P | W);
	*(volatile u32 *)va = 0xcafe;
	expect_eq("after a change of the page", *(u32 *)frame_b, 0xcafe);
	map(3, 0, 0);
	expect_trap("read of an absent page", try_call(read_at, va), EXC_PF);
	expect_eq("its error code", last_trap.error, 0);
	expect_eq("its CR2", last_trap.cr2, (ulong)va);
	expect_trap("write to an absent page", try_call(write_at, va), EXC_PF);
	expect_eq("its error code", last_trap.error, 2);
	map(3, frame_a, P);
	write_cr0(read_cr0() | CR0_WP);
	expect_trap("write to a read-only page", try_call(write_at, va), EXC_PF);
	expect_eq("its error code", last_trap.error, 3);
	write_cr0(read_cr0() & ~CR0_WP);
	expect_trap("the same without WP", try_call(write_at, va), NO_TRAP);
	frame_a[0] = 0xc3;
	wrmsr(EFER, rdmsr(EFER) | 1u << 11);
	map(3, frame_a, P | NX);
	expect_trap("execution of an NX page", try_call(run_at, va), EXC_PF);
	expect_eq("its error code", last_trap.error, 0x11);
	map(3, frame_a, P);
	expect_trap("execution without NX", try_call(run_at, va), NO_TRAP);
	map(3, frame_a, P | 1ull << 51);
	expect_trap("a reserved bit", try_call(read_at, va),
		    cpuid(0x80000008, 0).eax % 256 < 52 ? EXC_PF : NO_TRAP);
	expect_trap("an address that is not canonical",
		    try_call(read_at, (void *)0x8000000000000000), EXC_GP);
}

/* CPUID that begins on one frame and ends on another one that does not follow it. */
static void test_exit_across_frames(void)
{
	u32 eax = 0, ebx, ecx = 0, edx, expected = cpuid(0, 0).ebx;

	map(4, frame_b, P);
	map(5, frame_a, P);
	frame_b[PAGE - 1] = 0x0f;
	frame_a[0] = 0xa2;
	frame_a[1] = 0xc3;
	gap[0] = 0x0b; /* what a walk that took the next frame would see: UD2 */
	__asm__ volatile("call *%4"
			 : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx)
			 : "r"(HIGH + 5 * PAGE - 1));
	expect_eq("CPUID across frames", ebx, expected);
}

static void test_devices(void)
{
	map(7, (void *)IOAPIC, P | W | PCD);
	map(8, (void *)LAPIC, P | W | PCD);
	mmio_write(HIGH + 7 * PAGE, 0x1);
	expect_eq("I/O APIC through an alias", mmio_read(HIGH + 7 * PAGE + 0x10), ioapic_read(1));
	apic_enable();
	mmio_write(HIGH + 8 * PAGE + APIC_TPR, 0x40);
	expect_eq("local APIC through an alias", apic_read(APIC_TPR), 0x40);
	map(7, frame_a, P | W);
	mmio_write(HIGH + 7 * PAGE, 0x77);
	expect_eq("memory in place of the I/O APIC", *(u32 *)frame_a, 0x77);
}

void test_main(void)
{
	page_pml4[256] = (ulong)pdpt | P | W;
	pdpt[0] = (ulong)pd | P | W;
	pd[0] = (ulong)pt | P | W;
	pd[1] = P | W | PS;
	pdpt[1] = P | W | PS;
	*(u32 *)(frame_a + 16) = 0x1234;
	expect_eq("2 MiB page",
		  *(volatile u32 *)(HIGH + 0x200000 + ((ulong)frame_a & 0x1fffff) + 16 - 0) ==
			  *(volatile u32 *)(((ulong)frame_a & 0x1fffff) + 16),
		  1);
	if (cpuid(0x80000001, 0).edx & 1u << 26)
		expect_eq("1 GiB page", *(volatile u32 *)(HIGH + (1ul << 30) + (ulong)frame_a + 16),
			  0x1234);
	test_permissions();
	test_exit_across_frames();
	test_devices();
}
