/* What VMs get of the CPUs: schedinfo, vcpuinfo, vcpupin, top. */
#include "lib/fmt.h"
#include "lib/string.h"
#include "services/common/cap.h"
#include "services/common/cpulist.h"
#include "services/manager/manager.h"
#include "uapi/run.h"
#include "user/sys.h"

#define PIN_NS 1000000000ull /* how long a monitor may take */
#define PIN_STEPS 100u

/* The CPUs of a mask that the machine has. */
static u64 existing(u64 mask) { return mask & ~0ull >> (64 - MIN(MAX(rt_kinfo()->cpus, 1u), 64u)); }

static void cpus_text(u64 mask, char out[CPULIST_MAX])
{
	cpulist_print(existing(mask), out, CPULIST_MAX);
}

/* The VM of that name, up to date. NULL: it was said what is wrong, with its definition too. */
static struct vm_client *defined(struct manager *m, const char *name)
{
	s32 i = vm_find(m, name);
	struct vm_client *vm;

	if (i < 0 || !vm_refresh(m, (u32)i))
		return NULL;
	vm = &m->vm[i];
	if (vm->view && vm->info.vcpus_max)
		return vm;
	con_printf(m, "error: vm %s: %s\n", vm->info.name, vm->info.error);
	return NULL;
}

/* ---- schedinfo ---- */

/* An option of schedinfo and its value. False: it was said what is wrong. */
static bool set_option(struct manager *m, u32 index, const char *option, const char *value)
{
	enum thread_op op = THREAD_GROUP_WEIGHT;
	const char *expected = "a number from 1 to 10000";
	const char *end;
	u64 n = 0;
	bool good;
	s64 e;

	if (!strcmp(option, "--weight")) {
		good = fmt_parse_u64(value, &end, &n) && !*end && n >= 1 && n <= 10000;
	} else if (!strcmp(option, "--cap")) {
		op = THREAD_GROUP_CAP;
		expected = CAP_EXPECTED;
		good = cap_parse(value, &n);
	} else if (!strcmp(option, "--cpus")) {
		op = THREAD_GROUP_CPUS;
		expected = "CPUs that are up and run VMs, such as 0-3,8";
		good = cpulist_parse(value, &n);
	} else {
		con_printf(m, "error: schedinfo %.32s: expected --weight, --cap or --cpus\n",
			   option);
		return false;
	}
	e = good ? init_sched(m, index, op, n) : -E_INVAL;
	if (e == -E_INVAL)
		con_printf(m, "error: %s %.32s: expected %s\n", option, value, expected);
	else if (e)
		con_printf(m, "error: %s: %s\n", option, rt_error(e));
	return !e;
}

void cmd_schedinfo(struct manager *m, u32 words, const char *const *word)
{
	struct vm_client *vm = defined(m, word[1]);
	const struct init_vm_info *info;
	char cap[CAP_TEXT_MAX], cpus[CPULIST_MAX];
	u32 i;

	if (!vm)
		return;
	i = (u32)(vm - m->vm);
	for (u32 at = 2; at < words; at += 2)
		if (!set_option(m, i, word[at], at + 1 < words ? word[at + 1] : ""))
			return;
	if (!vm_refresh(m, i))
		return;
	info = &vm->info;
	cap_print(info->cap, cap, sizeof(cap));
	cpus_text(info->cpus, cpus);
	con_printf(m, "Scheduler:      weighted fair\n");
	con_printf(m, "Weight:         %u\n", info->weight);
	con_printf(m, "Cap:            %s%s\n", cap, info->cap ? " us" : "");
	con_printf(m, "CPUs:           %s\n", cpus[0] ? cpus : "-");
}

/* ---- vcpuinfo, vcpupin ---- */

static const char *vcpu_state(const struct vm_client *vm, u8 state)
{
	static const char *const names[] = {[0] = "offline",
					    [1 + VCPU_RUNNABLE] = "running",
					    [1 + VCPU_HALTED] = "halted",
					    [1 + VCPU_WAIT_SIPI] = "offline"};
	const char *name = state < ARRAY_SIZE(names) ? names[state] : "unknown";

	if (!vm->info.running)
		return "shut off";
	return vm_paused(vm) && strcmp(name, "offline") ? "paused" : name;
}

/* The CPUs that a vCPU may use. */
static u64 vcpu_cpus(const struct vm_client *vm, u32 n)
{
	u64 pin = vm->view ? __atomic_load_n(&vm->view->pin[n], __ATOMIC_RELAXED) : 0;

	return pin & vm->info.cpus ? pin & vm->info.cpus : vm->info.cpus;
}

void cmd_vcpuinfo(struct manager *m, u32 words, const char *const *word)
{
	s32 i = vm_find(m, word[1]);
	struct domain_info d = {0};
	const struct vm_client *vm;

	if (i < 0 || !vm_refresh(m, (u32)i))
		return;
	vm = &m->vm[i];
	if (vm->info.running && vm_domain_info(m, (u32)i, &d))
		d = (struct domain_info){0}; /* it has just ended */
	con_printf(m, " VCPU   CPU   State      CPU time   CPU Affinity\n");
	con_printf(m, "-------------------------------------------------\n");
	for (u32 n = 0; n < VM_VCPUS_MAX; n++) {
		char cpus[CPULIST_MAX], cpu[8] = "-";

		if (!(vm_vcpu_mask(vm) >> n & 1))
			continue;
		cpus_text(vcpu_cpus(vm, n), cpus);
		if (d.vcpu_ns[n])
			fmt_snprintf(cpu, sizeof(cpu), "%u", d.vcpu_cpu[n]);
		con_printf(m, " %-6u %-5s %-10s %6lu.%lus   %s\n", n, cpu,
			   vcpu_state(vm, d.vcpu_state[n]), d.vcpu_ns[n] / 1000000000,
			   d.vcpu_ns[n] / 100000000 % 10, cpus[0] ? cpus : "-");
	}
}

