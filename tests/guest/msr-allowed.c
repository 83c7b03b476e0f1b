/* MSRs that a guest may use: what is written is read back; invalid values fault. */
#include "guest.h"

TEST_NAME("msr-allowed");

static const struct {
	u32 msr;
	u64 value;
	const char *name;
} writable[] = {
	{0x174, 0x10, "SYSENTER_CS"},
	{0x175, 0xffff800000001000, "SYSENTER_ESP"},
	{0x176, 0xffff800000002000, "SYSENTER_EIP"},
	{0x277, 0x0007040600070406, "PAT"},
	{0xc0000081, 0x0023001000000000, "STAR"},
	{0xc0000082, 0xffff800000003000, "LSTAR"},
	{0xc0000083, 0xffff800000004000, "CSTAR"},
	{0xc0000084, 0x47700, "SFMASK"},
	{0xc0000100, 0xffff800000005000, "FS_BASE"},
	{0xc0000101, 0xffff800000006000, "GS_BASE"},
	{0xc0000102, 0xffff800000007000, "KERNEL_GS_BASE"},
};

static const struct {
	u32 msr;
	const char *name;
} readable[] = {
	{0x10, "TSC"},	      {0x1b, "APIC_BASE"},    {0x8b, "microcode version"},
	{0xfe, "MTRRCAP"},    {0x1a0, "MISC_ENABLE"}, {0x2ff, "MTRR_DEF_TYPE"},
	{0xc0000080, "EFER"},
};

/*
 * Values that the architecture refuses. MSRs that the guest writes without an exit (LSTAR, FS_BASE
 * ...) are missing: there the CPU checks, and TCG takes any value.
 */
static const struct {
	u32 msr;
	u64 value;
	const char *name;
} refused[] = {
	{0xc0000080, 1ull << 40, "EFER with a reserved bit"},
	{0xc0000080, 0, "EFER without LME while paging is on"},
	{0x1b, 0xfee00000 | 1 << 10, "APIC_BASE with x2APIC but not enabled"},
	{0x1b, 0xfee00000 | 3 << 10 | 1, "APIC_BASE with a reserved bit"},
	{0x277, 0x0007040600070402, "PAT with a memory type that does not exist"},
	{0xfe, 0, "MTRRCAP, which is read-only"},
};

static void write_one(void *arg) { wrmsr(refused[(ulong)arg].msr, refused[(ulong)arg].value); }

static void read_one(void *arg) { rdmsr((u32)(ulong)arg); }

void test_main(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(writable); i++) {
		u64 before = rdmsr(writable[i].msr);

		wrmsr(writable[i].msr, writable[i].value);
		expect_eq(writable[i].name, rdmsr(writable[i].msr), writable[i].value);
		wrmsr(writable[i].msr, before);
	}
	for (u32 i = 0; i < ARRAY_SIZE(readable); i++)
		expect_trap(readable[i].name, try_call(read_one, (void *)(ulong)readable[i].msr),
			    NO_TRAP);
	for (u32 i = 0; under_caisson && i < ARRAY_SIZE(refused); i++)
		expect_trap(refused[i].name, try_call(write_one, (void *)(ulong)i), EXC_GP);
	expect(rdmsr(0x1b) & 1u << 8, "APIC_BASE: the boot processor bit is not set");
}
