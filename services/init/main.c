/* The root task: programs, VMs, manager; then it waits for what ends. */
#include "lib/fmt.h"
#include "lib/string.h"
#include "services/init/init.h"
#include "services/init/wall_clock.h"
#include "user/sys.h"

#define LOG_MAX 200u /* SYSOP_LOG_WRITE */
#define PACKETS 16

static struct init init;

static void log_write(enum log_level level, const char *line)
{
	char text[LOG_MAX + 1];
	int n = fmt_snprintf(text, sizeof(text), "%uinit: %s", level, line);

	sys_ctl(init.system, SYSOP_LOG_WRITE, text, MIN((u32)n, LOG_MAX));
}

static void log_sink(const char *line, void *arg) { log_write(LOG_WARN, line); }

void init_log_info(const char *line) { log_write(LOG_INFO, line); }

static void complain(const char *option, const char *value, const char *expected)
{
	if (expected)
		rt_log("boot option %s=%s is ignored: expected %s", option, value, expected);
	else
		rt_log("boot option %s is unknown and ignored", option);
}

/* ---- Start ---- */

static int objects_create(struct init *in)
{
	s64 port = port_create(), manager_port = port_create(), channel = channel_create(),
	    wake = event_create(), idle = event_create();

	if (port < 0 || manager_port < 0 || channel < 0 || wake < 0 || idle < 0)
		return -E_NOMEM;
	in->port = (handle_t)port;
	in->manager_port = (handle_t)manager_port;
	in->channel = (handle_t)channel;
	in->wake = (handle_t)wake;
	in->idle = (handle_t)idle;
	s64 e = port_bind(in->manager_port, in->system, MANAGER_KEY_CONSOLE);
	return e < 0 ? (int)e : (int)port_bind(in->port, in->wake, KEY(KEY_WAKE, 0, 0));
}

static int programs_load(struct init *in, const struct init_info *info)
{
	const struct {
		struct program *program;
		const char *name;
	} load[] = {
		{&in->manager_program, "manager"},
		{&in->vmm_program, "vmm"},
	};
	const struct init_module *archive = NULL;
	const char *why;

	for (u32 i = 0; i < info->modules; i++)
		if (!strcmp(info->module[i].name, "programs"))
			archive = &info->module[i];
	if (!archive) {
		rt_log("no boot module named programs: expected the archive of manager and vmm");
		return -E_NOENT;
	}
	const u8 *data = rt_map(archive->memory, archive->size, PROT_R, NULL);
	if (!data || rt_populate(data, archive->size) < archive->size)
		return -E_NOMEM;
	for (u32 i = 0; i < ARRAY_SIZE(load); i++) {
		int e = program_load(load[i].program, load[i].name, data, archive->size, &why);
		if (e) {
			rt_log("program %s: %s", load[i].name, why);
			return e;
		}
	}
	return 0;
}

static void vms_autostart(struct init *in)
{
	for (u32 i = 0; i < in->vms; i++) {
		struct vm *vm = &in->vm[i];

		if (vm->broken) {
			vm->ended = in->options.autostart;
			if (vm->ended && !in->first_status)
				in->first_status = vm->status;
		} else if (in->options.autostart && vm->def.autostart) {
			vm_start(in, vm);
		}
	}
}

/* ---- Running ---- */

static void packet_take(struct init *in, u64 key)
{
	struct vm *vm;

	switch (KEY_KIND(key)) {
	case KEY_MANAGER:
		if (KEY_GENERATION(key) == in->manager_restarts &&
		    in->manager.domain != HANDLE_NONE)
			manager_ended(in);
		break;
	case KEY_VM:
		vm = &in->vm[KEY_INDEX(key)];
		if (vm->running && vm->generation == KEY_GENERATION(key))
			vm_end(in, vm, VM_REASON_NONE);
		break;
	default: /* woken to look at the table again */ break;
	}
}

/* Starts again what is due. Returns the time of the next that is not. */
static u64 restarts_run(struct init *in)
{
	u64 now = rt_clock_ns(), next = DEADLINE_NEVER;

	for (u32 i = 0; i < in->vms; i++) {
		struct vm *vm = &in->vm[i];

		if (vm->restart_at && vm->restart_at <= now)
			vm_start(in, vm);
		if (vm->restart_at)
			next = MIN(next, vm->restart_at);
	}
	if (in->manager_restart_at && in->manager_restart_at <= now)
		manager_start(in);
	return in->manager_restart_at ? MIN(next, in->manager_restart_at) : next;
}

static bool last_vm_ended(const struct init *in)
{
	bool any = false;

	for (u32 i = 0; i < in->vms; i++) {
		if (in->vm[i].running || in->vm[i].restart_at)
			return false;
		any |= in->vm[i].ended;
	}
	return any;
}

int program_main(void *arg)
{
	const struct init_info *info = arg;
	struct init *in = &init;
	struct port_packet packet[PACKETS];

	in->system = info->system;
	rt_log_to(log_sink, in);
	in->boot_unix_s = wall_clock_at_boot(in->system);
	init_options_parse(info->cmdline, &in->options, complain);
	/* from the first VM on there may be no frame for what init touches first then */
	int e = rt_populate_image() && rt_populate_stack() ? objects_create(in) : -E_NOMEM;
	if (!e)
		e = programs_load(in, info);
	s64 thread = e ? e : rt_thread(service_thread, in);
	if (thread < 0) {
		rt_log("can't start the system: %s", rt_error(thread));
		return 1;
	}
	e = thread_keep_off(info->thread, in->options.isolated);
	if (!e)
		e = thread_keep_off((handle_t)thread, in->options.isolated);
	if (e)
		rt_log("isolcpus= leaves no CPU for init and manager: they run on all");
	rt_lock(&in->lock);
	vms_read(in, info);
	vms_autostart(in);
	manager_start(in);
	for (;;) {
		u64 deadline = restarts_run(in);

		if (in->options.exit_last_vm && last_vm_ended(in)) {
			finish_last_vm(in);
			/* the machine can't be left: go on, with a console */
			in->options.exit_last_vm = false;
			manager_ended(in);
			deadline = restarts_run(in);
		}
		rt_unlock(&in->lock);
		s64 n = port_wait(in->port, packet, PACKETS, deadline);
		rt_lock(&in->lock);
		for (s64 i = 0; i < n; i++)
			packet_take(in, packet[i].key);
	}
}
