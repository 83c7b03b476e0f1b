/*
 * A worker of the hostile program: calls with random and nearly right arguments on objects that all
 * workers share, and in between the same objects used as they should be, so that every call is
 * accepted and refused often.
 */
#include "lib/string.h"
#include "tests/ring3/stress.h"
#include "vmm/cpu_reset.h"

#define CODE_VA 0x10000ull /* of a child */
#define CHILD_QUOTA KiB(256)
#define CHILD_LIMIT 1000000000ull
#define GUEST_BYTES KiB(64)
#define GUEST_MAPPED ((1 + GUEST_TABLES) * PAGE_SIZE) /* by its monitor: code, tables */
#define EXHAUST_TRIES 40u
#define VM_EVERY 800u /* calls, one enters a vCPU at least */

static handle_t pool[48];
static struct vcpu_state state;

/* Started as a stray thread: calls for ever, on no stack. */
void stray(void);
__asm__("stray: movl $18, %eax\n"
	"	syscall\n"
	"	jmp stray\n");
static_assert(SYS_CLOCK_GET == 18, "used in assembly");

/* ---- Counting ---- */

static s64 made(u32 nr, s64 r)
{
	volatile struct board *b = BOARD;

	__atomic_fetch_add(&b->calls, 1, __ATOMIC_RELAXED);
	if (nr >= SYS_CALLS)
		return r;
	if (r >= 0)
		__atomic_fetch_add(&b->accepted[nr], 1, __ATOMIC_RELAXED);
	else if (r != -E_INTR && r != -E_TIMEOUT) /* those were carried out, and ended early */
		__atomic_fetch_add(&b->refused[nr], 1, __ATOMIC_RELAXED);
	return r;
}

#define CALL(...) CALL_6(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_6(nr, a, b, c, d, e, f, ...)                                                          \
	made(nr, sys_call6(nr, (u64)(a), (u64)(b), (u64)(c), (u64)(d), (u64)(e), (u64)(f)))

/* ---- Random arguments ---- */

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
		CALL(SYS_HANDLE_CLOSE, pool[slot]);
	pool[slot] = (handle_t)h;
}

static u64 page_va(u64 *s) { return SHARED_VA + rnd(s, SHARED_PAGES) * PAGE_SIZE; }

static void *pointer(u64 *s)
{
	static u8 buffer[4096];
	u64 how = rnd(s, 8);

	return how < 5	 ? buffer
	       : how < 7 ? (void *)(page_va(s) + rnd(s, 2) * 4000)
			 : (void *)(rnd(s, ~0ull) << 16);
}

static u64 deadline(u64 *s)
{
	u64 how = rnd(s, 40);

	return how == 0	  ? DEADLINE_NEVER
	       : how < 10 ? DEADLINE_POLL
			  : rt_clock_ns() + rnd(s, 300000);
}

static u64 pages(u64 *s) { return (rnd(s, 12) ? 1 + rnd(s, 8) : 1 + rnd(s, 1500)) * PAGE_SIZE; }

/* ---- Random calls ---- */

static void call_objects(u64 *s)
{
	u32 rights = rnd(s, 3) ? R_ALL : (u32)rnd(s, 0x10000), nr;

	switch (rnd(s, 9)) {
	case 0:
	case 1: keep(s, CALL(SYS_HANDLE_DUP, pick(s), rights, domain_or_self(s))); break;
	case 2:
	case 3: CALL(SYS_HANDLE_CLOSE, pick(s)); break;
	case 4:
	case 5: CALL(SYS_HANDLE_INFO, pick(s), pointer(s), rnd(s, 400)); break;
	case 6: CALL(SYS_HANDLE_REVOKE, pick(s)); break;
	case 7:
		keep(s,
		     CALL(SYS_DOMAIN_CREATE, KiB(64) << rnd(s, 6), rnd(s, 9) ? pool : pointer(s)));
		break;
	case 8:
		nr = rnd(s, 64) ? 1000 : (u32)rnd(s, SYS_CALLS);
		if (nr != SYS_DOMAIN_EXIT || !rnd(s, 8))
			CALL(nr, rnd(s, ~0ull), rnd(s, ~0ull), rnd(s, ~0ull));
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
		keep(s, CALL(SYS_THREAD_CREATE, domain_or_self(s), &a));
		break;
	case 1: CALL(SYS_THREAD_SET, pick(s), THREAD_AFFINITY, 1 + rnd(s, 3)); break;
	case 2: CALL(SYS_THREAD_SET, pick(s), THREAD_WEIGHT + rnd(s, 5), rnd(s, 200)); break;
	case 3: CALL(SYS_THREAD_SET, pick(s), rnd(s, 2) ? THREAD_START : THREAD_STOP); break;
	}
}

