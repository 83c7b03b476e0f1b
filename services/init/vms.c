/* The table of VMs: definitions, starting, what happens at the end of one. */
#include "lib/fmt.h"
#include "lib/string.h"
#include "services/common/cpulist.h"
#include "services/common/reason.h"
#include "services/init/init.h"
#include "user/sys.h"

/* What a monitor needs beside guest memory: image, heap, run page, vCPU areas. */
#define MONITOR_BYTES MiB(3)
#define VCPU_BYTES KiB(96)   /* for each further vCPU: areas in the kernel, thread, stack */
#define PROBE_BYTES KiB(256) /* of a domain with one thread that never runs */
#define TABLE_SHARE 256 /* page tables: one 256th of guest memory, twice what 4 KiB pages need */
#define SHARED_BYTES ALIGN_UP(sizeof(struct vm_shared), PAGE_SIZE)
#define VIEW_BYTES offsetof(struct vm_shared, in)
#define REAP_NS 1000000000ull /* how long after the end of a VM a start waits for memory, */
#define REAP_ROUNDS 100u      /* in as many steps */
#define RESTART_PAUSE_NS 1000000000ull /* between restarts of a VM that ends at once */

/* What a VM may make init say, however often it is restarted. */
#define LINES_BURST 80u
#define LINES_PERIOD_NS 5000000000ull

static void __printf(3, 4) vm_log(struct vm *vm, bool wrong, const char *fmt, ...)
{
	char line[256];
	u32 dropped;
	va_list ap;

	if (!ratelimit_pass(&vm->said, rt_clock_ns(), LINES_BURST, LINES_PERIOD_NS, &dropped))
		return;
	va_start(ap, fmt);
	fmt_vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (dropped)
		rt_log("vm %s: %u lines about it were too many", vm->def.name, dropped);
	if (wrong)
		rt_log("%s", line);
	else
		init_log_info(line);
}

/* The status that a reason fixes; -1 = the monitor's own is taken. */
static const s32 reason_status[VM_REASONS] = {
	[VM_REASON_NONE] = VM_STATUS_MONITOR_DIED,
	[VM_REASON_EXIT_PORT] = -1,
	[VM_REASON_POWEROFF] = VM_STATUS_OK,
	[VM_REASON_RESET] = VM_STATUS_RESET,
	[VM_REASON_TRIPLE_FAULT] = VM_STATUS_TRIPLE_FAULT,
	[VM_REASON_INTERNAL] = VM_STATUS_INTERNAL,
	[VM_REASON_LOAD] = VM_STATUS_LOAD,
	[VM_REASON_MONITOR_DIED] = VM_STATUS_MONITOR_DIED,
	[VM_REASON_DESTROYED] = VM_STATUS_DESTROYED,
};

/* ---- Definitions ---- */

/* A module that a definition names. False: the error is set, with file and line. */
static bool vm_take_module(struct vm *vm, const struct init_info *info, const char *key,
			   const char *name, u32 line, struct init_module *out)
{
	if (!name[0])
		return true;
	for (u32 i = 0; i < info->modules; i++)
		if (!strcmp(info->module[i].name, name)) {
			*out = info->module[i];
			return true;
		}
	fmt_snprintf(vm->error, sizeof(vm->error),
		     "%s:%u: %s = @%s: expected the name of a boot module", vm->file, line, key,
		     name);
	return false;
}

/*
 * Notification and shared memory of a VM, for as long as init lives. What init reads of it is
 * there at once, all but the rings: later monitors may leave no frame for it.
 */
static int vm_objects(struct init *in, struct vm *vm)
{
	s64 shared = mem_create(SHARED_BYTES, 0), notify = event_create(), e;
	int err;

	if (shared < 0 || notify < 0)
		return -E_NOMEM;
	vm->shared = (handle_t)shared;
	vm->notify = (handle_t)notify;
	e = port_bind(in->manager_port, vm->notify, (u64)(vm - in->vm));
	if (e < 0)
		return (int)e;
	vm->view = rt_map(vm->shared, SHARED_BYTES, PROT_R | PROT_W, &err);
	if (!vm->view)
		return err;
	return rt_populate(vm->view, VIEW_BYTES) < VIEW_BYTES ? -E_NOMEM : 0;
}

/* No VM that can start is called so. */
static void vm_name_by_file(struct vm *vm)
{
	fmt_snprintf(vm->def.name, sizeof(vm->def.name), "vm:%s", vm->file);
}

