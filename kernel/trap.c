#include "kernel/trap.h"

#include "drivers/platform/lapic.h"
#include "drivers/platform/uart.h"
#include "hv/x86.h"
#include "kernel/domain.h"
#include "kernel/mce.h"
#include "kernel/panic.h"
#include "kernel/sched.h"
#include "kernel/smp.h"

/* Intel SDM 3, "Exception and Interrupt Reference"; the reserved ones have none. */
static const char exception_name[32][4] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM",
					   "#DF", "",	 "#TS", "#NP", "#SS", "#GP", "#PF", "",
					   "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"};

static void user_exception(struct trap_frame *f, u64 cr2)
{
	struct domain *d = current_domain();

	if (f->vector == EXC_PF && cr2 < USER_VA_MAX &&
	    aspace_fault(&d->aspace, cr2, (u32)f->error) == FAULT_MAPPED)
		return;
	log_warn("domain: %s: thread %u ended by %s at rip %#lx, error %#lx, address %#lx", d->name,
		 thread_current()->id, exception_name[f->vector], f->rip, f->error,
		 f->vector == EXC_PF ? cr2 : 0);
	domain_kill(d, DOMAIN_STATUS_FAULT);
}

/* A fault while the kernel copies from or to user memory ends that copy, nothing else. */
static bool kernel_fixup(struct trap_frame *f, u64 cr2)
{
	struct cpu *c = this_cpu();

	if (!c->fixup_rip || (f->vector != EXC_PF && f->vector != EXC_GP))
		return false;
	if (f->vector == EXC_PF && cr2 < USER_VA_MAX &&
	    aspace_fault(&current_domain()->aspace, cr2, (u32)(f->error | PF_USER)) == FAULT_MAPPED)
		return true;
	f->rip = c->fixup_rip;
	f->rax = (u64)-E_FAULT;
	f->rflags &= ~(u64)RFLAGS_AC;
	return true;
}

static void interrupt(struct trap_frame *f)
{
	switch (f->vector) {
	case VECTOR_UART: uart_interrupt(); break;
	case VECTOR_TIMER: up_timer_interrupt(); break;
	case VECTOR_IPI: smp_ipi_interrupt(); break;
	case VECTOR_SPURIOUS: return; /* has no bit in the ISR: no EOI */
	default: break;		      /* nobody asked for it */
	}
	lapic_eoi();
}

void trap_handler(struct trap_frame *f)
{
	bool user = f->cs & 3;

	if (f->vector >= 32) {
		interrupt(f);
	} else {
		u64 cr2 = f->vector == EXC_PF ? read_cr2() : 0;

		if (user)
			user_exception(f, cr2);
		else if (!kernel_fixup(f, cr2))
			panic_trap(f, exception_name[f->vector]);
	}
	if (user && return_work_pending())
		return_to_user();
}

void trap_nmi_stack(struct trap_frame *f)
{
	if (f->vector == EXC_NMI) {
		panic_nmi(f); /* returns unless a panic is under way */
		this_cpu()->nmis++;
		return;
	}
	if (f->vector == EXC_MC && !mce_take(!(f->cs & 3)))
		return;
	if (f->cs & 3 && (f->vector == EXC_DB || f->vector == EXC_MC)) {
		__asm__ volatile("mov %0, %%dr7" : : "r"(0x400ull));
		f->rflags &= ~(u64)RFLAGS_TF;
		domain_kill(current_domain(), DOMAIN_STATUS_FAULT);
		/* taken in ring 3, on the thread's stack: it ends there */
		smp_ipi(this_cpu()->id, IPI_RESCHED);
		return;
	}
	panic_trap(f, exception_name[f->vector]);
}

void user_enter(u64 rip, u64 rsp, u64 arg)
{
	struct trap_frame f = {.rdi = arg,
			       .rip = rip,
			       .cs = SEL_UCODE,
			       .rflags = RFLAGS_IF | RFLAGS_FIXED,
			       .rsp = rsp,
			       .ss = SEL_UDATA};

	trap_return(&f);
}

void return_to_user(void)
{
	while (return_work_pending()) {
		if (thread_must_end())
			thread_exit();
		if (thread_current()->stop)
			thread_stop_here();
		else
			preempt_point();
	}
}
