/* Structure offsets for assembly: compiled to text only, see the Makefile. */
#include "hv/cpu.h"
#include "hv/vcpu.h"
#include "kernel/thread.h"

#define DEFINE(sym, value) __asm__ volatile("\n.ascii \"->" #sym " %0\"" : : "i"((u64)(value)))
#define OFFSET(sym, str, mem) DEFINE(sym, offsetof(struct str, mem))

void offsets_kernel(void);
void offsets_kernel(void)
{
	OFFSET(CPU_SELF, cpu, self);
	OFFSET(CPU_USER_RSP, cpu, user_rsp);
	OFFSET(CPU_KSTACK_TOP, cpu, kstack_top);
	OFFSET(CPU_CURRENT, cpu, current);
	DEFINE(TRAP_FRAME_SIZE, sizeof(struct trap_frame));
	OFFSET(TRAP_CS, trap_frame, cs);
	DEFINE(SYS_CALLS, SYS_CALLS);
	OFFSET(VCPU_REGS_GPR, vcpu_regs, gpr);
}
