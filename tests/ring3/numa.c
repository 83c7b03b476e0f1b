/*
 * The root task of a test: a thread on a CPU of each NUMA node touches memory, which must come from
 * that node, and when the node is full, from the nearest that is not.
 */
#include "lib/fmt.h"
#include "lib/string.h"
#include "uapi/image.h"
#include "user/rt.h"
#include "user/sys.h"

#define TOUCH MiB(24)
#define BEYOND MiB(16)
#define SLACK MiB(5) /* tables, heap blocks of 2 MiB on each node, other threads */
#define WAIT_NS 120000000000ull
#define PAUSE_NS 5000000ull

static handle_t system_handle, go, done, worker;
static struct node_info node[NODES_MAX];
static u64 free_before[NODES_MAX];
static u32 nodes, failures;

/* What the worker is to touch; its own between `go` and `done`. */
static struct {
	u8 *at;
	u64 bytes;
} work;

static void pause_ns(u64 ns)
{
	static handle_t event;

	if (!event)
		event = (handle_t)event_create();
	event_wait(event, rt_clock_ns() + ns);
}

static void sink(const char *line, void *arg)
{
	char text[220];
	u32 n = (u32)fmt_snprintf(text, sizeof(text), "numa: %s\r\n", line), at = 0;

	n = MIN(n, (u32)sizeof(text) - 1);
	while (at < n) {
		s64 taken = sys_ctl(system_handle, SYSOP_CONSOLE_WRITE, text + at, n - at);

		if (taken < 0)
			return;
		at += (u32)taken;
		pause_ns(PAUSE_NS);
	}
}

/* The machine goes a moment later; the end of init would be a panic. */
static void leave(u32 status)
{
	while (sys_ctl(system_handle, SYSOP_DEBUG_EXIT, NULL, status) == -E_NODEV)
		pause_ns(PAUSE_NS);
	domain_exit(1);
}

static void end(const char *what, s64 value)
{
	rt_log("%s: %ld", what, value);
	leave(1);
}

static void must(s64 value, const char *what)
{
	if (value < 0)
		end(what, value);
}

static void read_nodes(void)
{
	nodes = 1;
	for (u32 i = 0; i < nodes; i++) {
		node[i].node = i;
		must(sys_ctl(system_handle, SYSOP_NODEINFO, &node[i], sizeof(node[i])), "nodeinfo");
		nodes = node[i].nodes;
	}
}

static void worker_thread(void *arg)
{
	for (;;) {
		event_wait(go, DEADLINE_NEVER);
		for (u64 i = 0; i < work.bytes; i += 4096)
			work.at[i] = 1;
		event_signal(done, 1);
	}
}

/* From a CPU of node n. Returns the address of the memory, which is to be let go by drop(). */
static u64 touch(u32 n, u64 bytes, handle_t *mem)
{
	s64 h = mem_create(bytes, 0);

	must(h, "mem_create");
	*mem = (handle_t)h;
	work.at = rt_map(*mem, bytes, PROT_R | PROT_W, NULL);
	work.bytes = bytes;
	if (!work.at)
		end("rt_map", 0);
	must(thread_set(worker, THREAD_AFFINITY, node[n].cpus), "affinity");
	event_signal(go, 1);
	must(event_wait(done, rt_clock_ns() + WAIT_NS), "waiting for the worker");
	return (u64)work.at;
}

/* Waits until the frames are free again: they go in the background. */
static void drop(u64 va, u64 bytes, handle_t mem)
{
	must(mem_unmap(HANDLE_SELF, va, bytes), "unmap");
	must(handle_close(mem), "close");
	for (u64 last = rt_clock_ns() + WAIT_NS; rt_clock_ns() < last; pause_ns(PAUSE_NS)) {
		u64 lost = 0;

		read_nodes();
		for (u32 k = 0; k < nodes; k++)
			lost += free_before[k] - MIN(free_before[k], node[k].mem_free);
		if (lost < SLACK)
			return;
	}
	end("memory did not come back", 0);
}

static void start(void)
{
	read_nodes();
	for (u32 i = 0; i < nodes; i++)
		free_before[i] = node[i].mem_free;
}

static void expect(const char *what, u32 of, u32 at, u64 bytes)
{
	u64 taken = free_before[at] - MIN(free_before[at], node[at].mem_free);

	if (taken + SLACK >= bytes && taken <= bytes + SLACK)
		return;
	rt_log("FAIL: %s from a CPU of node %u: %lu KiB at node %u, expected about %lu", what, of,
	       taken >> 10, at, bytes >> 10);
	failures++;
}

static u32 nearest(u32 n)
{
	u32 best = n ? 0 : 1;

	for (u32 i = 0; i < nodes; i++)
		if (i != n && node[n].distance[i] < node[n].distance[best])
			best = i;
	return best;
}

static void check_near(u32 n)
{
	handle_t mem;

	start();
	u64 va = touch(n, TOUCH, &mem);

	read_nodes();
	for (u32 i = 0; i < nodes; i++)
		expect("memory touched", n, i, i == n ? TOUCH : 0);
	drop(va, TOUCH, mem);
}

static void check_full(u32 n)
{
	u32 next = nearest(n);
	handle_t mem;

	start();
	u64 have = ALIGN_DOWN(node[n].mem_free, 4096ull), bytes = have + BEYOND,
	    va = touch(n, bytes, &mem);

	read_nodes();
	for (u32 i = 0; i < nodes; i++)
		expect("more than it has", n, i, i == n ? have : i == next ? BEYOND : 0);
	drop(va, bytes, mem);
}

int program_main(void *arg)
{
	const struct init_info *info = arg;
	u32 with_cpus = 0;

	system_handle = info->system;
	rt_log_to(sink, NULL);
	go = (handle_t)event_create();
	done = (handle_t)event_create();
	s64 t = rt_thread(worker_thread, NULL);
	must(t, "thread");
	worker = (handle_t)t;
	read_nodes();
	for (u32 i = 0; i < nodes; i++) {
		if (!node[i].cpus)
			continue;
		with_cpus++;
		check_near(i);
	}
	for (u32 i = 0; i < nodes; i++)
		if (node[i].cpus && nodes > 1)
			check_full(i);
	rt_log("%s: %u nodes, %u with CPUs", failures ? "FAIL" : "PASS", nodes, with_cpus);
	leave(failures ? 1 : 0);
	return 1;
}
