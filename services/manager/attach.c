#include "lib/string.h"
#include "services/common/reason.h"
#include "services/manager/manager.h"
#include "user/sys.h"

/*
 * Sequentially consistent: the monitor stores out_head, then reads out_tail; we the other way
 * round.
 */
#define LOAD(p) __atomic_load_n(&(p), __ATOMIC_SEQ_CST)
#define STORE(p, v) __atomic_store_n(&(p), (v), __ATOMIC_SEQ_CST)

#define PUMP_ROUNDS 16u /* then keys get their turn, however much a guest writes */
#define IDLE_PAUSE_NS 1000000ull
#define IDLE_ROUNDS 5000u /* in a row: the terminal takes no more */

/* Whatever the monitor says: at most a ring full is waiting. */
static u64 waiting(struct vm_client *vm)
{
	u64 head = LOAD(vm->view->out_head);

	if (head - vm->shown > VM_RING_BYTES)
		vm->shown = head - MIN(head, VM_RING_BYTES);
	return head - vm->shown;
}

bool attach_pump(struct manager *m)
{
	struct vm_client *vm;

	if (m->attached < 0)
		return false;
	vm = &m->vm[m->attached];
	for (u32 round = 0; round < PUMP_ROUNDS; round++) {
		u64 n = waiting(vm);

		if (!n)
			return false;
		u64 index = vm->shown % VM_RING_BYTES, before = vm->shown;
		size_t taken =
			con_try_write(m, vm->view->out + index, MIN(n, VM_RING_BYTES - index));

		if (!taken)
			return true;
		vm->shown += taken;
		STORE(vm->view->out_tail, vm->shown);
		/* It may have found the ring full before: then its UART waits for room. */
		if (LOAD(vm->view->out_head) - before >= VM_RING_BYTES / 2)
			vm_signal(m, (u32)m->attached, VM_EV_INPUT);
	}
	return true;
}

/* What waits now, to its end; what the VM's next life adds meanwhile is not waited for. */
static void pump_rest(struct manager *m)
{
	struct vm_client *vm = &m->vm[m->attached];
	u64 left = waiting(vm), before = vm->shown;

	for (u32 idle = 0; attach_pump(m) && idle < IDLE_ROUNDS; idle++) {
		if (vm->shown - before >= left)
			break;
		if (vm->shown != before)
			idle = 0;
		left -= vm->shown - before;
		before = vm->shown;
		event_wait(m->idle, rt_clock_ns() + IDLE_PAUSE_NS);
	}
}

static void show_end(struct manager *m, const struct vm_client *vm)
{
	if (vm->info.error[0])
		con_printf(m, "\nvm %s: %s\n", vm->info.name, vm->info.error);
	else if (vm->info.generation)
		con_printf(m, "\nvm %s ended: %s, status %u\n", vm->info.name,
			   vm_reason_text(vm->info.reason), vm->info.status);
	else
		con_printf(m, "vm %s is shut off\n", vm->info.name);
}

static void detach(struct manager *m)
{
	struct vm_client *vm = &m->vm[m->attached];

	STORE(vm->view->attached, 0);
	vm_signal(m, (u32)m->attached, VM_EV_INPUT); /* its UART need not wait for room any more */
	m->attached = -1;
	con_printf(m, "\x1b[0m");
}

static void show_begin(struct manager *m, const struct vm_client *vm)
{
	con_printf(m, "Connected to %s; ^] leaves.%s\n", vm->info.name,
		   vm_paused(vm) ? " It is paused: resume lets it go on." : "");
}

/* The VM that is connected runs no more. */
static void attached_ended(struct manager *m)
{
	struct vm_client *vm = &m->vm[m->attached];
	enum vm_end end;

	pump_rest(m);
	detach(m);
	show_end(m, vm);
	end = vm_end_of(vm->info.reason);
	vm->again = end < VM_ENDS && vm->info.on_exit[end] == ON_EXIT_RESTART;
}

/* It ended and runs again: it stays connected. */
static void attached_restarted(struct manager *m)
{
	struct vm_client *vm = &m->vm[m->attached];

	pump_rest(m);
	con_printf(m, "\x1b[0m");
	show_end(m, vm);
	show_begin(m, vm);
}

void attach_begin(struct manager *m, u32 index, bool from_start)
{
	struct vm_client *vm = &m->vm[index];

	if (!vm->view) {
		con_printf(m, "error: vm %s: %s\n", vm->info.name, vm->info.error);
		return;
	}
	if (vm->info.running)
		show_begin(m, vm);
	vm->seen = vm->info.generation;
	vm->left = vm->again = false;
	vm->shown = from_start ? 0 : LOAD(vm->view->out_tail);
	waiting(vm);
	m->attached = (s32)index;
	STORE(vm->view->out_tail, vm->shown);
	STORE(vm->view->attached, 1);
	if (!vm->info.running)
		attached_ended(m);
}

void attach_end(struct manager *m)
{
	m->vm[m->attached].left = true;
	detach(m);
	con_printf(m, "\n");
	editor_start(&m->editor);
}

void attach_none(struct manager *m)
{
	for (u32 i = 0; i < m->vms; i++)
		m->vm[i].left = true;
}

void attach_input(struct manager *m, u8 c)
{
	struct vm_shared *s = m->vm[m->attached].view;
	u64 head, tail;

	if (c == KEY_LEAVE) {
		attach_end(m);
		return;
	}
	head = s->in_head;
	tail = LOAD(s->in_tail);
	if (head - tail >= VM_INPUT_BYTES) {
		con_write(m, "\a", 1); /* the guest does not read: the key is lost */
		return;
	}
	s->in[head % VM_INPUT_BYTES] = c;
	STORE(s->in_head, head + 1);
}

/* Not from somebody who has left it, and not from under what is being typed. */
static bool takes_terminal(const struct manager *m, const struct vm_client *vm)
{
	return m->attached < 0 && !m->editor.len && vm->info.running &&
	       (vm->info.console_attach || vm->again) && !vm->left &&
	       vm->seen != vm->info.generation;
}

void attach_state_changed(struct manager *m, u32 index)
{
	struct vm_client *vm = &m->vm[index];

	if (!vm_refresh(m, index))
		return;
	if (m->attached == (s32)index && !vm->info.running) {
		attached_ended(m);
		editor_start(&m->editor);
	} else if (m->attached == (s32)index && vm->seen != vm->info.generation) {
		attached_restarted(m);
	} else if (takes_terminal(m, vm)) {
		con_printf(m, "\n");
		attach_begin(m, index, !vm->again);
	}
	if (vm->info.running)
		vm->seen = vm->info.generation;
}
