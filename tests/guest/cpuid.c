/* CPUID: what the allow list shows, and the instruction in its awkward encodings. */
#include "guest.h"

TEST_NAME("cpuid");

#define HYPERVISOR_BIT (1u << 31)
#define X2APIC_BIT (1u << 21)
#define XSAVE_BIT (1u << 26)
#define OSXSAVE_BIT (1u << 27)
#define CR4_OSXSAVE (1u << 18)

static u8 pages[2 * PAGE] __page_aligned;

static void expect_text(const char *what, u32 a, u32 b, u32 c, const char *expected)
{
	char text[13] = {0};
	u32 words[3] = {a, b, c};

	copy(text, words, 12);
	for (u32 i = 0; i < 12; i++) {
		if (text[i] != expected[i]) {
			fail("%s: got \"%s\", expected \"%s\"", what, text, expected);
			return;
		}
		if (!expected[i])
			return;
	}
}

/* What must never be offered: no handling exists for it. */
static const struct {
	u32 leaf, sub;
	char reg;
	u32 mask;
	const char *name;
} hidden[] = {
	{1, 0, 'c', 1u << 5, "VMX"},
	{0x80000001, 0, 'c', 1u << 2, "SVM"},
	{7, 0, 'd', 1u << 22 | 1u << 24 | 1u << 25, "AMX"},
	{7, 0, 'c', 1u << 7, "CET shadow stacks"},
	{7, 0, 'd', 1u << 20, "CET indirect branch tracking"},
	{0xd, 1, 'a', 1u << 3, "XSAVES"},
	{0x40000001, 0, 'a', 1u << 4 | 1u << 10 | 1u << 14, "async page faults"},
};

static void test_hypervisor(void)
{
	struct cpuid leaf = cpuid(0x40000000, 0);

	expect_text("leaf 0x40000000", leaf.ebx, leaf.ecx, leaf.edx, "KVMKVMKVM\0\0");
	expect(cpuid(1, 0).ecx & HYPERVISOR_BIT, "leaf 1: the hypervisor bit is not set");
	expect(cpuid(1, 0).ecx & X2APIC_BIT, "leaf 1: x2APIC is not offered");
	for (u32 i = 0; i < ARRAY_SIZE(hidden); i++) {
		struct cpuid r = cpuid(hidden[i].leaf, hidden[i].sub);
		u32 v = hidden[i].reg == 'a' ? r.eax : hidden[i].reg == 'c' ? r.ecx : r.edx;

		if (v & hidden[i].mask)
			fail("%s is offered: leaf 0x%x has 0x%x", hidden[i].name, hidden[i].leaf,
			     v & hidden[i].mask);
	}
}

static void expect_xsave_bytes(u32 xcr0, u32 bytes)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"(xcr0), "d"(0));
	for (u32 sub = 0; sub < (cpuid(0xd, 1).eax & 2 ? 2u : 1u); sub++)
		if (cpuid(0xd, sub).ebx != bytes)
			fail("leaf 0xd, sub-leaf %u with XCR0 = %u: got %u bytes, expected %u", sub,
			     xcr0, cpuid(0xd, sub).ebx, bytes);
}

/* What the kernel puts in for the vCPU and the state that it is in. */
static void test_live(void)
{
	u32 offered = cpuid(0xd, 0).eax;

	if (cpuid(1, 0).ecx & XSAVE_BIT) {
		write_cr4(read_cr4() & ~CR4_OSXSAVE);
		expect(!(cpuid(1, 0).ecx & OSXSAVE_BIT), "leaf 1: OSXSAVE is set, and in CR4 not");
		write_cr4(read_cr4() | CR4_OSXSAVE);
		expect(cpuid(1, 0).ecx & OSXSAVE_BIT, "leaf 1: OSXSAVE is not set as in CR4");
		expect_xsave_bytes(3, 576);
		if (offered & 4)
			expect_xsave_bytes(7, 832);
	}
	for (u32 sub = 0; sub < 5; sub++) {
		struct cpuid r = cpuid(0xb, sub);

		if (r.edx != cpuid(1, 0).ebx >> 24 || (r.ecx & 0xff) != sub)
			fail("leaf 0xb, sub-leaf %u: ecx 0x%x edx 0x%x", sub, r.ecx, r.edx);
	}
	expect(!cpuid(7, 1).ebx, "leaf 7, sub-leaf 1 has bits of sub-leaf 0");
}

/* Each encoding is followed by a RET; offset = where it starts in the two pages. */
static const struct {
	const char *name;
	u32 offset, bytes;
	u8 code[16];
} encodings[] = {
	{"plain", 0, 3, {0x0f, 0xa2, 0xc3}},
	{"operand size", 0, 4, {0x66, 0x0f, 0xa2, 0xc3}},
	{"REX.W", 0, 4, {0x48, 0x0f, 0xa2, 0xc3}},
	{"segment and repeat", 0, 6, {0x2e, 0xf3, 0x67, 0x0f, 0xa2, 0xc3}},
	{"15 bytes",
	 0,
	 16,
	 {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x0f, 0xa2,
	  0xc3}},
	{"across pages", PAGE - 1, 3, {0x0f, 0xa2, 0xc3}},
	{"prefix across pages", PAGE - 2, 5, {0x66, 0x48, 0x0f, 0xa2, 0xc3}},
	{"at the end of a page", PAGE - 3, 3, {0x0f, 0xa2, 0xc3}},
};

static void test_encodings(void)
{
	struct cpuid expected = cpuid(0, 0);

	for (u32 i = 0; i < ARRAY_SIZE(encodings); i++) {
		u32 eax = 0, ebx, ecx = 0, edx;

		copy(pages + encodings[i].offset, encodings[i].code, encodings[i].bytes);
		__asm__ volatile("call *%4"
				 : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx)
				 : "r"(pages + encodings[i].offset)
				 : "memory");
		if (eax != expected.eax || ebx != expected.ebx || ecx != expected.ecx ||
		    edx != expected.edx)
			fail("encoding %s: got 0x%x 0x%x 0x%x 0x%x", encodings[i].name, eax, ebx,
			     ecx, edx);
	}
}

void test_main(void)
{
	expect(cpuid(0, 0).eax >= 1, "leaf 0: no leaf 1");
	if (under_caisson) {
		test_hypervisor();
		test_live();
	}
	test_encodings();
}
