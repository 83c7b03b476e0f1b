/* Commands about VMs, with virsh's verbs. */
#include "lib/string.h"
#include "services/common/reason.h"
#include "services/manager/manager.h"
#include "user/sys.h"

#define PAUSE_NS 10000000000ull /* how long a monitor may take */
#define PAUSE_STEPS 1000u

static const char *state_text(const struct vm_client *vm)
{
	const struct init_vm_info *i = &vm->info;

	if (i->running)
		return vm_paused(vm) ? "paused" : "running";
	if (i->error[0])
		return "not startable";
	switch (i->reason) {
	case VM_REASON_TRIPLE_FAULT:
	case VM_REASON_INTERNAL:
	case VM_REASON_MONITOR_DIED: return "crashed";
	default: return "shut off";
	}
}

void cmd_list(struct manager *m, u32 words, const char *const *word)
{
	bool all = words > 1;

	if (all && strcmp(word[1], "--all")) {
		con_printf(m, "error: list %.32s: expected --all\n", word[1]);
		return;
	}
	con_printf(m, " Id   %-32s State\n", "Name");
	con_printf(m, "---------------------------------------------------\n");
	for (u32 i = 0; i < m->vms; i++) {
		const struct init_vm_info *info = &m->vm[i].info;

		if (vm_refresh(m, i) && (all || info->running))
			con_printf(m, " %-4u %-32s %s\n", i + 1, info->name, state_text(&m->vm[i]));
	}
}

void cmd_start(struct manager *m, u32 words, const char *const *word)
{
	s32 i = vm_find(m, word[1]);
	s64 e;

	if (i < 0)
		return;
	m->vm[i].left = m->vm[i].again = false;
	e = init_call(m, INIT_VM_START, (u64)i);
	vm_refresh(m, (u32)i);
	if (!e)
		con_printf(m, "vm %s started\n", m->vm[i].info.name);
	else if (e == -E_STATE)
		con_printf(m, "error: vm %s is %s\n", m->vm[i].info.name,
			   vm_paused(&m->vm[i]) ? "paused: resume lets it go on" : "running");
	else
		con_printf(m, "error: %s\n",
			   m->vm[i].info.error[0] ? m->vm[i].info.error : rt_error(e));
}

void cmd_shutdown(struct manager *m, u32 words, const char *const *word)
{
	s32 i = vm_find(m, word[1]);

	if (i < 0 || !vm_refresh(m, (u32)i))
		return;
	if (!m->vm[i].info.running) {
		con_printf(m, "error: vm %s is not running\n", m->vm[i].info.name);
		return;
	}
	vm_signal(m, (u32)i, VM_EV_SHUTDOWN);
	con_printf(m, "vm %s is asked to shut down%s\n", m->vm[i].info.name,
		   vm_paused(&m->vm[i]) ? "; it is paused, and will see it when it is resumed"
					: "");
}

static void want_suspended(struct manager *m, u32 index, bool suspend)
{
	__atomic_store_n(&m->vm[index].view->suspend, suspend, __ATOMIC_RELEASE);
	vm_signal(m, index, VM_EV_PAUSE);
}

/*
 * Tells the monitor, and waits for it. -E_DEAD: the VM has ended meanwhile. -E_TIMEOUT. A suspend
 * that fails is taken back: the VM's next life, which may have begun, is not to stand still later.
 */
static int set_suspended(struct manager *m, u32 index, bool suspend)
{
	const struct vm_client *vm = &m->vm[index];
	u32 generation = vm->info.generation;
	int e = -E_TIMEOUT;

	want_suspended(m, index, suspend);
	for (u32 step = 0; step < PAUSE_STEPS && e == -E_TIMEOUT; step++) {
		if (!vm_refresh(m, index) || !vm->info.running || vm->info.generation != generation)
			e = -E_DEAD;
		else if (vm_paused(vm) == suspend)
			e = 0;
		else
			event_wait(m->idle, rt_clock_ns() + PAUSE_NS / PAUSE_STEPS);
	}
	if (e && suspend)
		want_suspended(m, index, false);
	return e;
}

/* It stands, or shall as soon as its monitor looks: a manager before may have ended meanwhile. */
static bool is_suspended(const struct vm_client *vm)
{
	return vm_paused(vm) || __atomic_load_n(&vm->view->suspend, __ATOMIC_RELAXED);
}

s32 vm_find_loaded(struct manager *m, const char *name)
{
	s32 i = vm_find(m, name);
	const struct vm_client *vm = &m->vm[MAX(i, 0)];
	const char *why = NULL;

	if (i < 0 || !vm_refresh(m, (u32)i))
		return -1;
	if (!vm->info.running || !vm->view)
		why = "is not running";
	else if (vm_state(vm) == VM_STATE_STARTING)
		why = "is still being loaded";
	if (why)
		con_printf(m, "error: vm %s %s\n", vm->info.name, why);
	return why ? -1 : i;
}

