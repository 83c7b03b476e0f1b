// SOURCES: services/init/finish.c services/init/manager.c services/init/options.c
// SOURCES: services/init/power.c services/init/process.c services/init/service.c
// SOURCES: services/init/vms.c services/init/wall_clock.c services/common/cpio.c
// SOURCES: services/common/image.c services/common/reason.c services/common/s5.c
// SOURCES: services/common/vmdef.c services/common/cap.c services/common/cpulist.c lib/fmt.c
// SOURCES: lib/str_copy.c user/populate.c
/*
 * The root task on a machine that runs out of memory, and on one that can't be left. Memory that
 * was not populated is not there: who touches it ends, as init would, and with it the machine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "services/init/main.c"
#include "tests/host/programs_archive.h"

#define S 1000000000ull
#define FIRST_MODULE 1000u
#define FRAMES 1000u
#define MAPS 16u

static const char *const *definition; /* of web.vm, b.vm, c.vm */
static struct {
	u64 now;
	u32 next, handles; /* the next handle; how many there are */
	u32 frames;	   /* that are free */
	u64 no_domain;	   /* until then domain_create says -E_NOMEM */
	u32 starts;	   /* of threads */
	u64 up;		   /* CPUs; 0: all */
	struct {
		handle_t thread;
		u64 op, mask;
	} cpus[8]; /* the latest that threads were given */
	u32 cpus_set;
	struct {
		u8 *p;
		u64 bytes;
		u32 there; /* pages, from its start */
	} map[MAPS];
	char log[8192];
	jmp_buf end;
	u32 waits;
} world;

static u8 programs[32768];
static u32 programs_bytes;

/* ---- The kernel and the runtime ---- */

static s64 handle_new(void)
{
	world.handles++;
	return world.next++;
}

u64 rt_clock_ns(void) { return world.now += 1000; }
struct msg_page *rt_msg(void) { return NULL; }
void *rt_alloc(size_t n) { return calloc(1, n); }
void rt_free(void *p) { free(p); }
const char *rt_error(s64 e) { return e == -E_NOMEM ? "no memory" : "another error"; }
void rt_log_to(void (*sink)(const char *line, void *arg), void *arg) {}
void rt_lock(struct rt_mutex *m) {}
void rt_unlock(struct rt_mutex *m) {}
s64 rt_thread(void (*fn)(void *), void *arg) { return handle_new(); }
bool rt_populate_image(void) { return true; }
bool rt_populate_stack(void) { return true; }

void assert_fail(const char *e, const char *f, int l)
{
	fail_msg("assert %s at %s:%d", e, f, l);
	abort();
}

void rt_log(const char *fmt, ...)
{
	size_t n = strlen(world.log);
	va_list ap;

	va_start(ap, fmt);
	n += (size_t)fmt_vsnprintf(world.log + n, sizeof(world.log) - n - 1, fmt, ap);
	va_end(ap);
	strcpy(world.log + MIN(n, sizeof(world.log) - 2), "\n");
}

static u32 logged(const char *text)
{
	u32 n = 0;

	for (const char *at = world.log; (at = strstr(at, text)); at++)
		n++;
	return n;
}