/* One that can't start gives it up. */
static bool vm_name_taken(struct init *in, const char *name)
{
	for (u32 i = 0; i < in->vms; i++) {
		if (strcmp(in->vm[i].def.name, name))
			continue;
		if (!in->vm[i].broken)
			return true;
		vm_name_by_file(&in->vm[i]);
	}
	return false;
}

static bool vm_read(struct init *in, struct vm *vm, const struct init_info *info,
		    const struct init_module *m)
{
	const char *text;

	if (m->size > VMDEF_TEXT_MAX || !m->size) {
		fmt_snprintf(vm->error, sizeof(vm->error),
			     "%s: %lu bytes: expected a definition of 1 byte to 64 KiB", vm->file,
			     m->size);
		return false;
	}
	text = rt_map(m->memory, m->size, PROT_R, NULL);
	if (!text || vm_objects(in, vm)) {
		fmt_snprintf(vm->error, sizeof(vm->error), "%s: no memory to read it", vm->file);
		return false;
	}
	bool ok = vmdef_parse(vm->file, text, m->size, &vm->def, &vm->lines, vm->error,
			      sizeof(vm->error));
	rt_unmap((void *)text, m->size);
	if (ok && vm_name_taken(in, vm->def.name)) {
		fmt_snprintf(vm->error, sizeof(vm->error),
			     "%s:%u: name = %s: expected a name that no other VM has", vm->file,
			     vm->lines.name, vm->def.name);
		ok = false;
	}
	return ok &&
	       vm_take_module(vm, info, "kernel", vm->def.kernel, vm->lines.kernel, &vm->kernel) &&
	       vm_take_module(vm, info, "initrd", vm->def.initrd, vm->lines.initrd, &vm->initrd);
}

static bool is_definition(const struct init_module *m) { return !strncmp(m->name, "vm:", 3); }

/* False: there are none, or no memory for them. */
static bool vms_alloc(struct init *in, const struct init_info *info)
{
	u32 n = 0;

	for (u32 i = 0; i < info->modules; i++)
		n += is_definition(&info->module[i]);
	in->vm = n ? rt_alloc(MIN(n, INIT_VMS) * sizeof(in->vm[0])) : NULL;
	if (n && !in->vm)
		rt_log("%u VM definitions: no memory to read them", n);
	return in->vm;
}

void vms_read(struct init *in, const struct init_info *info)
{
	if (!vms_alloc(in, info))
		return;
	for (u32 i = 0; i < info->modules; i++) {
		const struct init_module *m = &info->module[i];
		struct vm *vm = &in->vm[in->vms];

		if (!is_definition(m))
			continue;
		if (in->vms == INIT_VMS) {
			rt_log("%s: left out: at most %u VM definitions are read", m->name + 3,
			       INIT_VMS);
			continue;
		}
		str_copy(vm->file, m->name + 3, sizeof(vm->file));
		vm->broken = !vm_read(in, vm, info, m);
		if (vm->broken) {
			rt_log("%s", vm->error);
			vm->reason = VM_REASON_LOAD;
			vm->status = VM_STATUS_LOAD;
			if (!vm->def.name[0] || vm_name_taken(in, vm->def.name))
				vm_name_by_file(vm);
		}
		in->vms++;
	}
}

/* ---- Start ---- */

/*
 * The shared memory as a monitor expects it; what its console said before stays readable. A guest
 * that reset itself has as many CPUs as before.
 */
static void vm_shared_reset(struct vm_shared *s, bool restart)
{
	if (!restart)
		s->vcpus = 0;
	s->version = UAPI_VERSION;
	s->state = VM_STATE_STARTING;
	s->reason = VM_REASON_NONE;
	s->status = 0;
	s->log[0] = 0;
	s->suspend = 0;
	s->entered_ns = 0;
	memset(s->pinned, 0, sizeof(s->pinned));
	__atomic_store_n(&s->in_tail, s->in_head, __ATOMIC_RELEASE);
}

/* The CPUs of a definition are there and run VMs; else the error is set. */
static int vm_apply(struct init *in, struct vm *vm)
{
	handle_t t = vm->process.thread;
	u64 cpus = vm->def.cpus ? vm->def.cpus : ~in->options.isolated;
	char list[CPULIST_MAX];
	s64 e = thread_set(t, THREAD_GROUP_WEIGHT, vm->def.weight);

	if (!e)
		e = thread_set(t, THREAD_GROUP_CAP, vm->def.cap);
	if (!e && cpus != ~0ull) {
		e = thread_set(t, THREAD_GROUP_CPUS, cpus);
		cpulist_print(cpus, list, sizeof(list));
		if (e == -E_INVAL && vm->def.cpus)
			fmt_snprintf(vm->error, sizeof(vm->error),
				     "%s:%u: cpus = %.48s: expected CPUs that are up and run VMs",
				     vm->file, vm->lines.cpus, list);
		else if (e == -E_INVAL)
			fmt_snprintf(vm->error, sizeof(vm->error),
				     "isolcpus= leaves the CPUs %.48s, of which none runs VMs: "
				     "%s needs a line cpus = LIST, or another isolcpus=",
				     list[0] ? list : "(none)", vm->file);
	}
	return (int)e;
}

