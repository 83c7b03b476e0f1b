/*
 * Random system calls: the root task of a test image. It starts a "box", which starts workers, whose threads make
 * calls with nearly right arguments on objects that they share, while the box stops, moves, replaces and destroys
 * them. The box ends in the middle of it; then all its memory must come back. Boot option seed=N repeats a run.
 */
#include "lib/fmt.h"
#include "lib/string.h"
#include "uapi/image.h"
#include "user/rt.h"
#include "user/sys.h"

#define ROUNDS 4
#define CALLS_PER_ROUND 50000
#define WORKERS 5
#define THREADS 3 /* a worker */
#define BOX_QUOTA MiB(128)
#define WORKER_QUOTA MiB(12)
#define EXIT_PORT 0xf4ull
#define COUNT_VA 0x10000000ull	/* one page that all share */
#define SHARED_VA 0x20000000ull /* where workers map and unmap */
#define SHARED_PAGES 64
#define ROUND_LIMIT 300000000000ull
#define RETURN_LIMIT 60000000000ull

enum role { ROLE_BOX = 1, ROLE_WORKER };

extern const struct image_header image_header;
static volatile u64 *const counter = (u64 *)COUNT_VA;
static handle_t system_handle;

/* ---- Random numbers: xorshift64*, a state for each thread ---- */

static u64 rnd(u64 *state, u64 below)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * 0x2545f4914f6cdd1dull >> 16) % below;
}

/* ---- Output ---- */

static void __printf(1, 2) say(const char *fmt, ...)
{
	char line[160];
	va_list ap;
	u32 n;

	va_start(ap, fmt);
	n = (u32)fmt_vsnprintf(line, sizeof(line) - 2, fmt, ap);
	va_end(ap);
	n = MIN(n, (u32)sizeof(line) - 3);
	memcpy(line + n, "\r\n", 2);
	sys_ctl(system_handle, SYSOP_CONSOLE_WRITE, line, n + 2);
}

static void finish(u32 status)
{
	sys_ctl(system_handle, SYSOP_DEBUG_EXIT, NULL, EXIT_PORT << 32 | status);
	domain_exit(status);
}

static void check(bool ok, const char *what, s64 value)
{
	if (ok)
		return;
	say("stress: FAIL: %s: %ld", what, value);
	finish(1);
}

static void sleep_ns(u64 ns)
{
	static handle_t event;

	if (!event)
		event = (handle_t)event_create();
	event_wait(event, rt_clock_ns() + ns);
}

/* ---- A copy of this program in another domain ---- */

static bool map_part(handle_t domain, handle_t mem, u64 *at, u64 bytes, u32 prot)
{
	u64 offset = *at;

	*at += bytes;
	return !bytes || !mem_map(domain, mem, image_header.base + offset, offset, bytes, prot);
}

static bool load(handle_t domain, handle_t count_mem)
{
	u64 file = image_header.text_size + image_header.rodata_size + image_header.data_size, at = 0;
	u64 data = image_header.data_size + image_header.bss_size;
	s64 mem = mem_create(file + image_header.bss_size, 0), stack = mem_create(INIT_STACK_SIZE, 0);
	void *copy = mem > 0 ? rt_map((handle_t)mem, file, PROT_R | PROT_W, NULL) : NULL;
	bool ok = copy && stack > 0;

	if (ok) {
		memcpy(copy, (const void *)image_header.base, file);
		ok = map_part(domain, (handle_t)mem, &at, image_header.text_size, PROT_R | PROT_X) &&
		     map_part(domain, (handle_t)mem, &at, image_header.rodata_size, PROT_R) &&
		     map_part(domain, (handle_t)mem, &at, data, PROT_R | PROT_W) &&
		     !mem_map(domain, (handle_t)stack, INIT_STACK_TOP - INIT_STACK_SIZE, 0, INIT_STACK_SIZE,
			      PROT_R | PROT_W) &&
		     !mem_map(domain, count_mem, COUNT_VA, 0, PAGE_SIZE, PROT_R | PROT_W);
	}
	if (copy)
		mem_unmap(HANDLE_SELF, (u64)copy, file);
	handle_close((handle_t)mem);
	handle_close((handle_t)stack);
	return ok;
}

