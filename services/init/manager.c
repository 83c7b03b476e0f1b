/* Starting manager, and starting it again when it ended. */
#include "services/init/init.h"
#include "user/sys.h"

#define MANAGER_QUOTA MiB(8)
#define RESTART_PAUSE_NS 1000000000ull

/* No reader any more: a guest must not wait for one. Returns the VM that was attached. */
static u32 manager_detach_all(struct init *in)
{
	u32 found = MANAGER_RESUME_NONE;

	for (u32 i = 0; i < in->vms; i++)
		if (in->vm[i].view &&
		    __atomic_exchange_n(&in->vm[i].view->attached, 0, __ATOMIC_ACQ_REL)) {
			found = i;
			if (in->vm[i].event != HANDLE_NONE)
				event_signal(in->vm[i].event, VM_EV_INPUT);
		}
	return found;
}

static int manager_launch(struct init *in, u32 resume)
{
	struct process *p = &in->manager;
	struct manager_start start = {
		.size = sizeof(start),
		.restarts = in->manager_restarts,
		.resume = resume,
		.quit_on_last = in->options.exit_last_vm,
	};
	s64 h = process_give(p, in->system, R_CONSOLE | R_LOG | R_STAT | R_INFO);

	if (h < 0)
		return (int)h;
	start.system = (handle_t)h;
	h = process_give(p, in->channel, R_CALL | R_INFO);
	if (h < 0)
		return (int)h;
	start.init = (handle_t)h;
	h = process_give(p, in->manager_port, R_WAIT | R_INFO);
	if (h < 0)
		return (int)h;
	start.port = (handle_t)h;
	h = port_bind(in->port, p->domain, KEY(KEY_MANAGER, 0, in->manager_restarts));
	if (h >= 0)
		h = process_thread(p, &in->manager_program);
	if (h < 0)
		return (int)h;
	thread_keep_off(p->thread, in->options.isolated); /* init has said so where it can't be */
	return process_run(p, &start, sizeof(start));
}

void manager_start(struct init *in)
{
	u32 resume = manager_detach_all(in);
	int e = process_create(&in->manager, &in->manager_program, "manager", MANAGER_QUOTA);

	in->manager_start_ns = rt_clock_ns();
	in->manager_restart_at = 0;
	if (!e)
		e = manager_launch(in, resume);
	if (!e)
		return;
	rt_log("can't start manager: %s", rt_error(e));
	process_destroy(&in->manager);
	in->manager_restart_at = in->manager_start_ns + RESTART_PAUSE_NS;
}

void manager_ended(struct init *in)
{
	u64 now = rt_clock_ns();

	process_destroy(&in->manager);
	in->manager_restarts++;
	rt_log("manager ended, starting it again");
	if (now - in->manager_start_ns < RESTART_PAUSE_NS)
		in->manager_restart_at = now + RESTART_PAUSE_NS;
	else
		manager_start(in);
}
