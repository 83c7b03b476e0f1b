// MODE: 32
/* PAE paging: 2 MiB and 4 KiB pages, NX, PDPTEs that are loaded with CR3, exits from aliases. */
#include "guest.h"

TEST_NAME("paging-pae");

enum { P = 1, W = 2, PCD = 16, A = 32, D = 64, PS = 128 };
#define NX (1ull << 63)
#define HIGH 0xc0000000ul
#define CR0_PG (1ul << 31)
#define CR4_PAE (1ul << 5)
#define EFER 0xc0000080u

static u64 pdpt[4] __attribute__((aligned(32)));
static u64 pd[4][512] __page_aligned, pt[512] __page_aligned, other_pt[512] __page_aligned,
	other_pd[512] __page_aligned;
static u64 other_pdpt[4] __attribute__((aligned(32)));
static u8 frame_a[PAGE] __page_aligned, gap[PAGE] __page_aligned, frame_b[PAGE] __page_aligned;

static void read_at(void *p) { (void)*(volatile u32 *)p; }
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
	map(3, 0, 0);
	expect_trap("read of an absent page", try_call(read_at, va), EXC_PF);
	expect_eq("its error code", last_trap.error, 0);
	frame_a[0] = 0xc3;
	wrmsr(EFER, rdmsr(EFER) | 1u << 11);
	map(3, frame_a, P | NX);
	expect_trap("execution of an NX page", try_call(run_at, va), EXC_PF);
	expect_eq("its error code", last_trap.error, 0x11);
	map(3, frame_a, P);
	expect_trap("execution without NX", try_call(run_at, va), NO_TRAP);
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
}

/* Another CR3: the same address shows another frame, also to an exit's page walk. */
static void test_switch(void)
{
	copy(other_pdpt, pdpt, sizeof(pdpt));
	copy(other_pd, pd[3], sizeof(other_pd));
	other_pdpt[3] = (ulong)other_pd | P;
	other_pd[0] = (ulong)other_pt | P | W;
	other_pt[4] = (ulong)frame_a | P | W;
	other_pt[5] = (ulong)frame_b | P | W;
	frame_a[PAGE - 1] = 0x90; /* NOP, then RET in frame_b */
	frame_b[0] = 0xc3;
	u32 expected = cpuid(0, 0).eax;
	for (u32 i = 0; i < 10; i++) {
		u32 eax = 0, ecx = 0;

		write_cr3((ulong)(i & 1 ? other_pdpt : pdpt));
		__asm__ volatile("call *%2"
				 : "+a"(eax), "+c"(ecx)
				 : "S"(HIGH + 5 * PAGE - 1)
				 : "ebx", "edx");
		expect_eq("after a switch of CR3", eax, i & 1 ? 0 : expected);
	}
}

void test_main(void)
{
	for (u32 i = 0; i < 4; i++) {
		pdpt[i] = (ulong)pd[i] | P;
		for (u32 j = 0; j < 512; j++)
			pd[i][j] = ((u64)i << 30) | j << 21 | P | W | PS;
	}
	pd[3][0] = (ulong)pt | P | W;
	write_cr4(read_cr4() | CR4_PAE);
	write_cr3((ulong)pdpt);
	write_cr0(read_cr0() | CR0_PG);
	test_permissions();
	test_exits();
	test_switch();
	write_cr0(read_cr0() & ~CR0_PG);
}