static void call_memory(u64 *s)
{
	switch (rnd(s, 4)) {
	case 0: keep(s, CALL(SYS_MEM_CREATE, pages(s), rnd(s, 4))); break;
	case 1:
	case 2:
		CALL(SYS_MAP, domain_or_self(s), pick(s), page_va(s), rnd(s, 3) * PAGE_SIZE,
		     pages(s), 1 + rnd(s, 5));
		break;
	case 3: CALL(SYS_UNMAP, domain_or_self(s), page_va(s), pages(s)); break;
	}
}

static void call_signals(u64 *s)
{
	struct port_packet packet[4];

	switch (rnd(s, 8)) {
	case 0: keep(s, CALL(SYS_EVENT_CREATE)); break;
	case 1: CALL(SYS_EVENT_SIGNAL, pick(s), rnd(s, 4)); break;
	case 2: CALL(SYS_EVENT_WAIT, pick(s), deadline(s)); break;
	case 3: keep(s, CALL(SYS_PORT_CREATE)); break;
	case 4: CALL(SYS_PORT_BIND, pick(s), pick(s), rnd(s, 100)); break;
	case 5:
		CALL(SYS_PORT_WAIT, pick(s), rnd(s, 9) ? packet : pointer(s), 1 + rnd(s, 4),
		     deadline(s));
		break;
	case 6: CALL(SYS_TIMER_SET, pick(s), rnd(s, 9) ? deadline(s) : rnd(s, ~0ull)); break;
	case 7: CALL(SYS_CTL, pick(s), SYSOP_HOSTINFO, pointer(s), sizeof(struct host_info)); break;
	}
}

static void call_channels(u64 *s)
{
	switch (rnd(s, 4)) {
	case 0: keep(s, CALL(SYS_CHANNEL_CREATE)); break;
	case 1: CALL(SYS_CHANNEL_CALL, pick(s), rnd(s, 66)); break;
	default: CALL(SYS_CHANNEL_REPLY_WAIT, pick(s), rnd(s, 66), deadline(s)); break;
	}
}

static void call_vm(u64 *s)
{
	s64 h;

	switch (rnd(s, 12)) {
	case 0: /* a domain has one VM at most: mostly left to use_vm */
		h = CALL(SYS_VM_CREATE);
		if (h > 0 && rnd(s, 4))
			CALL(SYS_HANDLE_CLOSE, h);
		else
			keep(s, h);
		break;
	case 1:
		CALL(SYS_MAP, pick(s), pick(s), rnd(s, 8) * PAGE_SIZE, 0, rnd(s, 6) * PAGE_SIZE,
		     rnd(s, 8));
		break;
	case 2: CALL(SYS_UNMAP, pick(s), rnd(s, 8) * PAGE_SIZE, rnd(s, 6) * PAGE_SIZE); break;
	case 3: CALL(SYS_VM_MSI, pick(s), 0xfee00000, rnd(s, 256)); break;
	case 4:
	case 5: keep(s, CALL(SYS_VCPU_CREATE, pick(s), rnd(s, 3), page_va(s))); break;
	case 6: CALL(SYS_VCPU_KICK, pick(s)); break;
	case 7: CALL(SYS_VCPU_GET, pick(s), &state); break;
	case 8:
		state.size = sizeof(state);
		state.groups = (u32)rnd(s, 256);
		CALL(SYS_VCPU_SET, pick(s), &state);
		break;
	case 9: CALL(SYS_VCPU_RUN, pick(s)); break;
	case 10: CALL(SYS_VM_POLICY, pick(s), rnd(s, 2) ? pointer(s) : &state); break;
	case 11:
		CALL(SYS_VM_IRQ_BIND, pick(s), pick(s), rnd(s, 2) * 0xfee00000, rnd(s, 0x10000));
		break;
	}
}

/*
 * ---- As it should be: what is used is closed. Other threads disturb it, so nothing is certain to
 * work. ----
 */

