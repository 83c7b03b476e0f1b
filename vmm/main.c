/* The monitor of one VM: puts it together from the start block, runs it, reports its end. */
#include <cpuid.h>

#include "guest-loader/loader.h"
#include "lib/string.h"
#include "user/sys.h"
#include "vmm/acpi.h"
#include "vmm/cpuid.h"
#include "vmm/mptable.h"
#include "vmm/vcpu.h"

struct vm {
	const struct vmm_start *start;
	struct vm_shared *shared;
	struct machine machine;
	u32 boot_cpus;	   /* that the guest begins with */
	struct vcpu *vcpu; /* machine.vcpus of them */
	struct vm_policy policy;
	handle_t port;		       /* what the event thread waits at */
	handle_t thread[VM_VCPUS_MAX]; /* of each vCPU */
};

enum port_key { KEY_EVENT = 1, KEY_TIMER };

static void log_line(const char *line, void *shared) { console_log(shared, line); }

/* The last words: what init and manager need stands in the shared memory before they are told. */
static __noreturn void finish(struct vm *vm, enum vm_reason reason, u32 status)
{
	vm->shared->reason = reason;
	vm->shared->status = status;
	__atomic_store_n(&vm->shared->state, VM_STATE_SHUTDOWN, __ATOMIC_RELEASE);
	event_signal(vm->start->notify, VM_NOTIFY_OUTPUT | VM_NOTIFY_STATE);
	domain_exit(status);
}

/* Maps a module to read. False: an error was logged. An absent one leaves *image empty. */
static bool map_image(const char *key, const char *name, handle_t mem, u64 size,
		      struct loader_image *image)
{
	int err;

	*image = (struct loader_image){.name = name};
	if (!mem)
		return true;
	image->data = rt_map(mem, ALIGN_UP(size, PAGE_SIZE), PROT_R, &err);
	image->bytes = size;
	if (!image->data)
		rt_log("%s: @%s: %s", key, name, rt_error(err));
	return image->data;
}

static void unmap_image(const struct loader_image *image)
{
	if (image->data)
		mem_unmap(HANDLE_SELF, (u64)image->data, ALIGN_UP(image->bytes, PAGE_SIZE));
}

/* Where systems look for the machine's CPUs and interrupts: ACPI, else the MP table. */
static int build_tables(const struct ram *ram, u32 vcpus, u32 possible)
{
	u32 signature, ebx, ecx, features;
	int err = acpi_build(ram, vcpus, possible);

	__cpuid(1, signature, ebx, ecx, features);
	if (!err)
		err = mptable_build(ram, vcpus, signature, features);
	if (err)
		rt_log("ACPI and MP tables: %s", rt_error(err));
	return err;
}

/* Puts tables and image into RAM and the boot CPU into its first state; the others wait. */
static int load(struct vm *vm)
{
	const struct vmm_start *st = vm->start;
	const struct ram *r = &vm->machine.ram;
	struct loader_ram ram = {r->host, r->low, r->high, ACPI_GPA};
	struct loader_image kernel, initrd;
	char error[256];
	int err;

	if (!st->kernel_mem) {
		rt_log("kernel: none was given");
		return -E_NOENT;
	}
	if (!map_image("kernel", st->def.kernel, st->kernel_mem, st->kernel_size, &kernel) ||
	    !map_image("initrd", st->def.initrd, st->initrd_mem, st->initrd_size, &initrd))
		return -E_NOMEM;
	err = build_tables(r, vm->boot_cpus, vm->machine.vcpus);
	if (err)
		return err;
	err = loader_load(&kernel, initrd.data ? &initrd : NULL, st->def.cmdline, &ram,
			  &vm->vcpu->state, error, sizeof(error));
	if (err) {
		rt_log("kernel: @%s: %s", st->def.kernel, error);
		return err;
	}
	unmap_image(&kernel);
	unmap_image(&initrd);
	vm->vcpu->state.size = sizeof(vm->vcpu->state);
	err = (int)vcpu_set(vm->vcpu->handle, &vm->vcpu->state);
	if (err)
		rt_log("first vCPU state: %s", rt_error(err));
	return err;
}

static int create_vcpus(struct vm *vm)
{
	struct machine *m = &vm->machine;
	int err = 0;

	vm->vcpu = rt_alloc(m->vcpus * sizeof(vm->vcpu[0]));
	if (!vm->vcpu) {
		rt_log("vcpus: %u: %s", m->vcpus, rt_error(-E_NOMEM));
		return -E_NOMEM;
	}
	for (u32 i = 0; i < m->vcpus && !err; i++)
		err = vcpu_init(&vm->vcpu[i], m, i);
	return err ? err : cpus_init(m, vm->shared, m->vcpus > 1 ? &vm->vcpu[1] : NULL);
}

/* The machine without its guest. */
static int create_machine(struct vm *vm)
{
	struct machine *m = &vm->machine;
	s64 h = vm_create();
	int err;

	if (h < 0) {
		rt_log("VM: %s", rt_error(h));
		return (int)h;
	}
	m->vm = (handle_t)h;
	m->xcr0 = cpuid_build(&vm->policy, cpuid, rt_kinfo());
	err = (int)vm_policy(m->vm, &vm->policy);
	if (err) {
		rt_log("CPUID: %s", rt_error(err));
		return err;
	}
	err = ram_create(&m->ram, m->vm, vm->start->def.memory, vm->start->def.populate);
	if (err)
		return err;
	h = event_create();
	if (h < 0) {
		rt_log("timer: %s", rt_error(h));
		return (int)h;
	}
	m->timer_event = (handle_t)h;
	m->vcpus = (u16)vm->start->def.vcpus_max;
	vm->boot_cpus = cpus_at_start(&vm->start->def, vm->shared);
	console_init(&m->console, vm->shared, vm->start->notify);
	err = machine_init(m, vm->start->boot_unix_s, vm->boot_cpus);
	if (err) {
		rt_log("devices: %s", rt_error(err));
		return err;
	}
	return create_vcpus(vm);
}

