/* Instructions of features that are not offered give #UD (under Caisson: QEMU's PC offers SVM). */
#include "guest.h"

TEST_NAME("undefined");

#define OPCODE(name, ...)                                                                          \
	static void name(void *arg)                                                                \
	{                                                                                          \
		__asm__ volatile(".byte " __VA_ARGS__ ::"a"(arg), "c"(0), "d"(0) : "memory");      \
	}
OPCODE(vmrun, "0x0f, 0x01, 0xd8")
OPCODE(vmload, "0x0f, 0x01, 0xda")
OPCODE(vmsave, "0x0f, 0x01, 0xdb")
OPCODE(stgi, "0x0f, 0x01, 0xdc")
OPCODE(clgi, "0x0f, 0x01, 0xdd")
OPCODE(invlpga, "0x0f, 0x01, 0xdf")
OPCODE(skinit, "0x0f, 0x01, 0xde")
OPCODE(monitor, "0x0f, 0x01, 0xc8")
OPCODE(mwait, "0x0f, 0x01, 0xc9")
OPCODE(rdpmc, "0x0f, 0x33")
OPCODE(rsm, "0x0f, 0xaa")
OPCODE(vmxoff, "0x0f, 0x01, 0xc4")
OPCODE(ud2, "0x0f, 0x0b")

static const struct {
	void (*fn)(void *);
	const char *name;
	bool always;
} cases[] = {
	{vmrun, "VMRUN", false},   {vmload, "VMLOAD", false},	{vmsave, "VMSAVE", false},
	{stgi, "STGI", false},	   {clgi, "CLGI", false},	{invlpga, "INVLPGA", false},
	{skinit, "SKINIT", false}, {monitor, "MONITOR", false}, {mwait, "MWAIT", false},
	{rdpmc, "RDPMC", false},   {rsm, "RSM", true},		{vmxoff, "VMXOFF", true},
	{ud2, "UD2", true},
};

void test_main(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++)
		if (under_caisson || cases[i].always)
			expect_trap(cases[i].name, try_call(cases[i].fn, (void *)0x100000), EXC_UD);
}