static void close_all(const s64 *h, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if (h[i] > 0)
			CALL(SYS_HANDLE_CLOSE, h[i]);
}

static void use_signals(u64 *s, u32 me)
{
	struct port_packet packet;
	struct object_info info;
	s64 h[] = {CALL(SYS_EVENT_CREATE), CALL(SYS_PORT_CREATE), 0};

	h[2] = CALL(SYS_HANDLE_DUP, h[0], R_SIGNAL | R_WAIT | R_INFO, HANDLE_SELF);
	CALL(SYS_HANDLE_INFO, h[2], &info, sizeof(info));
	CALL(SYS_EVENT_SIGNAL, h[2], 1);
	CALL(SYS_EVENT_WAIT, h[0], DEADLINE_POLL);
	CALL(SYS_PORT_BIND, h[1], h[0], 7);
	CALL(SYS_TIMER_SET, h[0], rt_clock_ns() + rnd(s, 20000));
	CALL(SYS_PORT_WAIT, h[1], &packet, 1, rt_clock_ns() + 1000000);
	close_all(h, ARRAY_SIZE(h));
}

static void use_memory(u64 *s, u32 me)
{
	u64 va = SCRATCH_VA + me * PAGE_SIZE;
	s64 h = CALL(SYS_MEM_CREATE, PAGE_SIZE, rnd(s, 2));

	if (!CALL(SYS_MAP, HANDLE_SELF, h, va, 0, PAGE_SIZE, PROT_R | PROT_W))
		*(volatile u64 *)va = 1; /* a page fault */
	CALL(SYS_UNMAP, HANDLE_SELF, va, PAGE_SIZE);
	close_all(&h, 1);
}

static void use_thread(u64 *s, u32 me)
{
	struct thread_args a = {.size = sizeof(a), .entry = (u64)stray, .stack = SHARED_VA};
	s64 h = CALL(SYS_THREAD_CREATE, HANDLE_SELF, &a);

	CALL(SYS_THREAD_SET, h, THREAD_WEIGHT, 1 + rnd(s, 200));
	CALL(SYS_THREAD_SET, h, THREAD_START);
	CALL(SYS_CLOCK_GET);
	CALL(SYS_HANDLE_REVOKE, h);
	close_all(&h, 1);
}

/* The child's only page: text that does what its kind says. */
static s64 child_text(u32 me, enum child kind, u8 status)
{
	u64 va = SCRATCH_VA + me * PAGE_SIZE;
	u8 code[CHILDREN][16] = {
		[CHILD_EXITS] = {0xbf, status, 0, 0, 0, 0xb8, SYS_DOMAIN_EXIT, 0, 0, 0, 0x0f,
				 0x05},			  /* mov, mov, syscall */
		[CHILD_FAULTS] = {0xa2, 0, 0, 0, status}, /* mov %al, address */
		[CHILD_LOOPS] = {0xeb, 0xfe},		  /* jmp . */
	};
	s64 mem = CALL(SYS_MEM_CREATE, PAGE_SIZE, 0);

	if (!CALL(SYS_MAP, HANDLE_SELF, mem, va, 0, PAGE_SIZE, PROT_R | PROT_W))
		memcpy((void *)va, code[kind], sizeof(code[kind]));
	CALL(SYS_UNMAP, HANDLE_SELF, va, PAGE_SIZE);
	return mem;
}

/*
 * A domain that exits or faults by itself, or is ended while it loops: its end is told, with its
 * status.
 */
