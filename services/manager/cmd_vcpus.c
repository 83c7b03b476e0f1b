/* How many vCPUs a VM has: setvcpus, vcpucount. */
#include "lib/fmt.h"
#include "services/manager/manager.h"
#include "user/sys.h"

/*
 * How long a guest may do nothing about what it is asked for, and how much longer it may take in
 * all for each vCPU; looked at in steps.
 */
#define ANSWER_NS 10000000000ull
#define VCPU_NS 1000000000ull
#define STEP_NS 20000000ull

u64 vm_vcpu_mask(const struct vm_client *vm)
{
	u64 mask = vm->view ? __atomic_load_n(&vm->view->vcpus, __ATOMIC_ACQUIRE) : 0;

	return vm->info.running && mask ? mask : ~0ull >> (64 - MIN(MAX(vm->info.vcpus, 1u), 64u));
}

u32 vm_vcpus(const struct vm_client *vm) { return rt_count_bits(vm_vcpu_mask(vm)); }

static bool has_ended(const struct vm_client *vm, u32 generation)
{
	return !vm->info.running || vm->info.generation != generation;
}

/*
 * Until it is so, the guest refuses, the VM ends, or it takes too long: what the monitor writes may
 * change for ever.
 */
static void wait_for(struct manager *m, u32 index, u32 wanted)
{
	const struct vm_client *vm = &m->vm[index];
	u32 generation = vm->info.generation, before = vm_vcpus(vm);
	u64 now = rt_clock_ns(), still = now + ANSWER_NS;
	u64 end = still + VCPU_NS * (MAX(before, wanted) - MIN(before, wanted));

	while (now < MIN(still, end) && vm_vcpus(vm) != wanted && !has_ended(vm, generation) &&
	       !__atomic_load_n(&vm->view->vcpus_refused, __ATOMIC_ACQUIRE)) {
		event_wait(m->idle, now + STEP_NS);
		vm_refresh(m, index);
		now = rt_clock_ns();
		if (vm_vcpus(vm) != before)
			still = now + ANSWER_NS;
		before = vm_vcpus(vm);
	}
}

static void say_result(struct manager *m, const struct vm_client *vm, u32 generation, u32 wanted)
{
	u32 refused = __atomic_load_n(&vm->view->vcpus_refused, __ATOMIC_ACQUIRE),
	    now = vm_vcpus(vm);
	const char *name = vm->info.name, *s = now == 1 ? "" : "s";

	if (has_ended(vm, generation))
		con_printf(m, "error: vm %s has ended\n", name);
	else if (now == wanted)
		con_printf(m, "vm %s has %u vCPU%s\n", name, now, s);
	else if (refused)
		con_printf(m, "error: vm %s: its guest keeps a vCPU (ACPI status %#x): it has %u\n",
			   name, refused, now);
	else if (now > wanted)
		con_printf(m,
			   "error: vm %s: its guest does not answer: it has %u vCPU%s, and may "
			   "still give some back\n",
			   name, now, s);
	else
		con_printf(m,
			   "error: vm %s: its monitor does not answer: it has %u vCPU%s, and may "
			   "still get more\n",
			   name, now, s);
}

void cmd_setvcpus(struct manager *m, u32 words, const char *const *word)
{
	s32 i = vm_find_loaded(m, word[1]);
	struct vm_client *vm;
	const char *end;
	u32 generation;
	u64 n;

	if (i < 0)
		return;
	vm = &m->vm[i];
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
	generation = vm->info.generation;
	__atomic_store_n(&vm->view->vcpus_refused, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&vm->view->vcpus_wanted, (u32)n, __ATOMIC_RELEASE);
	vm_signal(m, (u32)i, VM_EV_VCPUS);
	wait_for(m, (u32)i, (u32)n);
	say_result(m, vm, generation, (u32)n);
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