/* The monitor has done it, or will do it before its guest runs, or there is none. */
static bool pinned(struct manager *m, u32 index, u32 vcpu, u64 mask)
{
	struct vm_client *vm = &m->vm[index];

	for (u32 step = 0; step < PIN_STEPS && vm->info.running; step++) {
		if (vm_state(vm) == VM_STATE_STARTING)
			return true;
		if (__atomic_load_n(&vm->view->pinned[vcpu], __ATOMIC_RELAXED) == mask)
			return true;
		event_wait(m->idle, rt_clock_ns() + PIN_NS / PIN_STEPS);
	}
	return !vm->info.running;
}

void cmd_vcpupin(struct manager *m, u32 words, const char *const *word)
{
	struct vm_client *vm = defined(m, word[1]);
	const char *end;
	u64 vcpu, mask = 0, before;

	if (!vm)
		return;
	if (!fmt_parse_u64(word[2], &end, &vcpu) || *end ||
	    vcpu >= MIN(vm->info.vcpus_max, VM_VCPUS_MAX)) {
		con_printf(m, "error: vCPU %.16s: expected 0 to %u\n", word[2],
			   vm->info.vcpus_max - 1);
		return;
	}
	if (strcmp(word[3], "any") &&
	    (!cpulist_parse(word[3], &mask) || !(mask & existing(vm->info.cpus)))) {
		con_printf(
			m,
			"error: %.64s: expected CPUs that the VM may use, such as 0-3,8, or any\n",
			word[3]);
		return;
	}
	before = __atomic_exchange_n(&vm->view->pin[vcpu], mask, __ATOMIC_RELEASE);
	vm_signal(m, (u32)(vm - m->vm), VM_EV_PIN);
	if (pinned(m, (u32)(vm - m->vm), (u32)vcpu, mask))
		return;
	__atomic_store_n(&vm->view->pin[vcpu], before, __ATOMIC_RELEASE);
	con_printf(m, "error: vCPU %lu: its monitor could not run it there\n", vcpu);
}

/* ---- top ---- */

struct top_row {
	u64 cpu_ns, exits, used_ns, new_exits, memory;
	bool seen;
};

static void top_read(struct manager *m, struct top_row *row)
{
	for (u32 i = 0; i < m->vms; i++) {
		struct domain_info d;
		u64 exits = 0;

		row[i].used_ns = row[i].new_exits = 0;
		if (!vm_refresh(m, i) || !m->vm[i].info.running || vm_domain_info(m, i, &d)) {
			row[i].seen = false;
			continue;
		}
		for (u32 k = 0; k <= STAT_OTHER; k++)
			exits += d.exits[k];
		if (row[i].seen) {
			row[i].used_ns = d.cpu_ns - MIN(d.cpu_ns, row[i].cpu_ns);
			row[i].new_exits = exits - MIN(exits, row[i].exits);
		}
		row[i].cpu_ns = d.cpu_ns;
		row[i].exits = exits;
		row[i].memory = d.populated_bytes;
		row[i].seen = true;
	}
}

/* The busiest first. */
static void top_print(struct manager *m, struct top_row *row, u64 ns)
{
	con_printf(m, " Id   %-24s   CPU%%      CPU time   exits/s   Memory KiB\n", "Name");
	for (u32 k = 0; k < m->vms; k++) {
		u32 best = 0;
		u64 permille;

		for (u32 i = 1; i < m->vms; i++)
			if (row[i].seen && (!row[best].seen || row[i].used_ns > row[best].used_ns))
				best = i;
		if (!row[best].seen)
			break;
		permille = row[best].used_ns * 1000 / ns;
		con_printf(m, " %-4u %-24s %4lu.%lu %11lu.%lus %9lu %12lu\n", best + 1,
			   m->vm[best].info.name, permille / 10, permille % 10,
			   row[best].cpu_ns / 1000000000, row[best].cpu_ns / 100000000 % 10,
			   row[best].new_exits * 1000000000 / ns, row[best].memory >> 10);
		row[best].seen = false;
	}
}

void cmd_top(struct manager *m, u32 words, const char *const *word)
{
	bool once = words > 1 && !strcmp(word[1], "-1"), key = false;
	struct top_row *row = rt_alloc(MANAGER_VMS * sizeof(*row)),
		       *shown = rt_alloc(MANAGER_VMS * sizeof(*shown));
	u64 before = rt_clock_ns(), now;

	if (words > 1 && !once) {
		con_printf(m, "error: top %.32s: expected -1\n", word[1]);
	} else if (row && shown) {
		top_read(m, row);
		do {
			key = con_wait_key(m, before + 1000000000);
			now = rt_clock_ns();
			top_read(m, row);
			memcpy(shown, row, MANAGER_VMS * sizeof(*row));
			if (!once)
				con_printf(m, "\x1b[2J\x1b[H");
			top_print(m, shown, MAX(now - before, 1));
			before = now;
			if (!once)
				con_printf(m, "any key ends\n");
		} while (!once && !key && m->attached < 0);
	}
	rt_free(row);
	rt_free(shown);
}