/* Thread n of a domain made by load: its own part of the stack. Returns its handle or an error. */
static s64 start(handle_t domain, enum role role, u32 n, u64 seed)
{
	struct thread_args a = {
		.size = sizeof(a),
		.entry = image_header.entry,
		.stack = INIT_STACK_TOP - n * KiB(16),
		.arg = seed << 8 | (u64)role,
		.msg_va = INIT_MSG_VA + n * PAGE_SIZE,
	};
	s64 t = thread_create(domain, &a);

	if (t > 0)
		thread_set((handle_t)t, THREAD_START, 0);
	return t;
}

/* ---- Worker ---- */

static handle_t pool[48];
static struct vcpu_state state;

static_assert(SYS_CLOCK_GET == 18, "used in assembly");
/* Started as a stray thread: calls for ever, on no stack. */
void stray(void);
__asm__("stray: movl $18, %eax\n"
	"	syscall\n"
	"	jmp stray\n");

static handle_t pick(u64 *s)
{
	u64 how = rnd(s, 16);

	if (how < 10)
		return pool[rnd(s, ARRAY_SIZE(pool))];
	if (how < 15)
		return (handle_t)((1 + rnd(s, 2)) << 16 | (1 + rnd(s, 24)));
	return (handle_t)rnd(s, 1ull << 32);
}

static handle_t domain_or_self(u64 *s) { return rnd(s, 3) ? HANDLE_SELF : pick(s); }

static void keep(u64 *s, s64 h)
{
	u64 slot = rnd(s, ARRAY_SIZE(pool));

	if (h <= 0)
		return;
	if (rnd(s, 4))
		handle_close(pool[slot]);
	pool[slot] = (handle_t)h;
}

static u64 page_va(u64 *s) { return SHARED_VA + rnd(s, SHARED_PAGES) * PAGE_SIZE; }

static void *pointer(u64 *s)
{
	static u8 buffer[4096];
	u64 how = rnd(s, 8);

	return how < 5 ? buffer : how < 7 ? (void *)(page_va(s) + rnd(s, 2) * 4000) : (void *)(rnd(s, ~0ull) << 16);
}

static u64 deadline(u64 *s)
{
	u64 how = rnd(s, 40);

	return how == 0 ? DEADLINE_NEVER : how < 10 ? DEADLINE_POLL : rt_clock_ns() + rnd(s, 300000);
}

static u64 pages(u64 *s)
{
	return (rnd(s, 12) ? 1 + rnd(s, 8) : 1 + rnd(s, 1500)) * PAGE_SIZE;
}

static void call_objects(u64 *s)
{
	u32 rights = rnd(s, 3) ? R_ALL : (u32)rnd(s, 0x10000);

	switch (rnd(s, 9)) {
	case 0: case 1: keep(s, handle_dup(pick(s), rights, domain_or_self(s))); break;
	case 2: case 3: handle_close(pick(s)); break;
	case 4: case 5: handle_info(pick(s), pointer(s), rnd(s, 400)); break;
	case 6: handle_revoke(pick(s)); break;
	case 7: keep(s, domain_create(KiB(64) << rnd(s, 6), rnd(s, 9) ? "stray" : pointer(s))); break;
	case 8: SYS6(rnd(s, 64) ? 1000 : rnd(s, SYS_CALLS), rnd(s, ~0ull), rnd(s, ~0ull), rnd(s, ~0ull), 0, 0, 0);
	}
}

static void call_threads(u64 *s)
{
	struct thread_args a = {.size = sizeof(a), .entry = (u64)stray, .stack = SHARED_VA};

	switch (rnd(s, 4)) {
	case 0:
		if (!rnd(s, 3))
			a.msg_va = page_va(s);
		if (!rnd(s, 60))
			a.entry = rnd(s, ~0ull) >> rnd(s, 40);
		keep(s, thread_create(domain_or_self(s), &a));
		break;
	case 1: thread_set(pick(s), THREAD_AFFINITY, 1 + rnd(s, 3)); break;
	case 2: thread_set(pick(s), THREAD_WEIGHT, rnd(s, 200)); break;
	case 3: thread_set(pick(s), rnd(s, 2) ? THREAD_START : THREAD_STOP, 0); break;
	}
}

static void call_memory(u64 *s)
{
	switch (rnd(s, 4)) {
	case 0: keep(s, mem_create(pages(s), (u32)rnd(s, 4))); break;
	case 1: case 2:
		mem_map(domain_or_self(s), pick(s), page_va(s), rnd(s, 3) * PAGE_SIZE, pages(s), 1 + (u32)rnd(s, 5));
		break;
	case 3: mem_unmap(domain_or_self(s), page_va(s), pages(s)); break;
	}
}

