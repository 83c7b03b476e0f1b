/* Code that changes itself; CPUID and IN are replaced where an exit was just taken. */
#include "guest.h"

TEST_NAME("smc");

static u8 code[64] __page_aligned;

static u32 run(u32 eax)
{
	u32 result = eax, c = 0;

	__asm__ volatile("call *%2" : "+a"(result), "+c"(c) : "r"(code) : "rbx", "rdx", "memory");
	return result;
}

static void put(const u8 *bytes, u32 n)
{
	for (u32 i = 0; i < n; i++)
		((volatile u8 *)code)[i] = bytes[i];
}

void test_main(void)
{
	static const u8 mov[] = {0xb8, 0, 0, 0, 0, 0xc3};    /* mov eax, imm32; ret */
	static const u8 exits[] = {0x0f, 0xa2, 0x90, 0xc3};  /* cpuid; nop; ret */
	static const u8 longer[] = {0x66, 0x0f, 0xa2, 0xc3}; /* one byte longer, same end */
	static const u8 none[] = {0x83, 0xc0, 0x05, 0xc3};   /* add eax, 5; ret */
	/* mov dx, 0x3ff; in al, dx; ret */
	static const u8 port[] = {0x66, 0xba, 0xff, 0x03, 0xec, 0xc3};
	u32 leaf0 = cpuid(0, 0).eax;

	put(mov, sizeof(mov));
	for (u32 i = 0; i < 100; i++) {
		((volatile u8 *)code)[1] = (u8)i;
		expect_eq("patched immediate", run(0), i);
	}
	outb(0x3ff, 0x21);
	for (u32 i = 0; i < 20; i++) {
		put(exits, sizeof(exits));
		expect_eq("cpuid", run(0), leaf0);
		put(longer, sizeof(longer));
		expect_eq("cpuid with a prefix", run(0), leaf0);
		put(none, sizeof(none));
		expect_eq("add in place of cpuid", run(10), 15);
		put(port, sizeof(port));
		expect_eq("in", run(0) & 0xff, 0x21);
	}
}