void *rt_map(handle_t mem, u64 bytes, u32 prot, int *err)
{
	bool module = mem >= FIRST_MODULE && mem < FIRST_MODULE + INIT_MODULES;
	u32 i = 0;

	while (i < MAPS && world.map[i].p)
		i++;
	assert_true(i < MAPS);
	world.map[i].p = mmap(NULL, bytes, module ? PROT_READ | PROT_WRITE : PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(world.map[i].p != MAP_FAILED);
	world.map[i].bytes = bytes;
	world.map[i].there = module ? (u32)(ALIGN_UP(bytes, PAGE_SIZE) / PAGE_SIZE) : 0;
	if (mem == FIRST_MODULE)
		memcpy(world.map[i].p, programs, programs_bytes);
	else if (module && mem >= FIRST_MODULE + 2)
		memcpy(world.map[i].p, definition[mem - FIRST_MODULE - 2],
		       strlen(definition[mem - FIRST_MODULE - 2]));
	if (err)
		*err = 0;
	return world.map[i].p;
}

void rt_unmap(void *p, u64 bytes)
{
	for (u32 i = 0; i < MAPS; i++)
		if (world.map[i].p == p) {
			munmap(p, world.map[i].bytes);
			world.map[i].p = NULL;
		}
}

/* The kernel reads memory of ours: a page that is not there yet comes, if there is a frame. */
static bool read_user(u64 va)
{
	for (u32 i = 0; i < MAPS; i++) {
		u64 page = (va - (u64)world.map[i].p) / PAGE_SIZE;

		if (!world.map[i].p || va < (u64)world.map[i].p ||
		    va >= (u64)world.map[i].p + world.map[i].bytes)
			continue;
		if (page < world.map[i].there)
			return true;
		assert_int_equal(page, world.map[i].there); /* in turn */
		if (!world.frames)
			return false;
		world.frames--;
		world.map[i].there++;
		mprotect(world.map[i].p + page * PAGE_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE);
		return true;
	}
	return true; /* of the program itself */
}

static s64 make_domain(u64 quota, u64 name)
{
	if (!read_user(name))
		return -E_FAULT;
	if (!quota)
		return -E_INVAL;
	return world.now < world.no_domain ? -E_NOMEM : handle_new();
}

static s64 wait_packet(struct port_packet *p, u64 deadline)
{
	if (deadline != DEADLINE_NEVER)
		world.now = MAX(world.now, deadline);
	if (world.waits++ == 4)
		longjmp(world.end, 1);
	world.frames = world.waits == 1 ? 0 : FRAMES; /* until the VM's end is told */
	if (world.waits != 1)
		return deadline == DEADLINE_NEVER ? 0 : -E_TIMEOUT;
	init.vm[0].view->out_head = 5000;
	p->key = KEY(KEY_VM, 0, init.vm[0].generation); /* the monitor ends at once */
	return 1;
}

static s64 set_thread(handle_t thread, u64 op, u64 value)
{
	world.starts += op == THREAD_START;
	if (op != THREAD_AFFINITY && op != THREAD_GROUP_CPUS)
		return 0;
	if (world.up && !(value & world.up))
		return -E_INVAL;
	assert_true(world.cpus_set < ARRAY_SIZE(world.cpus));
	world.cpus[world.cpus_set].thread = thread;
	world.cpus[world.cpus_set].op = op;
	world.cpus[world.cpus_set++].mask = value;
	return 0;
}

s64 sys_call6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	switch (nr) {
	case SYS_HANDLE_CLOSE: assert_true(a < FIRST_MODULE ? world.handles-- : 1); return 0;
	case SYS_HANDLE_DUP: return 7; /* it is in the other's table */
	case SYS_MEM_CREATE:
	case SYS_EVENT_CREATE:
	case SYS_PORT_CREATE:
	case SYS_CHANNEL_CREATE:
	case SYS_THREAD_CREATE: return handle_new();
	case SYS_DOMAIN_CREATE: return make_domain(a, b);
	case SYS_THREAD_SET: return set_thread((handle_t)a, b, c);
	case SYS_EVENT_WAIT: world.now = MAX(world.now, b); return -E_TIMEOUT;
	case SYS_PORT_WAIT: return wait_packet((struct port_packet *)b, d);
	case SYS_CTL:
		if (b == SYSOP_HOSTINFO)
			*(struct host_info *)c = (struct host_info){
				.mem_total = GiB(1), .mem_free = world.frames * PAGE_SIZE};
		if (b == SYSOP_LOG_WRITE) {
			assert_int_equal(*(const char *)c, '0' + LOG_INFO);
			rt_log("%.*s", (int)d - 1, (const char *)c + 1);
		}
		return b == SYSOP_CONSOLE_WRITE ? (s64)d : b == SYSOP_HOSTINFO ? 0 : -E_NODEV;
	default: return 0;
	}
}

/* ---- A machine ---- */

static struct init_info machine(const char *cmdline, const char *const *text, u32 vms)
{
	const char *const name[] = {"programs", "image", "vm:web.vm", "vm:b.vm", "vm:c.vm"};
	u64 size[ARRAY_SIZE(name)] = {programs_archive(programs), 5000};
	struct init_info info = {.size = sizeof(info),
				 .uapi_version = UAPI_VERSION,
				 .system = 1,
				 .thread = 2,
				 .modules = 2 + vms};