static void use_child(u64 *s, u32 me)
{
	struct thread_args a = {.size = sizeof(a), .entry = CODE_VA};
	enum child kind = rnd(s, 3) ? CHILD_EXITS : rnd(s, 2) ? CHILD_FAULTS : CHILD_LOOPS;
	u8 status = (u8)(1 + rnd(s, 100));
	u64 expected[] = {[CHILD_EXITS] = status, [CHILD_FAULTS] = 0x100, [CHILD_LOOPS] = 0x101};
	struct port_packet packet = {0};
	s64 h[] = {CALL(SYS_DOMAIN_CREATE, CHILD_QUOTA, pool), child_text(me, kind, status),
		   CALL(SYS_PORT_CREATE), 0};

	CALL(SYS_MAP, h[0], h[1], CODE_VA, 0, PAGE_SIZE, PROT_R | PROT_X);
	h[3] = CALL(SYS_THREAD_CREATE, h[0], &a);
	CALL(SYS_PORT_BIND, h[2], h[0], 1);
	CALL(SYS_THREAD_SET, h[3], THREAD_START);
	if (kind == CHILD_LOOPS) {
		CALL(SYS_EVENT_WAIT, h[2], 0); /* refused: a port */
		CALL(SYS_HANDLE_REVOKE, h[0]);
	}
	CALL(SYS_PORT_WAIT, h[2], &packet, 1, rt_clock_ns() + CHILD_LIMIT);
	if (packet.key == 1 && packet.bits == expected[kind]) {
		__atomic_fetch_add(&BOARD->children[kind], 1, __ATOMIC_RELAXED);
		if (kind == CHILD_EXITS)
			made(SYS_DOMAIN_EXIT, 0);
	}
	close_all(h, ARRAY_SIZE(h));
}

/* What CPUID tells: row numbers that lead out of the table, if the kernel followed them. */
static const struct vm_policy *any_policy(u64 *s)
{
	static struct vm_policy policy = {.size = sizeof(policy)};

	policy.first[rnd(s, CPUID_RANGES)][rnd(s, CPUID_LEAVES)] = (u8)rnd(s, 256);
	policy.row[rnd(s, CPUID_ROWS)] =
		(struct cpuid_row){.kind = (u32)rnd(s, 5), .more = (u32)rnd(s, ~0ull)};
	return &policy;
}

/* A VM that runs a few instructions: they leave to its monitor, wait in HLT, or never end. */
static void use_vm(u64 *s, u32 me)
{
	/* out %al, $0x80; jmp back    hlt; jmp back    jmp .    cpuid; jmp back */
	static const u8 guest[][4] = {{0xe6, 0x80, 0xeb, 0xfc},
				      {0xf4, 0xeb, 0xfd},
				      {0xeb, 0xfe},
				      {0x0f, 0xa2, 0xeb, 0xfc}};
	/* Seldom the same pages: the run page of the VM before goes some time after it. */
	u64 va = SCRATCH_VA + (8 + 8 * rnd(s, 256)) * PAGE_SIZE;
	s64 h[] = {CALL(SYS_VM_CREATE), CALL(SYS_MEM_CREATE, GUEST_BYTES, MEM_GUEST), 0, 0};

	cpu_power_on(&state, 0);
	if (!CALL(SYS_MAP, HANDLE_SELF, h[1], va, 0, GUEST_MAPPED, PROT_R | PROT_W)) {
		memcpy((void *)va, guest[rnd(s, 6) ? 0 : rnd(s, ARRAY_SIZE(guest))],
		       sizeof(guest[0]));
		guest_long_mode(&state, (u64 *)(va + PAGE_SIZE), PAGE_SIZE);
	}
	CALL(SYS_MAP, h[0], h[1], 0, 0, GUEST_BYTES, PROT_R | PROT_W);
	CALL(SYS_VM_POLICY, h[0], any_policy(s));
	h[2] = CALL(SYS_VCPU_CREATE, h[0], 0, va + GUEST_MAPPED);
	state.rip = 0;
	CALL(SYS_VCPU_SET, h[2], &state);
	state.groups = STATE_SEG | STATE_GPR;
	if (!CALL(SYS_VCPU_GET, h[2], &state))
		CALL(SYS_VCPU_SET, h[2], &state);
	CALL(SYS_VM_MSI, h[0], 0xfee00000, 0x40);
	h[3] = CALL(SYS_EVENT_CREATE);
	CALL(SYS_VM_IRQ_BIND, h[0], h[3], 0xfee00000, 0x41);
	CALL(SYS_EVENT_SIGNAL, h[3], 1);
	for (u32 i = 0; i < 4 && !CALL(SYS_VCPU_RUN, h[2]); i++)
		CALL(SYS_VCPU_KICK, h[2]);
	CALL(SYS_UNMAP, h[0], 0, GUEST_BYTES);
	CALL(SYS_UNMAP, HANDLE_SELF, va, GUEST_MAPPED);
	CALL(SYS_HANDLE_REVOKE, h[0]);
	close_all(h, ARRAY_SIZE(h));
}

