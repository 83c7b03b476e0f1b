/* Structure offsets for assembly: compiled to text only, see the Makefile. */
#include "hv/ap_start.h"
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
	OFFSET(AP_IMAGE, ap_params, image);
	OFFSET(AP_KERNEL_CR3, ap_params, kernel_cr3);
	OFFSET(AP_STACK_TOP, ap_params, stack_top);
	OFFSET(AP_CPU, ap_params, cpu);
	OFFSET(FACTS_SPEC, cpu_facts, spec);
	DEFINE(SPEC_BUFFERS, SPEC_BUFFERS);
	DEFINE(KERNEL_BASE, KERNEL_BASE);
	DEFINE(AP_PARAMS_SIZE, sizeof(struct ap_params));
}
