/* MSRs that nobody offered give #GP and change nothing (under Caisson: TCG itself never faults). */
#include "guest.h"

TEST_NAME("msr-denied");

static const u32 denied[] = {
	0x12345678, /* nothing */
	0x3a,	    /* FEATURE_CONTROL: no VMX */
	0x480,	    /* VMX_BASIC */
	0xc0010114, /* VM_CR: no SVM */
	0xc0010117, /* VM_HSAVE_PA */
	0x79,	    /* microcode update */
	0x40000000, /* a Hyper-V number */
	0xffffffff,
};
static u64 got;

static void read_one(void *arg)
{
	got = 0x5555;
	got = rdmsr((u32)(ulong)arg);
}

static void write_one(void *arg) { wrmsr((u32)(ulong)arg, 1); }

void test_main(void)
{
	for (u32 i = 0; under_caisson && i < ARRAY_SIZE(denied); i++) {
		long r = try_call(read_one, (void *)(ulong)denied[i]);
		long w = try_call(write_one, (void *)(ulong)denied[i]);

		if (denied[i] != 0xc0010114 && denied[i] != 0x3a && r != EXC_GP)
			fail("read of 0x%x: got %d (value 0x%llx), expected #GP", denied[i], (int)r,
			     got);
		if (denied[i] != 0x79 && w != EXC_GP)
			fail("write of 0x%x: got %d, expected #GP", denied[i], (int)w);
		if (r == EXC_GP)
			expect_eq("error code", last_trap.error, 0);
	}
}