static void call_signals(u64 *s)
{
	struct port_packet packet[4];

	switch (rnd(s, 8)) {
	case 0: keep(s, event_create()); break;
	case 1: event_signal(pick(s), rnd(s, 4)); break;
	case 2: event_wait(pick(s), deadline(s)); break;
	case 3: keep(s, port_create()); break;
	case 4: port_bind(pick(s), pick(s), rnd(s, 100)); break;
	case 5: port_wait(pick(s), rnd(s, 9) ? packet : pointer(s), 1 + rnd(s, 4), deadline(s)); break;
	case 6: timer_set(pick(s), rnd(s, 9) ? deadline(s) : rnd(s, ~0ull)); break;
	case 7: sys_ctl(pick(s), SYSOP_HOSTINFO, pointer(s), sizeof(struct host_info)); break;
	}
}

static void call_channels(u64 *s)
{
	switch (rnd(s, 4)) {
	case 0: keep(s, channel_create()); break;
	case 1: channel_call(pick(s), rnd(s, 66)); break;
	default: channel_reply_wait(pick(s), rnd(s, 66), deadline(s)); break;
	}
}

static void call_vm(u64 *s)
{
	struct vm_slot slot = {.size = sizeof(slot), .flags = (u32)rnd(s, 2), .memory = pick(s),
			       .gpa = rnd(s, 8) * PAGE_SIZE, .bytes = rnd(s, 6) * PAGE_SIZE};

	switch (rnd(s, 10)) {
	case 0: keep(s, vm_create()); break;
	case 1: case 2: vm_slot_set(pick(s), (u32)rnd(s, 3), &slot); break;
	case 3: vm_msi(pick(s), 0xfee00000, (u32)rnd(s, 256)); break;
	case 4: case 5: keep(s, vcpu_create(pick(s), (u32)rnd(s, 3), page_va(s))); break;
	case 6: vcpu_kick(pick(s)); break;
	case 7: vcpu_get(pick(s), &state); break;
	case 8:
		state.size = sizeof(state);
		state.groups = (u32)rnd(s, 256);
		vcpu_set(pick(s), &state);
		break;
	case 9: vcpu_run(pick(s)); break;
	}
}

static void worker(u64 seed)
{
	static void (*const calls[])(u64 *s) = {
		call_objects, call_threads, call_memory, call_signals, call_signals, call_channels, call_vm,
	};
	u64 s = seed * 0x9e3779b97f4a7c15ull | 1;

	for (;;) {
		calls[rnd(&s, ARRAY_SIZE(calls))](&s);
		__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
	}
}

/* ---- Box ---- */

struct child {
	handle_t domain, thread[THREADS];
};

static void end_child(struct child *c)
{
	if (c->domain)
		handle_revoke(c->domain);
	handle_close(c->domain);
	for (u32 i = 0; i < THREADS; i++)
		handle_close(c->thread[i]);
	*c = (struct child){0};
}

/* Objects of the box that all workers use too. */
static void share(u64 *s, handle_t domain, const struct child *other)
{
	static handle_t objects[4];

	if (!objects[0]) {
		objects[0] = (handle_t)event_create();
		objects[1] = (handle_t)port_create();
		objects[2] = (handle_t)channel_create();
		objects[3] = (handle_t)mem_create(MiB(1), MEM_GUEST);
	}
	for (u32 i = 0; i < ARRAY_SIZE(objects); i++)
		handle_dup(objects[i], R_ALL & ~(u32)R_REVOKE, domain);
	if (other->domain && rnd(s, 2)) {
		handle_dup(other->domain, R_ALL, domain);
		handle_dup(other->thread[0], R_ALL, domain);
	}
	if (rnd(s, 2))
		handle_dup(domain, R_ALL, domain);
}

static void begin_child(u64 *s, struct child *c, const struct child *other, handle_t count_mem)
{
	s64 d = domain_create(WORKER_QUOTA, "worker");

	if (d <= 0)
		return; /* what the last one had is not back yet */
	c->domain = (handle_t)d;
	if (!load(c->domain, count_mem)) {
		end_child(c);
		return;
	}
	share(s, c->domain, other);
	for (u32 i = 0; i < THREADS; i++) {
		s64 t = start(c->domain, ROLE_WORKER, i, rnd(s, 1ull << 32));

		c->thread[i] = t > 0 ? (handle_t)t : HANDLE_NONE;
	}
}

