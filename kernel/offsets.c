/* Structure offsets for assembly: compiled to text only, see the Makefile. */
#include "hv/cpu.h"
#include "hv/facts.h"
#include "hv/vcpu.h"
#include "kernel/thread.h"

#define DEFINE(sym, value) __asm__ volatile("\n.ascii \"->" #sym " %0\"" : : "i"((u64)(value)))
#define OFFSET(sym, str, mem) DEFINE(sym, offsetof(struct str, mem))

void offsets_kernel(void);
void offsets_kernel(void)
{
	OFFSET(CPU_USER_RSP, cpu, user_rsp);
	OFFSET(CPU_KSTACK_TOP, cpu, kstack_top);
	OFFSET(TRAP_CS, trap_frame, cs);
	OFFSET(VCPU_REGS_GPR, vcpu_regs, gpr);
	OFFSET(FACTS_SPEC, cpu_facts, spec);
	DEFINE(SPEC_BUFFERS, SPEC_BUFFERS);
	DEFINE(KERNEL_BASE, KERNEL_BASE);
}
