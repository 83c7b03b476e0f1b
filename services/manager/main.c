#include "lib/string.h"
#include "services/manager/manager.h"
#include "user/sys.h"

#define PACKETS 16
#define BUSY_PAUSE_NS 2000000ull /* the terminal takes no more: try again after this */

static struct manager manager;

static void editor_out(struct editor *e, const char *text, size_t n)
{
	con_write(container_of(e, struct manager, editor), text, n);
}

static void log_sink(const char *line, void *arg) { con_printf(arg, "%s\n", line); }

/* Type-ahead goes where it belongs at its turn: to a guest, or into the line. */
static void take_input(struct manager *m)
{
	u8 buf[64];
	size_t n;

	while ((n = con_read(m, buf, sizeof(buf)))) {
		bool to_guest = false;

		for (size_t i = 0; i < n; i++) {
			if (m->attached >= 0) {
				attach_input(m, buf[i]);
				to_guest = m->attached >= 0;
			} else if (buf[i] == KEY_LEAVE) {
				attach_none(m);
			} else if (editor_key(&m->editor, buf[i]) == EDITOR_DONE) {
				shell_run_line(m, m->editor.line);
				if (m->attached < 0)
					editor_start(&m->editor);
			}
		}
		if (to_guest)
			vm_signal(m, (u32)m->attached, VM_EV_INPUT);
	}
}

/*
 * Where the terminal belongs at the start: to the VM of before, else to the first with console =
 * attach.
 */
static void first_attach(struct manager *m)
{
	u32 resume = m->start.resume;

	for (u32 i = 0; i < m->vms; i++) {
		struct vm_client *vm = &m->vm[i];

		vm->seen = vm->info.generation;
		if (m->start.restarts) {
			if (i == resume)
				attach_begin(m, i, false);
		} else if (m->attached < 0 && vm->info.console_attach && vm->info.generation) {
			attach_begin(m, i, true);
		}
	}
}

int program_main(void *arg)
{
	struct manager *m = &manager;
	struct port_packet packet[PACKETS];
	s64 idle = event_create();

	if (idle < 0)
		return 1;
	memcpy(&m->start, arg, sizeof(m->start));
	m->idle = (handle_t)idle;
	m->attached = -1;
	m->editor.prompt = "hv> ";
	m->editor.out = editor_out;
	m->editor.complete = shell_complete;
	rt_log_to(log_sink, m);
	con_printf(m, "\nCaisson " CAISSON_VERSION ": `help` lists the commands%s\n",
		   m->start.quit_on_last ? "; leaves after the last VM" : "");
	vms_open(m);
	first_attach(m);
	if (m->attached < 0)
		editor_start(&m->editor);
	for (;;) {
		take_input(m);
		u64 deadline = attach_pump(m) ? rt_clock_ns() + BUSY_PAUSE_NS : DEADLINE_NEVER;
		s64 n = port_wait(m->start.port, packet, PACKETS, deadline);

		for (s64 i = 0; i < n; i++)
			if (packet[i].key < m->vms && packet[i].bits & VM_NOTIFY_STATE)
				attach_state_changed(m, (u32)packet[i].key);
	}
}