/* Would a VM's group take the value? Asked of a domain that lives for this question alone. */
static s64 vm_try_schedule(enum thread_op op, u64 value)
{
	static const char name[32] = "probe"; /* the kernel copies all of it */
	struct thread_args args = {.size = sizeof(args)};
	s64 domain = domain_create(PROBE_BYTES, name), thread, e;

	if (domain < 0)
		return domain;
	thread = thread_create((handle_t)domain, &args);
	e = thread < 0 ? thread : thread_set((handle_t)thread, op, value);
	if (thread >= 0)
		handle_close((handle_t)thread);
	handle_revoke((handle_t)domain);
	handle_close((handle_t)domain);
	return e;
}

int vm_schedule(struct init *in, struct vm *vm, enum thread_op op, u64 value)
{
	s64 e;

	if (op < THREAD_GROUP_WEIGHT || op > THREAD_GROUP_CAP)
		return -E_INVAL;
	e = vm->running ? thread_set(vm->process.thread, op, value) : vm_try_schedule(op, value);
	if (e)
		return (int)e;
	if (op == THREAD_GROUP_WEIGHT)
		vm->def.weight = (u32)value;
	else if (op == THREAD_GROUP_CAP)
		vm->def.cap = value;
	else
		vm->def.cpus = value;
	return 0;
}

static int vm_launch(struct init *in, struct vm *vm)
{
	s64 event = event_create();
	struct process *p = &vm->process;
	struct vmm_start start = {
		.size = sizeof(start),
		.shared_bytes = SHARED_BYTES,
		.kernel_size = vm->kernel.size,
		.initrd_size = vm->initrd.size,
		.boot_unix_s = in->boot_unix_s,
		.def = vm->def,
	};

	if (event < 0)
		return (int)event;
	vm->event = (handle_t)event;
	const struct {
		handle_t from;
		u32 rights;
		handle_t *to;
	} give[] = {
		{vm->shared, R_READ | R_WRITE | R_INFO, &start.shared_mem},
		{vm->event, R_WAIT | R_INFO, &start.event},
		{vm->notify, R_SIGNAL | R_INFO, &start.notify},
		{vm->kernel.memory, R_READ | R_INFO, &start.kernel_mem},
		{vm->initrd.memory, R_READ | R_INFO, &start.initrd_mem},
		{p->thread, R_MANAGE | R_INFO, &start.thread},
	};

	for (u32 i = 0; i < ARRAY_SIZE(give); i++) {
		s64 h = process_give(p, give[i].from, give[i].rights);
		if (h < 0)
			return (int)h;
		*give[i].to = (handle_t)h;
	}
	s64 e = port_bind(in->port, p->domain, KEY(KEY_VM, vm - in->vm, vm->generation));
	return e < 0 ? (int)e : process_run(p, &start, sizeof(start));
}

/* Guest memory, and what its monitor and the kernel need for it. */
static u64 quota_of(const struct vm_def *d)
{
	return d->memory + MONITOR_BYTES + (d->vcpus_max - 1) * VCPU_BYTES +
	       d->memory / TABLE_SHARE;
}

/*
 * A VM's memory is taken from the machine's before it is touched: how much is free says nothing,
 * unless nothing is. What Caisson keeps for itself is small, and so counts only where VMs have
 * nearly all.
 */