/* suspend and resume: a VM that runs, in the other state than `suspend`. -1: it was said why not */
static s32 find_to_pause(struct manager *m, const char *name, bool suspend)
{
	s32 i = vm_find_loaded(m, name);
	const struct vm_client *vm = &m->vm[MAX(i, 0)];
	const char *why = NULL;

	if (i < 0)
		return -1;
	if (suspend && vm_paused(vm))
		why = "is paused already: resume lets it go on";
	else if (!suspend && !is_suspended(vm))
		why = "is not paused";
	if (why)
		con_printf(m, "error: vm %s %s\n", vm->info.name, why);
	return why ? -1 : i;
}

static void pause_or_go_on(struct manager *m, const char *name, bool suspend)
{
	s32 i = find_to_pause(m, name, suspend);
	const char *vm = m->vm[MAX(i, 0)].info.name;
	int e = i < 0 ? 0 : set_suspended(m, (u32)i, suspend);

	if (i < 0)
		return;
	if (!e) {
		con_printf(m, "vm %s %s\n", vm, suspend ? "suspended" : "resumed");
		return;
	}
	con_printf(m, "error: vm %s %s\n", vm,
		   e == -E_DEAD ? "has ended"
		   : suspend	? "goes on: its vCPUs did not stop within 10 s"
				: "does not go on: its monitor did not answer within 10 s");
}

void cmd_suspend(struct manager *m, u32 words, const char *const *word)
{
	pause_or_go_on(m, word[1], true);
}

void cmd_resume(struct manager *m, u32 words, const char *const *word)
{
	pause_or_go_on(m, word[1], false);
}

void cmd_destroy(struct manager *m, u32 words, const char *const *word)
{
	s32 i = vm_find(m, word[1]);
	s64 e;

	if (i < 0)
		return;
	e = init_call(m, INIT_VM_DESTROY, (u64)i);
	vm_refresh(m, (u32)i);
	if (!e)
		con_printf(m, "vm %s destroyed\n", m->vm[i].info.name);
	else if (e == -E_STATE)
		con_printf(m, "error: vm %s is not running\n", m->vm[i].info.name);
	else
		con_printf(m, "error: %s\n", rt_error(e));
}

void cmd_console(struct manager *m, u32 words, const char *const *word)
{
	s32 i = vm_find(m, word[1]);

	if (i >= 0 && vm_refresh(m, (u32)i))
		attach_begin(m, (u32)i, true);
}

static void print_domain(struct manager *m, const struct domain_info *d)
{
	u64 ms = d->cpu_ns / 1000000;

	con_printf(m, "CPU time:       %lu.%lus\n", ms / 1000, ms % 1000 / 100);
	con_printf(m, "Used memory:    %lu KiB\n", d->populated_bytes >> 10);
	con_printf(m, "Quota:          %lu KiB of %lu KiB, page tables %lu KiB\n",
		   d->used_bytes >> 10, d->quota_bytes >> 10, d->table_bytes >> 10);
}

static void print_at_end(struct manager *m, const struct init_vm_info *info)
{
	/* clang-format off */
	static const char *const acts[] = {
		[ON_EXIT_DESTROY] = "destroy", [ON_EXIT_RESTART] = "restart",
		[ON_EXIT_PRESERVE] = "preserve",
	};
	static const char *const ends[] = {
		[VM_END_POWEROFF] = "On poweroff:    ", [VM_END_REBOOT] = "On reboot:      ",
		[VM_END_CRASH] = "On crash:       ", [VM_END_OTHER] = "On exit:        ",
	};
	/* clang-format on */

	for (u32 i = 0; i < VM_ENDS; i++)
		con_printf(m, "%s%s\n", ends[i], acts[MIN(info->on_exit[i], ON_EXIT_PRESERVE)]);
}

void cmd_dominfo(struct manager *m, u32 words, const char *const *word)
{
	s32 i = vm_find(m, word[1]);
	const struct init_vm_info *info;
	struct domain_info d;
	u64 entered;

	if (i < 0 || !vm_refresh(m, (u32)i))
		return;
	info = &m->vm[i].info;
	con_printf(m, "Id:             %d\n", i + 1);
	con_printf(m, "Name:           %s\n", info->name);
	con_printf(m, "State:          %s\n", state_text(&m->vm[i]));
	con_printf(m, "CPU(s):         %u\n", vm_vcpus(&m->vm[i]));
	con_printf(m, "Max memory:     %lu KiB\n", info->memory >> 10);
	if (!vm_domain_info(m, (u32)i, &d))
		print_domain(m, &d);
	con_printf(m, "Autostart:      %s\n", info->autostart ? "enable" : "disable");
	con_printf(m, "Console:        %s\n", info->console_attach ? "attach" : "ring");
	print_at_end(m, info);
	con_printf(m, "Restarts:       %u\n", info->restarts);
	if (info->running)
		con_printf(m, "Running for:    %lus\n",
			   (rt_clock_ns() - info->start_ns) / 1000000000);
	else if (info->generation)
		con_printf(m, "Ended:          %s, status %u\n", vm_reason_text(info->reason),
			   info->status);
	entered = m->vm[i].view ? __atomic_load_n(&m->vm[i].view->entered_ns, __ATOMIC_RELAXED) : 0;
	if (entered)
		con_printf(m, "First entry:    %lu us after the host's start\n", entered / 1000);
	if (info->error[0])
		con_printf(m, "Error:          %s\n", info->error);
}

