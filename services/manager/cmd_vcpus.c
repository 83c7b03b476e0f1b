/* How many vCPUs a VM has: setvcpus, vcpucount. */
#include "lib/fmt.h"
#include "services/manager/manager.h"
#include "user/sys.h"

/* How long a guest may do nothing about what it is asked for; looked at in steps. */
#define ANSWER_NS 10000000000ull
#define STEP_NS 20000000ull

u64 vm_vcpu_mask(const struct vm_client *vm)
{
	u64 mask = vm->view ? __atomic_load_n(&vm->view->vcpus, __ATOMIC_ACQUIRE) : 0;

	return vm->info.running && mask ? mask : ~0ull >> (64 - MIN(MAX(vm->info.vcpus, 1u), 64u));
}

u32 vm_vcpus(const struct vm_client *vm)
{
	u32 n = 0;

	for (u64 mask = vm_vcpu_mask(vm); mask; mask &= mask - 1)
		n++;
	return n;
}

/*
 * Until it is so, the guest refuses, the VM ends, or nothing changes for too long. False: too long.
 */
static bool wait_for(struct manager *m, u32 index, u32 wanted)
{
	struct vm_client *vm = &m->vm[index];
	u64 deadline = rt_clock_ns() + ANSWER_NS;
	u32 before = vm_vcpus(vm);

	while (rt_clock_ns() < deadline) {
		u32 now = vm_vcpus(vm);

		if (now == wanted || !vm->info.running ||
		    __atomic_load_n(&vm->view->vcpus_refused, __ATOMIC_ACQUIRE))
			return true;
		if (now != before)
			deadline = rt_clock_ns() + ANSWER_NS;
		before = now;
		event_wait(m->idle, rt_clock_ns() + STEP_NS);
		vm_refresh(m, index);
	}
	return false;
}

static void say_result(struct manager *m, const struct vm_client *vm, u32 wanted, bool answered)
{
	u32 refused = __atomic_load_n(&vm->view->vcpus_refused, __ATOMIC_ACQUIRE),
	    now = vm_vcpus(vm);

	if (!vm->info.running)
		con_printf(m, "error: vm %s has ended\n", vm->info.name);
	else if (now == wanted)
		con_printf(m, "vm %s has %u vCPU%s\n", vm->info.name, now, now == 1 ? "" : "s");
	else if (refused)
		con_printf(m, "error: vm %s: its guest keeps a vCPU (ACPI status %#x): it has %u\n",
			   vm->info.name, refused, now);
	else if (!answered)
		con_printf(m,
			   "error: vm %s: its guest does not answer: it has %u vCPUs, and may "
			   "still give some back\n",
			   vm->info.name, now);
}

void cmd_setvcpus(struct manager *m, u32 words, const char *const *word)
{
	s32 i = vm_find(m, word[1]);
	struct vm_client *vm;
	const char *end;
	u64 n;

	if (i < 0 || !vm_refresh(m, (u32)i))
		return;
	vm = &m->vm[i];
	if (!vm->info.running || !vm->view) {
		con_printf(m, "error: vm %s is not running\n", vm->info.name);
		return;
	}
	if (vm_paused(vm)) {
		con_printf(m, "error: vm %s is paused: resume it first\n", vm->info.name);
		return;
	}
	if (!fmt_parse_u64(word[2], &end, &n) || *end || n < 1 || n > vm->info.vcpus_max) {
		con_printf(m,
			   "error: setvcpus %.16s: expected 1 to %u, its definition's maxvcpus\n",
			   word[2], vm->info.vcpus_max);
		return;
	}
	__atomic_store_n(&vm->view->vcpus_refused, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&vm->view->vcpus_wanted, (u32)n, __ATOMIC_RELEASE);
	vm_signal(m, (u32)i, VM_EV_VCPUS);
	say_result(m, vm, (u32)n, wait_for(m, (u32)i, (u32)n));
}

void cmd_vcpucount(struct manager *m, u32 words, const char *const *word)
{
	s32 i = vm_find(m, word[1]);
	const struct vm_client *vm;

	if (i < 0 || !vm_refresh(m, (u32)i))
		return;
	vm = &m->vm[i];
	con_printf(m, "%-12s %-12s %3u\n", "maximum", "config", vm->info.vcpus_max);
	if (vm->info.running)
		con_printf(m, "%-12s %-12s %3u\n", "maximum", "live", vm->info.vcpus_max);
	con_printf(m, "%-12s %-12s %3u\n", "current", "config", vm->info.vcpus);
	if (vm->info.running)
		con_printf(m, "%-12s %-12s %3u\n", "current", "live", vm_vcpus(vm));
}