static void say_no_memory(struct init *in, struct vm *vm)
{
	struct host_info host = {0};
	u64 needs = quota_of(&vm->def), others = 0;
	bool gib = IS_ALIGNED(vm->def.memory, PAGE_1G);
	char at[16] = ""; /* the line, if memory is not the default */

	sys_ctl(in->system, SYSOP_HOSTINFO, &host, sizeof(host));
	for (u32 i = 0; i < in->vms; i++)
		others += in->vm[i].process.domain == HANDLE_NONE ? 0 : quota_of(&in->vm[i].def);
	if (needs + others < host.mem_total && host.mem_free < MONITOR_BYTES) {
		fmt_snprintf(
			vm->error, sizeof(vm->error),
			"%s: can't start %s: the machine has no memory left: destroy another VM",
			vm->file, vm->def.name);
		return;
	}
	if (vm->lines.memory)
		fmt_snprintf(at, sizeof(at), ":%u", vm->lines.memory);
	fmt_snprintf(vm->error, sizeof(vm->error),
		     "%s%s: memory = %lu%c: it needs %luM with its monitor, other VMs have %luM of "
		     "%luM: give it less, or destroy another",
		     vm->file, at, vm->def.memory >> (gib ? 30 : 20), gib ? 'G' : 'M',
		     ALIGN_UP(needs, MiB(1)) >> 20, ALIGN_UP(others, MiB(1)) >> 20,
		     host.mem_total >> 20);
}

/* Says why, if nothing more exact was said. */
static void say_not_started(struct init *in, struct vm *vm, int e)
{
	struct host_info host = {0};

	sys_ctl(in->system, SYSOP_HOSTINFO, &host, sizeof(host));
	if (e == -E_NODEV && host.virt_reason[0])
		fmt_snprintf(vm->error, sizeof(vm->error),
			     "%s: can't start %s: no VM can run here: %s", vm->file, vm->def.name,
			     host.virt_reason);
	else if (!vm->error[0])
		fmt_snprintf(vm->error, sizeof(vm->error), "%s: can't start %s: %s", vm->file,
			     vm->def.name, rt_error(e));
}

static void vm_start_failed(struct init *in, struct vm *vm)
{
	rt_log("%s", vm->error);
	vm->ended = true;
	vm->reason = VM_REASON_LOAD;
	vm->status = VM_STATUS_LOAD;
	if (!in->first_status)
		in->first_status = vm->status;
}

/* What it needs may still come back from a life that ended; waited: it was said before. */
static void vm_restart_later(struct vm *vm, bool waited)
{
	vm->restart_at = rt_clock_ns() + RESTART_PAUSE_NS;
	if (!waited)
		vm_log(vm, true, "%s; its restart is tried again each second", vm->error);
}

/* What a running VM has, or one that is preserved; its shared memory stays. */
static void vm_release(struct init *in, struct vm *vm)
{
	if (vm->process.domain != HANDLE_NONE)
		in->last_end_ns = rt_clock_ns();
	process_destroy(&vm->process);
	if (vm->event != HANDLE_NONE)
		handle_close(vm->event);
	vm->event = HANDLE_NONE;
}

/* Memory of a domain that just ended comes back in steps: worth a short wait. */
static int vm_create_process(struct init *in, struct vm *vm)
{
	struct host_info host = {0};
	int e = -E_NOMEM;

	if (!sys_ctl(in->system, SYSOP_HOSTINFO, &host, sizeof(host)) && host.virt_reason[0])
		return -E_NODEV;
	for (u32 round = 0; e == -E_NOMEM && round <= REAP_ROUNDS; round++) {
		if (round && rt_clock_ns() - in->last_end_ns > REAP_NS)
			break;
		if (round)
			event_wait(in->idle, rt_clock_ns() + REAP_NS / REAP_ROUNDS);
		e = process_create(&vm->process, &in->vmm_program, vm->def.name,
				   quota_of(&vm->def));
	}
	return e;
}

int vm_start(struct init *in, struct vm *vm)
{
	bool restart = vm->restart_at, waited = restart && vm->error[0];
	int e;

	vm->restart_at = 0;
	if (vm->broken)
		return -E_INVAL;
	if (vm->running)
		return -E_STATE;
	vm_release(in, vm); /* a preserved one */
	vm_shared_reset(vm->view, restart && vm->reason == VM_REASON_RESET);
	vm->error[0] = 0;
	vm->generation++;
	e = vm_create_process(in, vm);
	if (e == -E_NOMEM)
		say_no_memory(in, vm);
	if (!e)
		e = process_thread(&vm->process, &in->vmm_program);
	if (!e)
		e = vm_apply(in, vm);
	if (!e)
		e = vm_launch(in, vm);
	if (e) {
		vm_release(in, vm);
		say_not_started(in, vm, e);
		if (restart && e == -E_NOMEM)
			vm_restart_later(vm, waited);
		else
			vm_start_failed(in, vm);
		return e;
	}
	vm->running = true;
	vm->ended = false;
	vm->start_ns = rt_clock_ns();
	vm_log(vm, false, "vm %s started: %lu MiB", vm->def.name, vm->def.memory >> 20);
	event_signal(vm->notify, VM_NOTIFY_STATE);
	return 0;
}

