/* Leaving the machine: the result of the VMs, debug exit, ACPI power-off. */
#include "lib/fmt.h"
#include "lib/string.h"
#include "services/common/reason.h"
#include "services/common/s5.h"
#include "services/init/init.h"
#include "services/init/power.h"
#include "user/sys.h"

#define STATUS_MAX 127u /* QEMU leaves with twice the value plus one */
#define SHOW_PAUSE_NS 5000000ull
#define SHOW_ROUNDS 200u /* at most 1 s for manager to show what guests wrote */
#define TAIL_BYTES 2048u /* of the console of a VM that failed */
#define TABLE_ROOM (u32) MiB(1)
#define TABLES_MAX 64u

/* ---- Console ---- */

static void pause_ns(struct init *in, u64 ns) { event_wait(in->idle, rt_clock_ns() + ns); }

static void put(struct init *in, const char *s, size_t n)
{
	for (u32 idle = 0; n && idle < 1000;) {
		s64 taken = sys_ctl(in->system, SYSOP_CONSOLE_WRITE, s, n);

		if (taken < 0)
			return;
		if (taken == 0) {
			idle++;
			pause_ns(in, 1000000);
			continue;
		}
		idle = 0;
		s += taken;
		n -= MIN((size_t)taken, n);
	}
}

static void __printf(2, 3) print(struct init *in, const char *fmt, ...)
{
	char line[400];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = fmt_vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	put(in, line, MIN((size_t)n, sizeof(line) - 1));
	put(in, "\r\n", 2);
}

/* ---- What guests wrote ---- */

/* Bytes of the ring that manager has still to show; 0 when nobody is to see them. */
static u64 vm_unshown(const struct vm *vm)
{
	u64 head, tail;

	if (!vm->view)
		return 0;
	head = __atomic_load_n(&vm->view->out_head, __ATOMIC_ACQUIRE);
	tail = __atomic_load_n(&vm->view->out_tail, __ATOMIC_RELAXED);
	if (!vm->view->attached && !(vm->def.console_attach && tail == 0))
		return 0;
	return MIN(head - tail, VM_RING_BYTES);
}

static void vm_put_ring(struct init *in, const struct vm *vm, u64 bytes)
{
	u64 head = vm->view->out_head, at = head - MIN(bytes, head);

	while (at != head) {
		u64 index = at % VM_RING_BYTES, n = MIN(head - at, VM_RING_BYTES - index);

		put(in, (const char *)vm->view->out + index, n);
		at += n;
	}
}

/* Manager gets a moment to show the rest; then it is stopped and what is left is shown here. */
static void show_rest(struct init *in)
{
	for (u32 round = 0; round < SHOW_ROUNDS; round++) {
		u64 left = 0;

		for (u32 i = 0; i < in->vms; i++)
			left += vm_unshown(&in->vm[i]);
		if (!left)
			break;
		rt_unlock(&in->lock); /* manager may be in a call to us */
		pause_ns(in, SHOW_PAUSE_NS);
		rt_lock(&in->lock);
	}
	process_destroy(&in->manager);
	for (u32 i = 0; i < in->vms; i++) {
		u64 left = vm_unshown(&in->vm[i]);

		if (left)
			vm_put_ring(in, &in->vm[i], left);
	}
}

/*
 * The last lines of a VM's console, each behind its name; text only. Nothing, where the ring is not
 * there and there is no memory.
 */
static void vm_print_tail(struct init *in, const struct vm *vm)
{
	u64 head = vm->view->out_head, at = head - MIN(head, TAIL_BYTES);
	char line[160];
	u32 n = 0;

	if (rt_populate(vm->view, sizeof(*vm->view)) < sizeof(*vm->view))
		return;
	for (; at != head; at++) {
		char c = (char)vm->view->out[at % VM_RING_BYTES];

		if (c >= ' ' && c < 0x7f)
			line[n++] = c;
		if ((c == '\n' || n == sizeof(line) - 1 || at + 1 == head) && n) {
			line[n] = 0;
			print(in, "vm %s| %s", vm->def.name, line);
			n = 0;
		}
	}
}

/* ---- The result ---- */

void finish_last_vm(struct init *in)
{
	u32 good = 0, bad = 0, status = MIN(in->first_status, STATUS_MAX);

	show_rest(in);
	print(in, "%s", "");
	for (u32 i = 0; i < in->vms; i++) {
		const struct vm *vm = &in->vm[i];

		if (vm->ended && vm->status && vm->view && !vm->def.console_attach)
			vm_print_tail(in, vm);
		if (vm->broken || (vm->ended && vm->error[0]))
			print(in, "vm %s: status %u (not started: %s)", vm->def.name, vm->status,
			      vm->error);
		else if (vm->ended)
			print(in, "vm %s: status %u (%s)", vm->def.name, vm->status,
			      vm_reason_text(vm->reason));
		else
			print(in, "vm %s: not started", vm->def.name);
		good += vm->ended && !vm->status;
		bad += vm->broken || (vm->ended && vm->status);
	}
	print(in, "%u VMs: %u ended well, %u failed; exit status %u", in->vms, good, bad, status);
	sys_ctl(in->system, SYSOP_DEBUG_EXIT, NULL, status); /* goes on without exitport= */
	finish_poweroff(in);
}

/* ---- Power-off ---- */

/* A firmware table, as much as fits. r: signature and length. False: there are no more. */
static bool read_table(struct init *in, u32 index, u8 *room, struct acpi_read *r)
{
	u32 done = 0;

	do {
		*r = (struct acpi_read){.index = index,
					.buf = (u64)room + done,
					.offset = done,
					.bytes = TABLE_ROOM - done};
		if (sys_ctl(in->system, SYSOP_ACPI_READ, r, sizeof(*r)) < 0)
			return false;
		done += r->bytes;
	} while (r->bytes && done < TABLE_ROOM);
	r->bytes = done;
	return true;
}

static bool find_s5(struct init *in, u8 *room, u8 typ[2])
{
	static const char order[][5] = {"DSDT", "SSDT"};
	struct acpi_read r;

	for (u32 k = 0; k < ARRAY_SIZE(order); k++)
		for (u32 i = 0; i < TABLES_MAX && read_table(in, i, room, &r); i++)
			if (!memcmp(r.signature, order[k], 4) &&
			    s5_find(room, r.bytes, &typ[0], &typ[1]))
				return true;
	return false;
}

int finish_poweroff(struct init *in)
{
	u8 typ[2];
	s64 mem = mem_create(TABLE_ROOM, 0), e = -E_NODEV;
	u8 *room = mem < 0 ? NULL : rt_map((handle_t)mem, TABLE_ROOM, PROT_R | PROT_W, NULL);
	bool found;

	if (mem >= 0)
		handle_close((handle_t)mem);
	if (!room)
		return -E_NOMEM;
	found = find_s5(in, room, typ);
	if (found) {
		init_log_info("power off");
		e = power_off(in->system, in->idle, typ[0], typ[1]);
	}
	rt_log("can't power off: %s", found ? rt_error(e) : "no _S5_ in the ACPI tables");
	rt_unmap(room, TABLE_ROOM);
	return e < 0 ? (int)e : -E_STATE;
}