static void disturb(u64 *s, struct child *c)
{
	handle_t t = c->thread[rnd(s, THREADS)];
	struct domain_info info = {.dead = 1};

	switch (rnd(s, 12)) {
	case 0:
		if (rnd(s, 4))
			break;
		end_child(c);
		return;
	case 1: thread_set(t, THREAD_AFFINITY, 1 + rnd(s, 3)); break;
	case 2: thread_set(t, THREAD_WEIGHT, 1 + rnd(s, 300)); break;
	case 3: if (!rnd(s, 8)) handle_revoke(t); break;
	default:
		thread_set(t, THREAD_STOP, 0);
		if (rnd(s, 2))
			sleep_ns(rnd(s, 100000));
		thread_set(t, THREAD_START, 0);
	}
	if (c->domain && (handle_info(c->domain, &info, sizeof(info)) < 0 || info.dead))
		end_child(c);
}

static void box(u64 seed)
{
	struct child child[WORKERS] = {0};
	u64 s = seed | 1, end = *counter + CALLS_PER_ROUND, limit = rt_clock_ns() + ROUND_LIMIT;
	s64 count_mem = 1 << 16 | 1; /* the first handle that the root task put here */

	while (*counter < end && rt_clock_ns() < limit) {
		struct child *c = &child[rnd(&s, WORKERS)];

		if (c->domain)
			disturb(&s, c);
		else
			begin_child(&s, c, &child[rnd(&s, WORKERS)], (handle_t)count_mem);
		sleep_ns(rnd(&s, 500000));
	}
	domain_exit(*counter < end ? 2 : 0);
}

/* ---- Root task ---- */

static u64 option_seed(const char *cmdline)
{
	const char *end;
	u64 seed;

	for (; *cmdline; cmdline++)
		if (!strncmp(cmdline, "seed=", 5) && fmt_parse_u64(cmdline + 5, &end, &seed))
			return seed;
	return rt_clock_ns();
}

static s64 wait_end(handle_t domain)
{
	struct port_packet packet = {0};
	s64 port = port_create(), r = port_bind((handle_t)port, domain, 1);

	if (!r)
		r = port_wait((handle_t)port, &packet, 1, rt_clock_ns() + 2 * ROUND_LIMIT);
	handle_close((handle_t)port);
	return r == 1 ? (s64)packet.bits : r;
}

/* Code that must end its domain, and does not end by itself. */
#define TRAP(name, code) void name(void); __asm__(#name ":\n" code "\n1: jmp 1b\n")
TRAP(trap_ud, "ud2");
TRAP(trap_hlt, "hlt");
TRAP(trap_icebp, ".byte 0xf1");
TRAP(trap_tf, "pushf; orl $0x100, (%rsp); popf; nop");
TRAP(trap_int3, "int3");
TRAP(trap_int2, "int $2");
TRAP(trap_int18, "int $18");
TRAP(trap_int32, "int $32");
TRAP(trap_fpu, "fninit");
TRAP(trap_sse, "xorps %xmm0, %xmm0");
TRAP(trap_jump, "movabsq $0x8000000000000000, %rax; jmp *%rax");
TRAP(trap_kernel, "movq $-4096, %rax; movq (%rax), %rax");
TRAP(trap_top, "movabsq $0x7fffffffeffe, %rax; jmp *%rax");
TRAP(trap_div, "xorl %ecx, %ecx; divl %ecx");
TRAP(trap_align, "pushf; orl $0x40000, (%rsp); popf; movl 1(%rsp), %eax; ud2");
TRAP(trap_nt, "pushf; orl $0x4000, (%rsp); popf; movl $18, %eax; syscall; ud2");
TRAP(trap_gs, "movl $0x1b, %eax; movl %eax, %gs; movl %eax, %fs; movl $18, %eax; syscall; ud2");

