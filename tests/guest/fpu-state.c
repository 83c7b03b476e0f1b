/* x87, SSE and AVX registers survive exits; XSETBV takes only what the architecture allows. */
#include "guest.h"

TEST_NAME("fpu-state");

#define VECTOR 0x40
#define CR4_OSXSAVE (1u << 18)
static volatile u32 ticks;
static u64 in[32] __attribute__((aligned(64))), out[32] __attribute__((aligned(64)));

static void tick(struct frame *f)
{
	ticks++;
	apic_eoi();
}

/* One exit of each kind: ring 0, the monitor, a wait. */
static void exits(void)
{
	cpuid(0, 0);
	inb(0x61);
	pm_timer();
	apic_write(APIC_TIMER_INIT, 3000000);
	sti_hlt();
	cli();
}

static void compare(const char *what, u32 words)
{
	for (u32 i = 0; i < words; i++)
		if (in[i] != out[i]) {
			fail("%s: word %u is 0x%llx, expected 0x%llx", what, i, out[i], in[i]);
			return;
		}
}

static void test_sse(void)
{
	u32 mxcsr = 0x1f80 | 0x6000, got;

	__asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
	__asm__ volatile(
		"movaps (%0), %%xmm0; movaps 16(%0), %%xmm1; movaps 32(%0), %%xmm7; movaps 48(%0), %%xmm15" ::
			"r"(in));
	exits();
	__asm__ volatile(
		"movaps %%xmm0, (%0); movaps %%xmm1, 16(%0); movaps %%xmm7, 32(%0); movaps %%xmm15, 48(%0)" ::
			"r"(out)
		: "memory");
	__asm__ volatile("stmxcsr %0" : "=m"(got));
	compare("SSE", 8);
	expect_eq("MXCSR", got, mxcsr);
}

static void test_x87(void)
{
	u16 word = 0x027f, got;
	u64 value = 0;

	__asm__ volatile("fninit; fldcw %0; fldpi; fld1" ::"m"(word));
	exits();
	__asm__ volatile("fnstcw %0" : "=m"(got));
	expect_eq("x87 control word", got, word);
	__asm__ volatile("fstpl %0" : "=m"(value));
	expect_eq("x87 ST0 as double", value, 0x3ff0000000000000);
	__asm__ volatile("fstpl %0" : "=m"(value));
	expect_eq("x87 ST1 as double", value, 0x400921fb54442d18);
}

static void set_xcr0(void *arg)
{
	__asm__ volatile("xsetbv" ::"c"(0), "a"((u32)(ulong)arg), "d"(0));
}

static void set_xcr1(void *arg) { __asm__ volatile("xsetbv" ::"c"(1), "a"(3), "d"(0)); }

static void test_avx(void)
{
	write_cr4(read_cr4() | CR4_OSXSAVE);
	expect_trap("XSETBV of x87 and SSE", try_call(set_xcr0, (void *)3), NO_TRAP);
	expect_trap("XSETBV without x87", try_call(set_xcr0, (void *)2), EXC_GP);
	expect_trap("XSETBV with AVX without SSE", try_call(set_xcr0, (void *)5), EXC_GP);
	if (under_caisson)
		expect_trap("XSETBV with an unknown bit", try_call(set_xcr0, (void *)(1 << 20 | 3)),
			    EXC_GP);
	expect_trap("XSETBV of XCR1", try_call(set_xcr1, NULL), EXC_GP);
	if (!(cpuid(1, 0).ecx & 1u << 28))
		return;
	expect_trap("XSETBV of AVX", try_call(set_xcr0, (void *)7), NO_TRAP);
	__asm__ volatile("vmovaps (%0), %%ymm0; vmovaps 32(%0), %%ymm9" ::"r"(in));
	exits();
	__asm__ volatile("vmovaps %%ymm0, (%0); vmovaps %%ymm9, 32(%0)" ::"r"(out) : "memory");
	compare("AVX", 8);
	u32 low, high;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	expect_eq("XCR0", low, 7);
}

void test_main(void)
{
	pic_init(0x20, 0);
	set_handler(VECTOR, tick);
	apic_enable();
	apic_write(APIC_TIMER_DIVIDE, 0xb);
	apic_write(APIC_LVT_TIMER, VECTOR);
	for (u32 i = 0; i < ARRAY_SIZE(in); i++)
		in[i] = 0x0123456789abcdef * (i + 1) ^ memory_end;
	test_sse();
	test_x87();
	if (cpuid(1, 0).ecx & 1u << 26)
		test_avx();
}