/* Where manager wants vCPUs to run. A wish that can't be met leaves them where they are. */
static void pin_vcpus(struct vm *vm)
{
	for (u32 i = 0; i < vm->machine.vcpus; i++) {
		u64 mask = __atomic_load_n(&vm->shared->pin[i], __ATOMIC_RELAXED);

		if (mask != vm->shared->pinned[i] &&
		    !thread_set(vm->thread[i], THREAD_AFFINITY, mask ? mask : ~0ull))
			vm->shared->pinned[i] = mask;
	}
}

/* What manager wants, and what it is to hear when it has come so. */
static void pause_or_go_on(struct vm *vm)
{
	if (pause_step(&vm->machine, __atomic_load_n(&vm->shared->suspend, __ATOMIC_ACQUIRE),
		       vm->shared))
		event_signal(vm->start->notify, VM_NOTIFY_OUTPUT | VM_NOTIFY_STATE);
}

/* Timers, console input, the power button and pauses. */
static void event_loop(void *arg)
{
	struct vm *vm = arg;
	struct machine *m = &vm->machine;
	struct port_packet packet[2];

	for (;;) {
		s64 n = port_wait(vm->port, packet, ARRAY_SIZE(packet), DEADLINE_NEVER);

		if (n < 0 && n != -E_INTR) {
			rt_log("event thread: %s", rt_error(n));
			machine_end(m, VM_REASON_INTERNAL, VM_STATUS_INTERNAL);
			return;
		}
		for (s64 i = 0; i < n; i++) {
			if (packet[i].key != KEY_EVENT)
				continue;
			if (packet[i].bits & VM_EV_SHUTDOWN)
				acpi_pm_button(&m->acpi_pm);
			if (packet[i].bits & VM_EV_INPUT)
				uart_poll(&m->com1);
			if (packet[i].bits & VM_EV_PIN)
				pin_vcpus(vm);
			if (packet[i].bits & VM_EV_VCPUS)
				cpus_set(m, __atomic_load_n(&vm->shared->vcpus_wanted,
							    __ATOMIC_RELAXED));
		}
		pause_or_go_on(vm);
		machine_run_timers(m);
	}
}

static int start_events(struct vm *vm)
{
	s64 h = port_create();

	if (h >= 0) {
		vm->port = (handle_t)h;
		h = port_bind(vm->port, vm->start->event, KEY_EVENT);
	}
	if (h >= 0)
		h = port_bind(vm->port, vm->machine.timer_event, KEY_TIMER);
	if (h >= 0)
		h = rt_thread(event_loop, vm);
	if (h < 0)
		rt_log("event thread: %s", rt_error(h));
	return h < 0 ? (int)h : 0;
}

static void vcpu_thread(void *vcpu) { vcpu_loop(vcpu); }

/* The boot CPU runs on the main thread, each other one on a thread of its own. */
static int start_vcpus(struct vm *vm)
{
	s64 h = 0;

	vm->thread[0] = vm->start->thread;
	for (u32 i = 1; i < vm->machine.vcpus && h >= 0; i++) {
		h = rt_thread(vcpu_thread, &vm->vcpu[i]);
		vm->thread[i] = (handle_t)h;
		if (h < 0)
			rt_log("vCPU %u: thread: %s", i, rt_error(h));
	}
	pin_vcpus(vm); /* as in its life before */
	return h < 0 ? (int)h : 0;
}

int program_main(void *arg)
{
	const struct vmm_start *start = arg;
	struct vm_shared *shared = rt_map(
		start->shared_mem, ALIGN_UP(start->shared_bytes, PAGE_SIZE), PROT_R | PROT_W, NULL);
	struct vm *vm;

	if (start->size != sizeof(*start) || !shared || start->shared_bytes < sizeof(*shared))
		return VM_STATUS_INTERNAL;
	rt_log_to(log_line, shared);
	vm = rt_alloc(sizeof(*vm));
	if (!vm)
		return VM_STATUS_INTERNAL;
	vm->start = start;
	vm->shared = shared;
	if (!start->def.vcpus || start->def.vcpus > start->def.vcpus_max ||
	    start->def.vcpus_max > VM_VCPUS_MAX) {
		rt_log("vcpus: %u of %u: expected 1 to %u", start->def.vcpus, start->def.vcpus_max,
		       VM_VCPUS_MAX);
		finish(vm, VM_REASON_LOAD, VM_STATUS_LOAD);
	}
	if (create_machine(vm))
		finish(vm, VM_REASON_INTERNAL, VM_STATUS_INTERNAL);
	if (load(vm))
		finish(vm, VM_REASON_LOAD, VM_STATUS_LOAD);
	if (start_events(vm) || start_vcpus(vm))
		finish(vm, VM_REASON_INTERNAL, VM_STATUS_INTERNAL);
	shared->entered_ns = rt_clock_ns();
	__atomic_store_n(&shared->state, VM_STATE_RUNNING, __ATOMIC_RELEASE);
	event_signal(start->notify, VM_NOTIFY_STATE);
	vcpu_loop(vm->vcpu);
	finish(vm, vm->machine.reason, vm->machine.status);
}
