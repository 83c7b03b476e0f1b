// SOURCES: services/manager/attach.c services/manager/cmd_host.c services/manager/cmd_node.c
// SOURCES: services/manager/cmd_sched.c services/manager/cmd_trace.c services/manager/cmd_vcpus.c
// SOURCES: services/manager/cmd_vm.c
// SOURCES: services/manager/command.c
// SOURCES: services/manager/console.c services/manager/editor.c services/manager/shell.c
// SOURCES: services/manager/vms.c user/tables.c
// SOURCES: services/common/reason.c services/common/cpulist.c
// SOURCES: services/common/cap.c lib/fmt.c lib/str_copy.c
// MAX_LEN: 6144
/*
 * The console program as a whole: keys that a terminal sends, answers of init, and monitors that
 * write whatever they like into the memory they share with it, at any moment.
 */
#include "tests/fuzz/fake_kernel.h"

#include "services/manager/main.c"
#include "uapi/trace.h"

#define VMS 2u

static struct vm_shared shared[VMS];

/* The positions and states of a ring, which its owner may set to anything. */
static void monitor_acts(void)
{
	struct vm_shared *s = &shared[fuzz_u8(&kernel.in) % VMS];

	switch (fuzz_u8(&kernel.in) & 7) {
	case 0: s->out_head = fuzz_u64(&kernel.in); break;
	case 1: s->out_head += fuzz_u16(&kernel.in); break;
	case 2: s->in_tail = fuzz_u64(&kernel.in); break;
	case 3: s->in_tail = s->in_head; break;
	case 4: s->out_tail = fuzz_u64(&kernel.in); break;
	default: kernel_scribble(s, sizeof(*s)); break;
	}
}

/* init's answer: names and texts of the right form are its own promise, numbers are not. */
static s64 answer_init(void)
{
	struct init_vm_info info = {0};
	u64 call = kernel.msg.word[0], index = kernel.msg.word[1];

	if (fuzz_u8(&kernel.in) >= 0xf0)
		return -E_DEAD;
	memset(&kernel.msg, 0, sizeof(kernel.msg));
	kernel.msg.word[0] = fuzz_u8(&kernel.in) >= 0xe0 ? (u64)-E_STATE : 0;
	if (call == INIT_VM_INFO && index < VMS) {
		fuzz_fill(&kernel.in, &info, fuzz_upto(&kernel.in, sizeof(info)));
		memcpy(info.name, index ? "web" : "sql", 4);
		info.present = 1;
		info.generation &= 3;
		memcpy(&kernel.msg.word[1], &info, sizeof(info));
	} else if (call == INIT_VM_ATTACH && !kernel.msg.word[0]) {
		for (u32 i = 0; i < 3; i++)
			kernel.msg.word[1 + i] =
				i && fuzz_u8(&kernel.in) & 1 ? 0 : (u64)handle_new();
	}
	return 64;
}

/* A ring of up to 255 records, that may grow while it is read. */
static s64 answer_trace(struct trace_read *r)
{
	if (r->cpu >= 2)
		return -E_NOENT;
	FUZZ_CHECK(r->records <= TRACE_CHUNK, "%u records", r->records);
	memset((void *)r->buf, 'x', r->records * sizeof(struct trace_record));
	r->pos += fuzz_u8(&kernel.in) & 3;
	r->head = fuzz_u8(&kernel.in);
	return 0;
}

static s64 answer_ctl(u64 op, void *p, u64 n)
{
	struct log_read *log = p;

	switch (op) {
	case SYSOP_CONSOLE_WRITE:
		for (u64 i = 0; i < n; i++) /* reads all of it */
			kernel.msg.word[63] ^= ((const u8 *)p)[i];
		return fuzz_u8(&kernel.in) & 0x80 ? (s64)fuzz_upto(&kernel.in, n) : (s64)n;
	case SYSOP_CONSOLE_READ: return console_bytes(p, n);
	case SYSOP_LOG_READ:
		if (log->bytes != 1024)
			abort();
		memset((void *)log->buf, 'x', log->bytes);
		log->bytes = fuzz_u8(&kernel.in);
		return 0;
	case SYSOP_HOSTINFO:
		memset(p, 0, n);
		fuzz_fill(&kernel.in, p, MIN(n, 64));
		return 0;
	case SYSOP_TRACE_READ: return answer_trace(p);
	default: return fuzz_u8(&kernel.in) & 0x80 ? -E_NODEV : 0;
	}
}

static s64 answer_port(struct port_packet *p, u64 max, u64 deadline)
{
	wait_until(deadline);
	p[0] = (struct port_packet){.key = fuzz_u8(&kernel.in) & 3, .bits = fuzz_u8(&kernel.in)};
	return max ? 1 : 0;
}

static s64 target_call(u64 nr, u64 a, u64 b, u64 c, u64 d)
{
	if (!kernel.in.left && nr != SYS_CTL && nr != SYS_HANDLE_CLOSE)
		kernel_end_run();
	if (fuzz_u8(&kernel.in) & 0x40)
		monitor_acts();
	switch (nr) {
	case SYS_CHANNEL_CALL: return answer_init();
	case SYS_CTL: return answer_ctl(b, (void *)c, d);
	case SYS_PORT_WAIT: return answer_port((struct port_packet *)b, c, d);
	case SYS_HANDLE_INFO: fuzz_fill(&kernel.in, (void *)b, MIN(c, 64)); return 0;
	default: return -E_NOSYS;
	}
}

static u32 mapped; /* VMs, in turn */

void *rt_map(handle_t mem, u64 bytes, u32 prot, int *err)
{
	FUZZ_CHECK(bytes >= sizeof(struct vm_shared), "%lu bytes", bytes);
	if (err)
		*err = 0;
	return &shared[mapped++ % VMS];
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	struct manager_start start = {.size = sizeof(start), .resume = MANAGER_RESUME_NONE};

	/*
	 * What it holds: its pause event, and an event a VM; for a moment what INIT_VM_ATTACH
	 * gives.
	 */
	kernel_begin(data, n, 16, target_call);
	manager = (struct manager){.attached = -1};
	memset(shared, 0, sizeof(shared));
	mapped = 0;
	start.restarts = fuzz_u8(&kernel.in) & 1;
	start.resume = fuzz_u8(&kernel.in) & 1;
	if (!setjmp(kernel.end))
		program_main(&start);
	FUZZ_CHECK(manager.editor.len < EDITOR_LINE && manager.editor.cursor <= manager.editor.len,
		   "the line");
	FUZZ_CHECK(manager.attached < (s32)manager.vms, "attached to %d", manager.attached);
	kernel_finish();
	return 0;
}
