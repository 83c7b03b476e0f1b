/* The calls of manager: every argument is checked, the answer goes back in the message page. */
#include "lib/string.h"
#include "services/init/init.h"
#include "user/sys.h"

static_assert(sizeof(struct init_vm_info) <= (MSG_WORDS - 1) * sizeof(u64),
	      "an answer fits the page");

/*
 * vm is NULL where the call has no index, arg are the two words behind it. Words beside the first
 * go to out. Returns 0 or a negative error.
 */
typedef int (*call_fn)(struct init *in, struct vm *vm, u64 *out, u32 *words, const u64 *arg);

static int call_info(struct init *in, struct vm *vm, u64 *out, u32 *words, const u64 *arg)
{
	struct init_vm_info i = {0};

	*words = ALIGN_UP(sizeof(i), 8) / 8;
	if (vm) {
		i = (struct init_vm_info){
			.memory = vm->def.memory,
			.vcpus = vm->def.vcpus,
			.vcpus_max = vm->def.vcpus_max,
			.present = 1,
			.running = vm->running,
			.generation = vm->generation,
			.reason = vm->reason,
			.status = vm->status,
			.autostart = vm->def.autostart,
			.console_attach = vm->def.console_attach,
			.restarts = vm->restarts,
			.weight = vm->def.weight,
			.cap = vm->def.cap,
			.cpus = vm->def.cpus ? vm->def.cpus : ~in->options.isolated,
			.start_ns = vm->start_ns,
		};
		memcpy(i.name, vm->def.name, sizeof(i.name));
		for (u32 k = 0; k < VM_ENDS; k++)
			i.on_exit[k] = vm->def.at_end[k].act;
		str_copy(i.error, vm->error, sizeof(i.error));
	}
	memcpy(out, &i, sizeof(i));
	return 0;
}

static int call_start(struct init *in, struct vm *vm, u64 *out, u32 *words, const u64 *arg)
{
	int e = vm_start(in, vm);

	if (!e)
		vm_count_anew(vm); /* restart:N counts from here */
	return e;
}

static int call_destroy(struct init *in, struct vm *vm, u64 *out, u32 *words, const u64 *arg)
{
	return vm_destroy(in, vm);
}

static int call_attach(struct init *in, struct vm *vm, u64 *out, u32 *words, const u64 *arg)
{
	const struct {
		handle_t handle;
		u32 rights;
	} give[] = {
		{vm->shared, R_READ | R_WRITE | R_INFO},
		{vm->event, R_SIGNAL | R_INFO},
		{vm->process.domain, R_INFO},
	};

	if (!vm->view)
		return -E_STATE;
	for (u32 i = 0; i < ARRAY_SIZE(give); i++) {
		s64 h = process_give(&in->manager, give[i].handle, give[i].rights);
		if (h < 0)
			return (int)h;
		out[i] = (u64)h;
	}
	*words = ARRAY_SIZE(give);
	return 0;
}

static int call_sched(struct init *in, struct vm *vm, u64 *out, u32 *words, const u64 *arg)
{
	return vm_schedule(in, vm, (enum thread_op)arg[0], arg[1]);
}

static int call_poweroff(struct init *in, struct vm *vm, u64 *out, u32 *words, const u64 *arg)
{
	return finish_poweroff(in);
}

static int call_reboot(struct init *in, struct vm *vm, u64 *out, u32 *words, const u64 *arg)
{
	return (int)sys_ctl(in->system, SYSOP_REBOOT, NULL, 0);
}

static const struct {
	call_fn fn;
	bool index;  /* word 1 names a VM */
	bool beyond; /* an index that names none is answered too */
} calls[] = {
	[INIT_VM_INFO] = {call_info, .index = true, .beyond = true},
	[INIT_VM_START] = {call_start, .index = true},
	[INIT_VM_DESTROY] = {call_destroy, .index = true},
	[INIT_VM_ATTACH] = {call_attach, .index = true},
	[INIT_VM_SCHED] = {call_sched, .index = true},
	[INIT_POWEROFF] = {call_poweroff},
	[INIT_REBOOT] = {call_reboot},
};
static_assert(ARRAY_SIZE(calls) == INIT_CALLS, "a row for each call");

static int serve(struct init *in, u64 nr, u64 index, const u64 *arg, u64 *out, u32 *words)
{
	struct vm *vm = NULL;

	if (nr >= INIT_CALLS)
		return -E_NOSYS;
	if (calls[nr].index && index < in->vms)
		vm = &in->vm[index];
	if (calls[nr].index && !vm && !calls[nr].beyond)
		return -E_NOENT;
	rt_lock(&in->lock);
	int e = calls[nr].fn(in, vm, out, words, arg);
	rt_unlock(&in->lock);
	event_signal(in->wake, 1);
	return e;
}

void service_thread(void *arg)
{
	struct init *in = arg;
	struct msg_page *msg = rt_msg();
	u32 reply = 0;

	rt_populate_stack(); /* as the main thread did */
	for (;;) {
		s64 words = channel_reply_wait(in->channel, reply, DEADLINE_NEVER);

		reply = 0;
		if (words < 0)
			continue; /* the caller went away before its answer */
		u64 nr = words > 0 ? msg->word[0] : INIT_CALLS,
		    index = words > 1 ? msg->word[1] : ~0ull,
		    arg[2] = {words > 3 ? msg->word[2] : 0, words > 3 ? msg->word[3] : 0};

		memset(msg, 0, sizeof(*msg));
		msg->word[0] = (u64)(s64)serve(in, nr, index, arg, &msg->word[1], &reply);
		reply++;
	}
}