/* ---- stat ---- */

static const char *const stat_text[] = {
	[STAT_EXTINT] = "external interrupt",
	[STAT_NMI] = "NMI",
	[STAT_EXCEPTION] = "exception",
	[STAT_CPUID] = "CPUID",
	[STAT_HLT] = "HLT",
	[STAT_PAUSE] = "PAUSE",
	[STAT_IO] = "port I/O",
	[STAT_MSR_READ] = "MSR read",
	[STAT_MSR_WRITE] = "MSR write",
	[STAT_CR] = "control register",
	[STAT_DR] = "debug register",
	[STAT_XSETBV] = "XSETBV",
	[STAT_HYPERCALL] = "hypercall",
	[STAT_MMIO] = "MMIO",
	[STAT_PAGE_POPULATE] = "memory populated",
	[STAT_APIC_MMIO] = "APIC page",
	[STAT_IRQ_WINDOW] = "interrupt window",
	[STAT_SHUTDOWN] = "triple fault",
	[STAT_OTHER] = "other",
	[STAT_USER] = "to the monitor",
	[STAT_IRQ_INJECTED] = "interrupts injected",
};
static_assert(ARRAY_SIZE(stat_text) == STAT_ROWS, "a text for each row");

/* Rows after STAT_OTHER count something else than exits. */
static u64 exits_of(const struct domain_info *d)
{
	u64 sum = 0;

	for (u32 i = 0; i <= STAT_OTHER; i++)
		sum += d->exits[i];
	return sum;
}

/* before NULL: the first round of a life, no rates yet. */
static void stat_print_vm(struct manager *m, u32 index, const struct domain_info *now,
			  const struct domain_info *before)
{
	con_printf(m, "%-24s %12s %12s\n", m->vm[index].info.name, "total",
		   before ? "per second" : "");
	for (u32 i = 0; i < STAT_ROWS; i++) {
		if (!now->exits[i])
			continue;
		con_printf(m, "  %-22s %12lu", stat_text[i], now->exits[i]);
		if (before)
			con_printf(m, " %12lu", now->exits[i] - before->exits[i]);
		con_printf(m, "\n");
	}
	con_printf(m, "  %-22s %12lu", "exits", exits_of(now));
	if (before)
		con_printf(m, " %12lu", exits_of(now) - exits_of(before));
	con_printf(m, "\n");
}

/* What a VM had counted a second ago. */
struct stat_before {
	u32 generation; /* 0: it did not run */
	struct domain_info info;
};

/* Within one life no count goes back. */
static bool same_life(const struct domain_info *now, const struct domain_info *before)
{
	for (u32 i = 0; i < STAT_ROWS; i++)
		if (now->exits[i] < before->exits[i])
			return false;
	return true;
}

/* One round over the chosen VM, or all that run. False: nothing to show. */
static bool stat_round(struct manager *m, s32 only, struct stat_before *before)
{
	bool any = false;

	for (u32 i = 0; i < m->vms; i++) {
		struct stat_before now, *b = &before[i];

		if ((only >= 0 && only != (s32)i) || !vm_refresh(m, i) ||
		    vm_domain_info(m, i, &now.info)) {
			b->generation = 0;
			continue;
		}
		now.generation = m->vm[i].info.generation;
		stat_print_vm(m, i, &now.info,
			      now.generation == b->generation && same_life(&now.info, &b->info)
				      ? &b->info
				      : NULL);
		*b = now;
		any = true;
	}
	return any;
}

void cmd_stat(struct manager *m, u32 words, const char *const *word)
{
	struct stat_before *before = rt_alloc(MANAGER_VMS * sizeof(*before));
	bool once = false;
	s32 only = -1;

	for (u32 i = 1; i < words; i++) {
		if (!strcmp(word[i], "-1")) {
			once = true;
		} else if (only >= 0) {
			con_printf(m, "error: stat %.32s: expected one VM\n", word[i]);
			goto out;
		} else if ((only = vm_find(m, word[i])) < 0) {
			goto out;
		}
	}
	while (before) {
		u64 next = rt_clock_ns() + 1000000000;

		if (!once)
			con_printf(m, "\x1b[2J\x1b[H");
		if (!stat_round(m, only, before)) {
			con_printf(m, "error: %s\n",
				   only < 0 ? "no VM is running" : "the VM is not running");
			break;
		}
		if (once)
			break;
		con_printf(m, "any key ends\n");
		if (con_wait_key(m, next) || m->attached >= 0)
			break;
	}
out:
	rt_free(before);
}
