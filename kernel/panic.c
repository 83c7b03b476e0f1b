#include "kernel/panic.h"

#include "drivers/platform/acpi.h"
#include "drivers/platform/clock.h"
#include "drivers/platform/lapic.h"
#include "hv/x86.h"
#include "kernel/domain.h"
#include "kernel/log.h"
#include "kernel/main.h"
#include "kernel/symbols.h"
#include "lib/fmt.h"

#define BACKTRACE_FRAMES 24
#define PANIC_EXIT_VALUE 0x7f
#define STOP_SPINS 10000000u

static u32 panicking; /* CPU id + 1 of the first that panicked */
static u32 stopped;   /* [a] CPUs that the panic has stopped */

static void __printf(1, 2) say(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	fmt_vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_panic_line(line);
}

/* `what`, then rip and the function that holds it, as far as that is known. */
static void say_place(const char *what, u64 rip)
{
	const struct symbol *s = symbol_table;
	u64 at = rip - KERNEL_BASE;

	while (s < symbol_table + symbol_count - 1 && s[1].offset <= at)
		s++;
	if (rip < KERNEL_BASE)
		say("%s%#018lx (ring 3)", what, rip);
	else
		say("%s%#018lx %s+%#lx", what, rip, s->name, at - s->offset);
}

static void backtrace(u64 rip, u64 rbp)
{
	u64 low = rbp;

	for (u32 i = 0; i < BACKTRACE_FRAMES && rip >= KERNEL_BASE; i++) {
		say_place("  ", rip);
		/* Frames lie on one stack, upwards; anything else is not a frame. */
		if (rbp < low || rbp - low > KiB(16) || !IS_ALIGNED(rbp, 8) || rbp < DIRECT_BASE)
			break;
		rip = ((const u64 *)rbp)[1];
		rbp = ((const u64 *)rbp)[0];
	}
}

static void begin(void)
{
	u32 me = this_cpu()->id + 1, none = 0;

	irq_disable();
	if (!__atomic_compare_exchange_n(&panicking, &none, me, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST)) {
		if (none == me)
			say("panic: again, while the first was printed");
		for (;;)
			__asm__ volatile("hlt");
	}
	/* Not to those that the firmware has kept: it may have no handler for an NMI. */
	for (u32 i = 0; i < MAX_CPUS; i++)
		if (cpus[i] && i + 1 != me)
			lapic_nmi(cpus[i]->apic_id);
	/* Their lines come first; one that does not answer is not waited for long. */
	for (u32 i = 0;
	     i < STOP_SPINS && __atomic_load_n(&stopped, __ATOMIC_ACQUIRE) + 1 < cpu_count; i++)
		cpu_relax();
}

static __noreturn void finish(void)
{
	if (boot_options.exit_port)
		outl(boot_options.exit_port, PANIC_EXIT_VALUE);
	if (!boot_options.noreboot) {
		say("panic: the machine is reset in 5 s (noreboot keeps it halted)");
		for (u64 end = rdtsc() + 5 * clock_tsc_hz(); rdtsc() < end;)
			cpu_relax(); /* somebody may read it on a screen */
		platform_reset(boot_options.reboot, log_panic_line);
	}
	say("halted");
	for (;;)
		__asm__ volatile("hlt");
}

static void say_who(void)
{
	struct thread *t = thread_current();

	say("panic: cpu%u, thread %u of %s", this_cpu()->id, t ? t->id : 0,
	    t && t->domain ? t->domain->name : "the kernel");
}

void panic_refuse(const char *why)
{
	begin();
	say("refused: Caisson can't start here: %s", why);
	boot_options.noreboot = true;
	finish();
}

void panic(const char *fmt, ...)
{
	char text[200];
	va_list ap;

	begin();
	va_start(ap, fmt);
	fmt_vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say("panic: %s", text);
	say_who();
	backtrace((u64)__builtin_return_address(0), *(u64 *)__builtin_frame_address(0));
	finish();
}

void panic_trap(const struct trap_frame *f, const char *what)
{
	begin();
	say("panic: %s (vector %lu, error %#lx) in ring 0", what, f->vector, f->error);
	say_who();
	say("rip %016lx rsp %016lx rflags %08lx cs %02lx cr2 %016lx cr3 %016lx", f->rip, f->rsp,
	    f->rflags, f->cs, read_cr2(), read_cr3());
	say("rax %016lx rbx %016lx rcx %016lx rdx %016lx", f->rax, f->rbx, f->rcx, f->rdx);
	say("rsi %016lx rdi %016lx rbp %016lx r8  %016lx", f->rsi, f->rdi, f->rbp, f->r8);
	say("r9  %016lx r10 %016lx r11 %016lx r12 %016lx", f->r9, f->r10, f->r11, f->r12);
	say("r13 %016lx r14 %016lx r15 %016lx cr0 %08lx cr4 %08lx", f->r13, f->r14, f->r15,
	    read_cr0(), read_cr4());
	backtrace(f->rip, f->rbp);
	finish();
}

void panic_nmi(const struct trap_frame *f)
{
	char what[32];
	u32 who = __atomic_load_n(&panicking, __ATOMIC_ACQUIRE);

	/* Nothing that we drive uses NMIs: without a panic of another CPU it is ignored. */
	if (!who || who == this_cpu()->id + 1)
		return;
	fmt_snprintf(what, sizeof(what), "panic: cpu%u stopped at ", this_cpu()->id);
	say_place(what, f->rip);
	__atomic_fetch_add(&stopped, 1, __ATOMIC_RELEASE);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void assert_fail(const char *expr, const char *file, int line)
{
	panic("%s:%d: assertion failed: %s", file, line, expr);
}