/* One thread calls, another serves: whoever meets whom on a channel that all workers have. */
static void use_channel(u64 *s, u32 me)
{
	handle_t channel = (handle_t)(1 << 16 | SHARED_CHANNEL);

	if (me == 0)
		for (u32 i = 0; i < 8; i++)
			CALL(SYS_CHANNEL_REPLY_WAIT, channel, rnd(s, MSG_WORDS),
			     rt_clock_ns() + 100000);
	else
		CALL(SYS_CHANNEL_CALL, channel, rnd(s, MSG_WORDS));
}

static void use_system(u64 *s, u32 me)
{
	struct log_read log = {.buf = (u64)&state, .bytes = 300};
	struct host_info info;
	handle_t system = (handle_t)(1 << 16 | SHARED_SYSTEM);

	CALL(SYS_CTL, system, SYSOP_HOSTINFO, &info, sizeof(info));
	CALL(SYS_CTL, system, SYSOP_LOG_WRITE, "3stress", 7);
	CALL(SYS_CTL, system, SYSOP_LOG_READ, &log, sizeof(log));
	CALL(SYS_CTL, system, rnd(s, 2) ? SYSOP_POWER : SYSOP_REBOOT, &log, 8);
}

/* Uses up what is left of the quota, and sees every call that needs some of it refused. */
static void exhaust(u64 *s, u32 me)
{
	struct thread_args a = {.size = sizeof(a), .entry = (u64)stray};
	s64 h[128] = {0};
	u32 n = 0;

	for (u64 bytes = MiB(8); bytes >= PAGE_SIZE && n < 60; bytes /= 2)
		for (u32 i = 0; i < 8 && (h[n] = CALL(SYS_MEM_CREATE, bytes, 0)) > 0; i++)
			n++;
	while (n < ARRAY_SIZE(h) && (h[n] = CALL(SYS_EVENT_CREATE)) > 0)
		n++;
	if (n < ARRAY_SIZE(h) && h[n] == -E_NOMEM)
		__atomic_fetch_add(&BOARD->exhausted, 1, __ATOMIC_RELAXED);
	for (u32 i = 0; i < EXHAUST_TRIES; i++) {
		s64 got[] = {CALL(SYS_EVENT_CREATE),
			     CALL(SYS_PORT_CREATE),
			     CALL(SYS_CHANNEL_CREATE),
			     CALL(SYS_MEM_CREATE, MiB(4), rnd(s, 4)),
			     CALL(SYS_THREAD_CREATE, HANDLE_SELF, &a),
			     CALL(SYS_DOMAIN_CREATE, MiB(4), pool),
			     CALL(SYS_VM_CREATE)};

		close_all(got, ARRAY_SIZE(got));
	}
	close_all(h, MIN(n, (u32)ARRAY_SIZE(h)));
}

/* The end of this worker, sooner or later; its box starts another. */
static void misbehave(u64 *s, u32 me)
{
	switch (rnd(s, 3)) {
	case 0: *(volatile u32 *)(rnd(s, 2) ? 0 : ~0xfffull) = 1; break;
	case 1: CALL(SYS_DOMAIN_EXIT, 3);
	default:
		for (;;)
			;
	}
}

void worker(u32 index, u64 seed)
{
	static void (*const random[])(u64 * s) = {
		call_objects, call_threads,  call_memory, call_signals,
		call_signals, call_channels, call_vm,
	};
	static void (*const proper[])(u64 * s, u32 me) = {
		use_signals, use_memory, use_thread, use_child,	  use_child,   use_child,  use_vm,
		use_vm,	     use_vm,	 use_vm,     use_channel, use_channel, use_system,
	};
	u64 s = seed * 0x9e3779b97f4a7c15ull | 1;

	for (;;) {
		u64 how = rnd(&s, 8000);

		if (how == 0)
			misbehave(&s, index);
		else if (how < 8)
			exhaust(&s, index);
		else if (how < 1000 && !index &&
			 BOARD->accepted[SYS_VCPU_RUN] * VM_EVERY < BOARD->calls)
			use_vm(&s, index); /* what others disturb most often; a domain has one VM */
		else if (how < 1000)
			proper[rnd(&s, ARRAY_SIZE(proper))](&s, index);
		else
			random[rnd(&s, ARRAY_SIZE(random))](&s);
	}
}
