/*
 * A monitor gone wrong, in the place of vmm: its VM's command line says how. "fault" writes to
 * address 0, "exit" ends without a word, "loop" never gives up the CPU, "flood" starts programs
 * that fault, for the log, "state" runs a vCPU whose code segment is none.
 */
#include "arch/cpu.h"
#include "audit/audit.h"
#include "lib/string.h"
#include "services/proto.h"
#include "user/rt.h"
#include "user/sys.h"
#include "vmm/console.h"
#include "vmm/cpu_reset.h"

#define FLOOD 400
#define CHILD_QUOTA KiB(256)

static void flood(void)
{
	handle_t never = (handle_t)event_create();

	for (u32 i = 0; i < FLOOD; i++) {
		struct thread_args a = {.size = sizeof(a), .entry = PAGE_SIZE};
		/* ESC and CSI, which a terminal would obey; the kernel copies 32 bytes */
		handle_t d = (handle_t)domain_create(CHILD_QUOTA,
						     "init, or so the log shall say\x1b\x9b");
		handle_t t = (handle_t)thread_create(d, &a);

		thread_set(t, THREAD_START, 0);
		event_wait(never, rt_clock_ns() + 1000000);
		handle_close(t);
		handle_close(d);
	}
}

static struct vm_shared *shared;

static void say(const char *line) { console_log(shared, line); }

/* The kernel takes what can't harm it; the CPU refuses it. */
static void run_state(const struct vmm_start *start)
{
	struct vcpu_run *run;
	static struct vcpu_state s;
	u64 va = rt_va_reserve(PAGE_SIZE);
	handle_t v = (handle_t)vcpu_create((handle_t)vm_create(), 0, va);

	cpu_power_on(&s, 0);
	s.cr0 |= CR0_PE;
	s.seg[SEG_CS].attr = SEG_ATTR_P | SEG_ATTR_S | 1;
	run = (struct vcpu_run *)va;
	shared = rt_map(start->shared_mem, ALIGN_UP(start->shared_bytes, PAGE_SIZE),
			PROT_R | PROT_W, NULL);
	if (!shared || vcpu_set(v, &s) || vcpu_run(v) || run->exit != RUN_EXIT_INTERNAL)
		return;
	audit_report(&run->record, true, say);
	event_signal(start->notify, VM_NOTIFY_OUTPUT);
	if (vcpu_run(v) == -E_STATE)
		say("it does not run again");
}

int program_main(void *arg)
{
	const struct vmm_start *start = arg;

	if (!strcmp(start->def.cmdline, "fault"))
		*(volatile u32 *)0 = 1;
	while (!strcmp(start->def.cmdline, "loop"))
		;
	if (!strcmp(start->def.cmdline, "flood"))
		flood();
	if (!strcmp(start->def.cmdline, "state"))
		run_state(start);
	return 5;
}
