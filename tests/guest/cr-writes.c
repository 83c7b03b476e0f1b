/* MOV CR, CLTS, LMSW, CR8: effects, and #GP for what the architecture forbids. */
#include "guest.h"

TEST_NAME("cr-writes");

#define CR0_PE 1ul
#define CR0_MP 2ul
#define CR0_TS 8ul
#define CR0_NW (1ul << 29)
#define CR0_CD (1ul << 30)
#define CR0_PG (1ul << 31)
#define CR4_PAE (1ul << 5)
#define CR4_VMXE (1ul << 13)

static void set_cr0(void *v) { write_cr0((ulong)v); }
static void set_cr4(void *v) { write_cr4((ulong)v); }
static void set_cr8(void *v) { __asm__ volatile("mov %0, %%cr8" ::"r"(v)); }
static void use_fpu(void *v) { __asm__ volatile("fnop"); }

static ulong get_cr8(void)
{
	ulong v;

	__asm__ volatile("mov %%cr8, %0" : "=r"(v));
	return v;
}

/* CR8 above 15 is missing: writes of CR8 need no exit, the CPU checks them, and TCG does not. */
static void test_refused(void)
{
	ulong cr0 = read_cr0(), cr4 = read_cr4();

	expect_trap("CR0 with PG without PE", try_call(set_cr0, (void *)(cr0 & ~CR0_PE)), EXC_GP);
	expect_trap("CR0 with NW without CD", try_call(set_cr0, (void *)(cr0 | CR0_NW)), EXC_GP);
	expect_trap("CR0 with an upper bit", try_call(set_cr0, (void *)(cr0 | 1ul << 40)), EXC_GP);
	expect_trap("CR4 with a reserved bit", try_call(set_cr4, (void *)(cr4 | 1ul << 30)),
		    EXC_GP);
	expect_trap("CR4 with VMXE", try_call(set_cr4, (void *)(cr4 | CR4_VMXE)), EXC_GP);
	expect_trap("CR4 without PAE in long mode", try_call(set_cr4, (void *)(cr4 & ~CR4_PAE)),
		    EXC_GP);
	expect_eq("CR0 after refusals", read_cr0(), cr0);
	expect_eq("CR4 after refusals", read_cr4(), cr4);
}

void test_main(void)
{
	ulong cr0 = read_cr0(), msw;

	write_cr0(cr0 | CR0_TS);
	expect_eq("CR0 with TS", read_cr0(), cr0 | CR0_TS);
	expect_trap("FPU with TS", try_call(use_fpu, NULL), EXC_NM);
	__asm__ volatile("clts");
	expect_eq("CR0 after CLTS", read_cr0(), cr0);
	expect_trap("FPU after CLTS", try_call(use_fpu, NULL), NO_TRAP);
	__asm__ volatile("lmsw %w0" ::"r"((cr0 | CR0_TS) & 0xffff));
	expect_eq("CR0 after LMSW with TS", read_cr0(), cr0 | CR0_TS);
	static u16 word;
	word = (u16)(cr0 & ~(CR0_PE | CR0_TS)); /* LMSW can't clear PE */
	__asm__ volatile("lmsw %0" ::"m"(word));
	expect_eq("CR0 after LMSW without PE", read_cr0(), cr0);
	__asm__ volatile("smsw %0" : "=r"(msw));
	expect_eq("SMSW", msw & 0xffff, cr0 & 0xffff);
	write_cr0(cr0 | CR0_CD);
	expect_eq("CR0 with CD", read_cr0(), cr0 | CR0_CD);
	write_cr0(cr0);

	apic_enable();
	set_cr8((void *)5);
	expect_eq("CR8", get_cr8(), 5);
	expect_eq("TPR after CR8 = 5", apic_read(APIC_TPR), 0x50);
	apic_write(APIC_TPR, 0x90);
	expect_eq("CR8 after TPR = 0x90", get_cr8(), 9);
	set_cr8((void *)0);
	__asm__ volatile("mov %0, %%r11; mov %%r11, %%cr3; mov %%cr3, %%r12" ::"r"(read_cr3())
			 : "r11", "r12", "memory");
	if (under_caisson)
		test_refused();
}