	programs_bytes = (u32)size[0];
	for (u32 i = 0; i < vms; i++)
		size[2 + i] = strlen(text[i]);
	for (u32 i = 0; i < MAPS; i++)
		if (world.map[i].p)
			munmap(world.map[i].p, world.map[i].bytes);
	free(init.vm);
	memset(&world, 0, sizeof(world));
	init = (struct init){.system = 1};
	definition = text;
	world.now = 100 * S;
	world.next = 100;
	world.frames = FRAMES;
	str_copy(info.cmdline, cmdline, sizeof(info.cmdline));
	for (u32 i = 0; i < info.modules; i++) {
		str_copy(info.module[i].name, name[i], sizeof(info.module[i].name));
		info.module[i].memory = FIRST_MODULE + i;
		info.module[i].size = size[i];
	}
	return info;
}

/* Without manager: the table of VMs, and what starts them. */
static struct vm *boot_vms(const char *const *text, u32 vms)
{
	struct init_info info = machine("", text, vms);

	assert_int_equal(objects_create(&init), 0);
	assert_int_equal(programs_load(&init, &info), 0);
	vms_read(&init, &info);
	assert_int_equal(init.vms, vms);
	return init.vm;
}

static struct vm *boot(const char *text)
{
	struct vm *vm = boot_vms(&text, 1);

	assert_string_equal(vm->error, "");
	return vm;
}

/* As the main thread goes on while nothing comes from outside. */
static void go_on(u32 rounds)
{
	while (rounds--) {
		u64 next = restarts_run(&init);

		if (next != DEADLINE_NEVER)
			world.now = MAX(world.now, next);
	}
}

static void passes(u64 seconds) { world.now += seconds * S; }

/* ---- Tests ---- */

#define ONCE "name = web\nkernel = @image\n"
#define RESTART ONCE "on_exit = restart:2\n"

/* However much of what it needs is there. */
static void a_start_without_memory_fails_and_init_goes_on(void **state)
{
	struct vm *vm = boot(ONCE);
	u32 handles = world.handles, frames = 0;
	int e;

	do {
		world.frames = frames++;
		e = vm_start(&init, vm);
		if (!e)
			break;
		assert_int_equal(e, -E_NOMEM);
		assert_non_null(strstr(vm->error, "web.vm: can't start web: "));
		assert_non_null(strstr(vm->error, "no memory"));
		assert_non_null(strstr(world.log, vm->error));
		assert_int_equal(vm->status, VM_STATUS_LOAD);
		assert_int_equal(world.handles, handles);
	} while (frames < 100);
	assert_true(vm->running);
	assert_in_range(frames, 3, 10); /* its data and its start block are two pages */
}

/* The threads of init and manager, and VMs that are not there by their definition. */
static void isolated_cpus_are_left_alone(void **state)
{
	static const char *const vms[] = {ONCE};
	struct init_info info = machine("isolcpus=1,3", vms, 1);
	u64 all = 0, threads = 0;

	world.up = 0xf;
	if (!setjmp(world.end))
		program_main(&info);
	for (u32 i = 0; i < world.cpus_set; i++) {
		assert_int_equal(world.cpus[i].mask, ~0xaull);
		threads += world.cpus[i].op == THREAD_AFFINITY;
		all |= (u64)(world.cpus[i].thread == info.thread) << 0 |
		       (u64)(world.cpus[i].thread == init.manager.thread) << 1 |
		       (u64)(world.cpus[i].op == THREAD_GROUP_CPUS) << 2;
	}
	assert_int_equal(all, 7);
	assert_int_equal(threads, 3); /* init has two */
	assert_int_equal(logged("leaves no CPU for init"), 0);

	info = machine("isolcpus=0-63", vms, 1);
	world.up = 0xf;
	if (!setjmp(world.end))
		program_main(&info);
	assert_int_equal(world.cpus_set, 0);
	assert_int_equal(logged("isolcpus= leaves no CPU for init and manager: they run on all"),
			 1);
	assert_int_not_equal(init.manager.domain, HANDLE_NONE);
}

static void manager_without_memory_is_tried_again(void **state)
{
	boot(ONCE);
	world.frames = 0;
	manager_start(&init);
	assert_int_equal(init.manager.domain, HANDLE_NONE);
	assert_int_equal(logged("can't start manager: no memory"), 1);
	world.frames = FRAMES;
	go_on(3);
	assert_true(init.manager.domain != HANDLE_NONE);
}