static void traps(handle_t count_mem)
{
	static void (*const code[])(void) = {
		trap_ud, trap_hlt, trap_icebp, trap_tf, trap_int3, trap_int2, trap_int18, trap_int32, trap_fpu, trap_sse,
		trap_jump, trap_kernel, trap_top, trap_div, trap_align, trap_nt, trap_gs,
	};

	for (u32 i = 0; i < ARRAY_SIZE(code); i++) {
		struct thread_args a = {.size = sizeof(a), .entry = (u64)code[i], .stack = INIT_STACK_TOP - 64};
		handle_t d = (handle_t)domain_create(MiB(4), "trap");
		s64 t, r;

		check(load(d, count_mem), "load", i);
		t = thread_create(d, &a);
		thread_set((handle_t)t, THREAD_START, 0);
		r = wait_end(d);
		check(r == 0x100, "a trap does not end its domain", (s64)i << 32 | (r & 0xffffffff));
		check(thread_create(d, &a) < 0, "a thread in a domain that has ended", i);
		handle_close((handle_t)t);
		handle_close(d);
	}
	handle_close((handle_t)domain_create(KiB(64), "never used"));
}

static struct host_info host(void)
{
	struct host_info h = {0};

	sys_ctl(system_handle, SYSOP_HOSTINFO, &h, sizeof(h));
	return h;
}

/* The largest quota that can be given away. */
static u64 largest_quota(void)
{
	u64 low = MiB(1), high = host().mem_total;

	while (high - low > KiB(4)) {
		u64 middle = ALIGN_DOWN(low + (high - low) / 2, KiB(4));
		s64 d = domain_create(middle, "quota");

		if (d > 0) {
			handle_close((handle_t)d);
			low = middle;
			sleep_ns(20000000); /* it comes back */
		} else {
			high = middle;
		}
	}
	return low;
}

static void all_back(u64 quota, u64 memory)
{
	u64 limit = rt_clock_ns() + RETURN_LIMIT;
	struct host_info h;
	s64 d;

	do {
		sleep_ns(20000000);
		d = domain_create(quota, "quota");
		handle_close((handle_t)MAX(d, 0));
		h = host();
	} while ((d <= 0 || h.mem_free + h.mem_kernel < memory) && rt_clock_ns() < limit);
	check(d > 0, "quota is missing", d);
	check(h.mem_free + h.mem_kernel >= memory, "memory is missing", (s64)(memory - h.mem_free - h.mem_kernel));
	check(!sys_ctl(system_handle, SYSOP_CHECK_TABLES, NULL, 0), "the kernel's tables", 0);
}

static void one_round(u64 *s, handle_t count_mem)
{
	s64 d, t, r;

	sleep_ns(100000000); /* what was only tried comes back */
	d = domain_create(BOX_QUOTA, "box");
	check(d > 0, "no box", d);
	handle_dup(count_mem, R_ALL, (handle_t)d);
	handle_dup(system_handle, R_STAT | R_INFO | R_WAIT | R_DUP, (handle_t)d);
	check(load((handle_t)d, count_mem), "load", 0);
	t = start((handle_t)d, ROLE_BOX, 0, rnd(s, 1ull << 32));
	check(t > 0, "no thread", t);
	handle_close((handle_t)t);
	r = wait_end((handle_t)d);
	check(r == 0, "the box ends", r);
	handle_close((handle_t)d);
}

static void root(const struct init_info *info)
{
	u64 seed = option_seed(info->cmdline), s = seed * 2 + 1, quota, memory;
	s64 count_mem;
	struct host_info h;

	system_handle = info->system;
	say("stress: seed=%lu", seed);
	count_mem = mem_create(PAGE_SIZE, 0);
	check(!mem_map(HANDLE_SELF, (handle_t)count_mem, COUNT_VA, 0, PAGE_SIZE, PROT_R | PROT_W), "map", 0);
	*counter = 0;
	traps((handle_t)count_mem);
	quota = largest_quota();
	h = host();
	memory = h.mem_free + h.mem_kernel;
	say("stress: traps done, quota %lu KiB", quota / 1024);
	for (u32 i = 0; i < ROUNDS; i++) {
		one_round(&s, (handle_t)count_mem);
		say("stress: round %u, %lu calls, kernel %lu KiB", i, *counter, host().mem_kernel / 1024);
		all_back(quota, memory);
	}
	say("stress: PASS");
	finish(0);
}

int program_main(void *arg)
{
	u64 a = (u64)arg;

	if (a == INIT_INFO_VA)
		root(arg);
	else if ((a & 0xff) == ROLE_BOX)
		box(a >> 8);
	else
		worker(a >> 8);
	return 0;
}