/* ---- End ---- */

/* Not by the guest's or the user's wish. */
static bool failed(const struct vm *vm)
{
	return vm_end_of(vm->reason) == VM_END_CRASH || vm->reason == VM_REASON_LOAD;
}

/*
 * The monitor's last words, a line at a time; what is not text becomes '?'. The last line says why
 * a guest was not loaded.
 */
static void vm_log_errors(struct vm *vm)
{
	char line[160];
	u32 n = 0;

	for (u32 i = 0; i < sizeof(vm->view->log); i++) {
		char c = *(volatile char *)&vm->view->log[i];

		if (c && c != '\n' && n < sizeof(line) - 1) {
			line[n++] = c >= ' ' && c < 0x7f ? c : '?';
			continue;
		}
		line[n] = 0;
		if (n)
			vm_log(vm, failed(vm), "vm %s: %s", vm->def.name, line);
		if (n && vm->reason == VM_REASON_LOAD)
			fmt_snprintf(vm->error, sizeof(vm->error), "%s: %s", vm->file, line);
		n = 0;
		if (!c)
			return;
	}
}

/* What the monitor left behind, believed only as far as it makes sense. */
static void vm_take_result(struct vm *vm, enum vm_reason reason)
{
	u32 state = __atomic_load_n(&vm->view->state, __ATOMIC_ACQUIRE);
	u32 said = __atomic_load_n(&vm->view->reason, __ATOMIC_RELAXED);
	u32 status = __atomic_load_n(&vm->view->status, __ATOMIC_RELAXED);

	if (reason == VM_REASON_NONE)
		reason = state == VM_STATE_SHUTDOWN && said > VM_REASON_NONE &&
					 said < VM_REASON_MONITOR_DIED
				 ? said
				 : VM_REASON_MONITOR_DIED;
	vm->reason = reason;
	vm->status = reason_status[reason] < 0 ? status : (u32)reason_status[reason];
	vm->view->state = VM_STATE_SHUTDOWN;
}

/* What its definition says of such an end. */
static const struct vm_at_end *vm_at_end(const struct vm *vm)
{
	static const struct vm_at_end stays = {.act = ON_EXIT_DESTROY};
	enum vm_end end = vm_end_of(vm->reason);

	return end < VM_ENDS ? &vm->def.at_end[end] : &stays;
}

void vm_count_anew(struct vm *vm)
{
	vm->restarts = 0;
	memset(vm->restarts_by, 0, sizeof(vm->restarts_by));
}

static void vm_plan_restart(struct vm *vm)
{
	const struct vm_at_end *at_end = vm_at_end(vm);
	u32 *restarts = &vm->restarts_by[at_end->key];
	u64 now = rt_clock_ns();

	if (at_end->act != ON_EXIT_RESTART)
		return;
	if (at_end->restart_max && *restarts >= at_end->restart_max) {
		vm_log(vm, true, "vm %s: restarted %u times, not again", vm->def.name, *restarts);
		return;
	}
	++*restarts;
	vm->restarts++;
	vm->restart_at = now - vm->start_ns < RESTART_PAUSE_NS ? now + RESTART_PAUSE_NS : now;
}

void vm_end(struct init *in, struct vm *vm, enum vm_reason reason)
{
	u64 ms = (rt_clock_ns() - vm->start_ns) / 1000000;

	vm_take_result(vm, reason);
	vm_log_errors(vm);
	vm_log(vm, failed(vm), "vm %s ended: status %u (%s) after %lu.%03lu s", vm->def.name,
	       vm->status, vm_reason_text(vm->reason), ms / 1000, ms % 1000);
	if (vm_at_end(vm)->act != ON_EXIT_PRESERVE)
		vm_release(in, vm);
	vm->running = false;
	vm->ended = true;
	if (vm->status && !in->first_status)
		in->first_status = vm->status;
	vm_plan_restart(vm);
	event_signal(vm->notify, VM_NOTIFY_STATE);
}

int vm_destroy(struct init *in, struct vm *vm)
{
	bool pending = vm->restart_at;

	if (pending) /* why it waits */
		vm->error[0] = 0;
	vm->restart_at = 0;
	if (vm->running)
		vm_end(in, vm, VM_REASON_DESTROYED);
	else if (vm->process.domain != HANDLE_NONE)
		vm_release(in, vm);
	else if (!pending)
		return -E_STATE;
	return 0;
}