/* A monitor may leave init less memory than a VM's ring needs. */
static void what_a_monitor_shares_with_init_is_there_before_it_runs(void **state)
{
	struct vm *vm = boot(ONCE);
	volatile u8 *view = (u8 *)vm->view;

	world.frames = 0;
	for (u32 at = 0; at < offsetof(struct vm_shared, in); at += PAGE_SIZE)
		assert_int_equal(view[at] & 0, 0);
}

/* What a domain had comes back when the last that it made is gone: that may take seconds. */
static void a_restart_without_memory_is_tried_until_there_is_some(void **state)
{
	struct vm *vm = boot(RESTART);

	assert_int_equal(vm_start(&init, vm), 0);
	passes(5);
	vm->view->state = VM_STATE_SHUTDOWN;
	vm->view->reason = VM_REASON_RESET;
	vm->view->vcpus = 7;
	vm_end(&init, vm, VM_REASON_NONE);
	world.no_domain = world.now + 3 * S;
	go_on(1);
	assert_false(vm->running);
	assert_false(last_vm_ended(&init));
	go_on(20);
	assert_true(vm->running);
	assert_string_equal(vm->error, "");
	assert_in_range(world.now, world.no_domain, world.no_domain + 2 * S);
	assert_int_equal(vm->restarts, 1);
	assert_int_equal(vm->view->vcpus, 7);		      /* it is a reset still */
	assert_int_equal(init.first_status, VM_STATUS_RESET); /* not that it could not start */
	assert_int_equal(logged("web.vm"), 1);		      /* said once */
}

static void destroy_forgets_a_restart_that_waits_for_memory(void **state)
{
	struct vm *vm = boot(RESTART);

	assert_int_equal(vm_start(&init, vm), 0);
	passes(5);
	vm_end(&init, vm, VM_REASON_NONE);
	world.no_domain = world.now + 3 * S;
	go_on(2);
	assert_false(vm->running);
	assert_int_equal(vm_destroy(&init, vm), 0);
	passes(10);
	go_on(10);
	assert_false(vm->running);
	assert_true(last_vm_ended(&init));
	assert_string_equal(vm->error, "");
	assert_int_equal(vm_destroy(&init, vm), -E_STATE);
}

static void ends(struct vm *vm, enum vm_reason reason)
{
	passes(5);
	vm->view->state = VM_STATE_SHUTDOWN;
	vm->view->reason = reason;
	vm_end(&init, vm, reason == VM_REASON_DESTROYED ? reason : VM_REASON_NONE);
	go_on(2);
}

/* A guest that powers off stays off where one that resets itself goes on, as on a PC. */
static void each_end_does_what_the_definition_says(void **state)
{
	static const char *const keys[] = {"on_poweroff", "on_reboot", "on_crash", NULL};
	static const struct {
		enum vm_reason reason;
		u32 key;
	} ending[] = {
		{VM_REASON_POWEROFF, 0}, {VM_REASON_RESET, 1},	   {VM_REASON_TRIPLE_FAULT, 2},
		{VM_REASON_INTERNAL, 2}, {VM_REASON_EXIT_PORT, 3},
	};

	for (u32 i = 0; i < ARRAY_SIZE(ending); i++)
		for (u32 k = 0; k < ARRAY_SIZE(keys); k++) {
			bool restarts = k == ending[i].key || !keys[k];
			char text[128];
			struct vm *vm;

			snprintf(text, sizeof(text), ONCE "%s = restart\n",
				 keys[k] ? keys[k] : "on_exit");
			vm = boot(text);
			assert_int_equal(vm_start(&init, vm), 0);
			ends(vm, ending[i].reason);
			assert_int_equal(vm->running, restarts);
			assert_int_equal(vm->reason, ending[i].reason);
			if (restarts)
				ends(vm, VM_REASON_DESTROYED);
			assert_false(vm->running);
			assert_true(last_vm_ended(&init));
		}
}

