/*
 * The neighbour of a hostile guest: everything that a processor shares between guests keeps its
 * value here, memory too, and the timer's interrupts come in time. A line a second; ends only when
 * something is wrong.
 */
#include "guest.h"

TEST_NAME("bystander");

#define VECTOR 0x51
#define TICK_NS 10000000u
#define TICKS_PER_LINE 100u
#define LEAF_TIMING 0x40000010u
#define PATTERN 0x400000ul
#define PATTERN_BYTES 0x400000ul
#define PATTERN_STEP 0x9e3779b97f4a7c15ull

static volatile u32 ticks;
static u8 xmm[16][16], xmm_now[16][16];
static u64 x87 = 0x123456789abcdefull, x87_now;

static const struct {
	const char *name;
	u32 number;
	u64 value;
} msrs[] = {
	{"STAR", 0xc0000081, 0x0008001000000000},
	{"LSTAR", 0xc0000082, 0x123456},
	{"CSTAR", 0xc0000083, 0x234567},
	{"SFMASK", 0xc0000084, 0x700},
	{"FS_BASE", 0xc0000100, 0x345678},
	{"KERNEL_GS_BASE", 0xc0000102, 0x456789},
	{"TSC_AUX", 0xc0000103, 0x5a},
	{"SYSENTER_CS", 0x174, 0x18},
	{"SYSENTER_ESP", 0x175, 0x56789a},
	{"SYSENTER_EIP", 0x176, 0x6789ab},
	{"PAT", 0x277, 0x0007040600070401},
};

static void tick(struct frame *f)
{
	ticks++;
	apic_eoi();
}

#define EACH_XMM(X)                                                                                \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define XMM_LOAD(n) __asm__ volatile("movdqu %0, %%xmm" #n ::"m"(xmm[n]));
#define XMM_STORE(n) __asm__ volatile("movdqu %%xmm" #n ", %0" : "=m"(xmm_now[n]));
#define DR_LOAD(n) __asm__ volatile("mov %0, %%dr" #n ::"r"((ulong)0x1000 * (n + 1)))
#define DR_CHECK(n)                                                                                \
	do {                                                                                       \
		ulong v;                                                                           \
		__asm__ volatile("mov %%dr" #n ", %0" : "=r"(v));                                  \
		expect_eq("DR" #n, v, (ulong)0x1000 * (n + 1));                                    \
	} while (0)

static void set_up(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(msrs); i++)
		wrmsr(msrs[i].number, msrs[i].value);
	for (u32 i = 0; i < sizeof(xmm); i++)
		xmm[i / 16][i % 16] = (u8)(i * 7 + 3);
	EACH_XMM(XMM_LOAD)
	__asm__ volatile("fninit; fildll %0" ::"m"(x87));
	DR_LOAD(0);
	DR_LOAD(1);
	DR_LOAD(2);
	DR_LOAD(3);
	for (ulong i = 0; i < PATTERN_BYTES / 8; i++)
		((u64 *)PATTERN)[i] = i * PATTERN_STEP;
}

static void check_registers(ulong cr0, ulong cr3, ulong cr4)
{
	for (u32 i = 0; i < ARRAY_SIZE(msrs); i++)
		expect_eq(msrs[i].name, rdmsr(msrs[i].number), msrs[i].value);
	EACH_XMM(XMM_STORE)
	for (u32 i = 0; i < 16; i++)
		for (u32 k = 0; k < 16; k++)
			if (xmm[i][k] != xmm_now[i][k])
				fail("XMM%u byte %u: got 0x%x, expected 0x%x", i, k, xmm_now[i][k],
				     xmm[i][k]);
	__asm__ volatile("fld %%st(0); fistpll %0" : "=m"(x87_now));
	expect_eq("x87", x87_now, x87);
	DR_CHECK(0);
	DR_CHECK(1);
	DR_CHECK(2);
	DR_CHECK(3);
	expect_eq("CR0", read_cr0(), cr0);
	expect_eq("CR3", read_cr3(), cr3);
	expect_eq("CR4", read_cr4(), cr4);
}

static void check_memory(void)
{
	for (ulong i = 0; i < PATTERN_BYTES / 8; i++)
		if (((u64 *)PATTERN)[i] != i * PATTERN_STEP) {
			expect_eq("memory", ((u64 *)PATTERN)[i], i * PATTERN_STEP);
			return;
		}
}

void test_main(void)
{
	ulong cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4();
	u32 khz = cpuid(LEAF_TIMING, 0).eax, worst = 0, line = 0;
	u64 last;

	pic_init(0x20, 0);
	apic_enable();
	set_up();
	set_handler(VECTOR, tick);
	apic_write(APIC_TIMER_DIVIDE, 0xb); /* by 1: nanoseconds under Caisson */
	apic_write(APIC_LVT_TIMER, APIC_PERIODIC | VECTOR);
	apic_write(APIC_TIMER_INIT, TICK_NS);
	last = rdtsc();
	for (;;) {
		u64 now;
		u32 gap;

		sti_hlt();
		cli();
		now = rdtsc();
		gap = (u32)((now - last) / khz);
		worst = gap > worst ? gap : worst;
		last = now;
		if (ticks < TICKS_PER_LINE)
			continue;
		ticks = 0;
		check_registers(cr0, cr3, cr4);
		check_memory();
		if (!all_well())
			end_machine(1);
		print("bystander: line %u, longest gap %u ms\n", ++line, worst);
		last = rdtsc(); /* the checks took their time */
	}
}