/* Ends by one rule count together, those by another apart. */
static void restarts_are_counted_by_rule(void **state)
{
	struct vm *vm = boot(ONCE "on_exit = restart:2\non_reboot = restart\n");

	assert_int_equal(vm_start(&init, vm), 0);
	for (u32 i = 0; i < 5; i++)
		ends(vm, VM_REASON_RESET);
	ends(vm, VM_REASON_TRIPLE_FAULT);
	assert_true(vm->running);
	ends(vm, VM_REASON_POWEROFF);
	assert_true(vm->running);
	ends(vm, VM_REASON_RESET);
	assert_int_equal(vm->restarts, 8);
	ends(vm, VM_REASON_EXIT_PORT);
	assert_false(vm->running);
	assert_int_equal(logged("restarted 2 times, not again"), 1);
}

/* It would not be loaded the next time either. */
static void an_image_that_is_refused_is_not_tried_again(void **state)
{
	struct vm *vm = boot(RESTART);

	assert_int_equal(vm_start(&init, vm), 0);
	strcpy(vm->view->log, "a line before\nkernel: @image: no image\n");
	ends(vm, VM_REASON_LOAD);
	assert_false(vm->running);
	assert_int_equal(vm->status, VM_STATUS_LOAD);
	assert_string_equal(vm->error, "web.vm: kernel: @image: no image");
	assert_true(last_vm_ended(&init));
	assert_int_equal(vm_start(&init, vm), 0); /* by hand it may be */
	assert_string_equal(vm->error, "");
}

static void a_broken_definition_takes_no_name(void **state)
{
	static const char *const bad = ONCE "memory = 12Q\n";
	static const char *const first[] = {bad, ONCE}, *const second[] = {ONCE, bad};
	static const char nameless[] = "memory = 12Q\n", *const none[] = {nameless};
	struct vm *vm = boot_vms(first, 2);

	assert_string_equal(vm[0].def.name, "vm:web.vm");
	assert_string_equal(vm[1].def.name, "web");
	assert_false(vm[1].broken);
	vm = boot_vms(second, 2);
	assert_string_equal(vm[0].def.name, "web");
	assert_false(vm[0].broken);
	assert_string_equal(vm[1].def.name, "vm:b.vm");
	vm = boot_vms(none, 1);
	assert_string_equal(vm[0].def.name, "vm:web.vm");
	vm = boot_vms(&bad, 1);
	assert_string_equal(vm[0].def.name, "web");
}

static void a_name_is_for_one(void **state)
{
	static const char *const texts[] = {ONCE, "\n" ONCE};
	struct vm *vm = boot_vms(texts, 2);

	assert_false(vm[0].broken);
	assert_true(vm[1].broken);
	assert_string_equal(vm[1].error,
			    "b.vm:2: name = web: expected a name that no other VM has");
	assert_string_equal(vm[1].def.name, "vm:b.vm");
}

/*
 * exit=last-vm without a way out, and without memory for the end of a ring: the console comes back.
 */
static void a_machine_that_can_not_be_left_has_its_console_again(void **state)
{
	const char *text = ONCE;
	struct init_info info = machine("exit=last-vm", &text, 1);
	u32 before;

	if (!setjmp(world.end))
		program_main(&info);
	assert_int_equal(logged("can't power off: no _S5_ in the ACPI tables"), 1);
	before = init.manager_restarts;
	assert_int_equal(before, 1);
	assert_true(init.manager.domain != HANDLE_NONE);
	assert_int_equal(world.starts, 3); /* manager, the VM's monitor, manager */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_machine_that_can_not_be_left_has_its_console_again),
		cmocka_unit_test(each_end_does_what_the_definition_says),
		cmocka_unit_test(restarts_are_counted_by_rule),
		cmocka_unit_test(an_image_that_is_refused_is_not_tried_again),
		cmocka_unit_test(a_broken_definition_takes_no_name),
		cmocka_unit_test(a_name_is_for_one),
		cmocka_unit_test(a_restart_without_memory_is_tried_until_there_is_some),
		cmocka_unit_test(destroy_forgets_a_restart_that_waits_for_memory),
		cmocka_unit_test(isolated_cpus_are_left_alone),
		cmocka_unit_test(manager_without_memory_is_tried_again),
		cmocka_unit_test(what_a_monitor_shares_with_init_is_there_before_it_runs),
		cmocka_unit_test(a_start_without_memory_fails_and_init_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
