/*
 * VMs are destroyed in every state that they can be in: the root task of a test image. Each time
 * the domain must be gone soon, and then everything that it had. Boot options: seed=N, rounds=N for
 * each state, big=N (MiB) for the VM whose memory is populated. Figures are in ticks of the TSC:
 * instructions under QEMU's -icount shift=0.
 */
#include "lib/string.h"
#include "tests/ring3/self.h"
#include "vmm/cpu_reset.h"

#define BOARD_VA 0x10000000ull
#define GUEST_VA 0x200000000ull /* the guest's memory, in its monitor */
#define RUN_VA 0x21000000ull
#define RUN ((const volatile struct vcpu_run *)RUN_VA)
#define WATCHED_VA 0x22000000ull /* in the root task: the first page of the guest that is watched */
#define SMALL_BYTES MiB(4)
#define QUOTA_BESIDE MiB(8) /* page tables, image, stack */
#define END_LIMIT 60000000000ull
#define CPUID_7_ECX_UMIP (1u << 2)
#define GDT_MOST 256
#define TABLES_BYTES MiB(64)
#define HEAP_KEEPS MiB(12) /* free pages that stay, and blocks of which some are used */
#define BACK_LIMIT 60000000000ull
#define POLL_NS 20000ull
#define STORM 100ull
#define HANDLES_MOST 5000u		       /* a domain has room for fewer */
#define HANDLE_GIVEN ((handle_t)(1 << 16 | 1)) /* what the root task put into a monitor's table */

enum role { ROLE_NONE, ROLE_MONITOR };

enum state {
	NOT_STARTED, /* no thread runs in the domain */
	CREATED,     /* VM and vCPU are there, the monitor's thread is stopped */
	LOOP,	     /* the guest loops */
	HALTED,	     /* the guest is in HLT */
	SIPI,	     /* its vCPU waits for a SIPI */
	MONITOR,     /* the monitor loops */
	WAITING,     /* the monitor waits at an event */
	CALLING,     /* the monitor is in a channel_call that nobody answers */
	POPULATE,    /* memory is being populated by the monitor */
	TOUCH,	     /* memory is being populated by the guest */
	EXITS,	     /* an exit storm that the kernel handles */
	PORTS,	     /* an exit storm that the monitor handles */
	TWICE,	     /* it is being destroyed already */
	STATES,
	WATCHED = 15, /* not destroyed: it keeps the longest time between two of its instructions */
};

static const char *const state_name[STATES] = {
	"not-started", "created",  "loop",  "halted", "wait-sipi",  "monitor", "waiting",
	"calling",     "populate", "touch", "exits",  "port-exits", "twice",
};

struct board {
	u64 ready; /* the monitor has reached its state, or is about to */
	u64 bytes; /* of the guest's memory */
};
#define BOARD ((volatile struct board *)BOARD_VA)

/* At this offset in the watched guest's memory. */
#define STALL_OFFSET 0x800
#define TABLES 0x1000 /* in a guest's memory */
#define WATCHED_STALL (*(volatile u32 *)(WATCHED_VA + STALL_OFFSET))

/* ---- Guests, in 64-bit mode; esi = bytes of memory ---- */

#define GUEST(name, code)                                                                          \
	extern const u8 guest_##name[], guest_##name##_end[];                                      \
	__asm__(".section .rodata\nguest_" #name ":\n" code "\nguest_" #name "_end:\n.text\n")
/* Writes to each 2 MiB but the first, and says so. */
#define TOUCH_ALL                                                                                  \
	"movl $0x200000, %edi\n"                                                                   \
	"8: cmpl %esi, %edi\n"                                                                     \
	"jae 9f\n"                                                                                 \
	"movb $1, (%rdi)\n"                                                                        \
	"addl $0x200000, %edi\n"                                                                   \
	"jmp 8b\n"                                                                                 \
	"9: outb %al, $0x80\n"

GUEST(loop, TOUCH_ALL "1: jmp 1b");
GUEST(hlt, TOUCH_ALL "1: hlt\njmp 1b");
GUEST(cpuid, TOUCH_ALL "1: xorl %eax, %eax\ncpuid\njmp 1b");
GUEST(ports, TOUCH_ALL "1: outb %al, $0x80\njmp 1b");
GUEST(touch, "outb %al, $0x80\n" TOUCH_ALL "1: jmp 1b");
GUEST(watched, "outb %al, $0x80\n"
	       "rdtsc\n"
	       "1: movl %eax, %ecx\n"
	       "rdtsc\n"
	       "movl %eax, %ebx\n"
	       "subl %ecx, %ebx\n"
	       "cmpl %ebx, 0x800\n"
	       "jae 1b\n"
	       "movl %ebx, 0x800\n"
	       "jmp 1b");

static const struct {
	const u8 *code, *end;
} guests[] = {
	[LOOP] = {guest_loop, guest_loop_end},		[HALTED] = {guest_hlt, guest_hlt_end},
	[EXITS] = {guest_cpuid, guest_cpuid_end},	[PORTS] = {guest_ports, guest_ports_end},
	[TOUCH] = {guest_touch, guest_touch_end},	[TWICE] = {guest_loop, guest_loop_end},
	[WATCHED] = {guest_watched, guest_watched_end},
};

/* ---- The monitor of a VM ---- */

static void must(s64 r)
{
	if (r < 0)
		domain_exit((u32)-r); /* the root task sees a status that it does not expect */
}

static void set_state(handle_t vcpu, u64 bytes, u32 activity)
{
	static struct vcpu_state s;

	cpu_power_on(&s, 0);
	guest_long_mode(&s, (u64 *)(GUEST_VA + TABLES), TABLES);
	s.rip = 0;
	s.gpr[GPR_RSI] = bytes;
	s.event.activity = activity;
	must(vcpu_set(vcpu, &s));
}

static handle_t vm_make(enum state state)
{
	u64 bytes = state == WATCHED ? PAGE_2M : BOARD->bytes;
	s64 vm = vm_create(), vcpu;
	s64 mem = state == WATCHED ? HANDLE_GIVEN : mem_create(bytes, MEM_GUEST);

	must(vm);
	must(mem);
	must(mem_map(HANDLE_SELF, (handle_t)mem, GUEST_VA, 0, bytes, PROT_R | PROT_W));
	if (state != TOUCH)
		rt_populate((void *)GUEST_VA, bytes);
	if (state < ARRAY_SIZE(guests) && guests[state].code)
		memcpy((void *)GUEST_VA, guests[state].code,
		       (size_t)(guests[state].end - guests[state].code));
	must(mem_map((handle_t)vm, (handle_t)mem, 0, 0, bytes, PROT_R | PROT_W));
	vcpu = vcpu_create((handle_t)vm, 0, RUN_VA);
	must(vcpu);
	set_state((handle_t)vcpu, bytes, state == SIPI ? VCPU_WAIT_SIPI : VCPU_RUNNABLE);
	return (handle_t)vcpu;
}

/*
 * The kernel's GDT ends where it did before the guest ran: an exit of VT-x leaves a limit of 64
 * KiB, and ring 3 could name what lies behind it as a descriptor. Seen where UMIP doesn't hide it.
 */
static void gdt_as_before(void)
{
	u32 leaf = 7, ebx, ecx = 0, edx;
	struct {
		u16 limit;
		u64 base;
	} __packed gdtr = {0};

	__asm__ volatile("cpuid" : "+a"(leaf), "=b"(ebx), "+c"(ecx), "=d"(edx));
	if (!(ecx & CPUID_7_ECX_UMIP))
		__asm__ volatile("sgdt %0" : "=m"(gdtr));
	must(gdtr.limit < GDT_MOST ? 0 : -E_INVAL);
}

/* No guest leaves the kernel otherwise than by OUT. */
static void run(handle_t vcpu) { must(vcpu_run(vcpu) || RUN->exit == RUN_EXIT_IO ? 0 : -E_INVAL); }

static void make_and_populate(void)
{
	handle_t mem = (handle_t)mem_create(BOARD->bytes, MEM_GUEST);

	must(mem_map(HANDLE_SELF, mem, GUEST_VA, 0, BOARD->bytes, PROT_R));
	rt_populate((void *)GUEST_VA, BOARD->bytes);
	must(mem_unmap(HANDLE_SELF, GUEST_VA, BOARD->bytes));
	handle_close(mem);
}

/* Brings the VM into the state and stays there. The guests' first OUT says that they have begun. */
static void monitor(enum state state)
{
	handle_t vcpu = state == POPULATE ? HANDLE_NONE : vm_make(state);

	if (vcpu && state < ARRAY_SIZE(guests) && guests[state].code)
		run(vcpu);
	gdt_as_before();
	BOARD->ready = 1;
	for (;;) {
		switch (state) {
		case CREATED: thread_set(HANDLE_GIVEN, THREAD_STOP, 0); break; /* its own thread */
		case MONITOR: break;
		case WAITING: event_wait(HANDLE_GIVEN, DEADLINE_NEVER); break;
		case CALLING: channel_call(HANDLE_GIVEN, 1); break;
		case POPULATE: make_and_populate(); break;
		default: run(vcpu);
		}
	}
}

/* ---- The root task ---- */

static handle_t board, event, channel, watched_mem;

struct victim {
	handle_t domain, thread, again; /* again: a second handle of the domain */
};

/* What the kernel itself does with the guest's instructions. */
static bool in_state(const struct victim *v, enum state state)
{
	struct domain_info i = {0};

	handle_info(v->domain, &i, sizeof(i));
	switch (state) {
	case HALTED: return i.vcpu_state[0] == 1 + VCPU_HALTED;
	case SIPI: return i.vcpu_state[0] == 1 + VCPU_WAIT_SIPI;
	case EXITS: return i.exits[STAT_CPUID] >= STORM;
	case PORTS: return i.exits[STAT_USER] >= STORM;
	default: return true;
	}
}

/* Makes the VM and waits until it is in its state. */
static void begin(struct victim *v, enum state state, u64 bytes, handle_t given)
{
	u64 limit = rt_clock_ns() + END_LIMIT;
	s64 d = domain_create(bytes + QUOTA_BESIDE, "a VM that is to be destroyed    "), t;

	*v = (struct victim){0};
	BOARD->ready = 0;
	BOARD->bytes = bytes;
	check(d > 0 && load((handle_t)d, board, BOARD_VA), "no domain", d);
	v->domain = (handle_t)d;
	v->again = (handle_t)handle_dup(v->domain, R_REVOKE, HANDLE_SELF);
	if (state == NOT_STARTED)
		return;
	t = thread_make(v->domain, 0, (u64)state << 4 | ROLE_MONITOR);
	check(t > 0, "no thread", t);
	v->thread = (handle_t)t;
	handle_dup(given ? given : v->thread, R_ALL, v->domain);
	thread_set(v->thread, THREAD_START, 0);
	while (!(BOARD->ready && in_state(v, state)) && rt_clock_ns() < limit)
		sleep_ns(POLL_NS);
	check(BOARD->ready && in_state(v, state), "a VM is not in the state", state);
}

static u64 ticks(void)
{
	u32 low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high));
	return (u64)high << 32 | low;
}

/* Destroys it. Returns how long it took until none of its threads was there any more. */
static u64 destroy(struct victim *v, enum state state)
{
	struct port_packet packet = {0};
	s64 port = port_create();
	u64 from;

	check(!port_bind((handle_t)port, v->domain, 1), "bind", state);
	from = ticks();
	check(!handle_revoke(v->domain), "revoke", state);
	if (state == TWICE)
		check(handle_revoke(v->again) == -E_DEAD, "destroyed twice", state);
	check(port_wait((handle_t)port, &packet, 1, rt_clock_ns() + END_LIMIT) == 1,
	      "it does not end", state);
	from = ticks() - from;
	check(packet.bits == 0x101, "it ended by itself", (s64)((u64)state << 32 | packet.bits));
	handle_close((handle_t)port);
	handle_close(v->domain);
	handle_close(v->again);
	if (v->thread)
		handle_close(v->thread);
	return from;
}

static u64 bytes_for(enum state state, u64 big)
{
	return state == POPULATE || state == TOUCH || state == TWICE ? big : SMALL_BYTES;
}

static void each_state(u64 *s, u64 rounds, u64 big, const struct balance *before)
{
	for (u32 state = 0; state < STATES; state++) {
		handle_t given = state == WAITING   ? event
				 : state == CALLING ? channel
						    : HANDLE_NONE;
		u64 longest = 0, took;

		for (u32 i = 0; i < rounds; i++) {
			struct victim v;

			begin(&v, state, bytes_for(state, big), given);
			sleep_ns(rnd(s, 2000000));
			took = destroy(&v, state);
			longest = MAX(longest, took);
			balance_check(before, state_name[state], BACK_LIMIT);
		}
		say("%s: unreachable after %lu ticks at most", state_name[state], longest);
	}
}

static u64 cpu_ns(const struct victim *v)
{
	struct domain_info i = {0};

	handle_info(v->domain, &i, sizeof(i));
	return i.cpu_ns;
}

/* Does it get CPU time, or, !runs, none any more? */
static bool comes_to(const struct victim *v, bool runs)
{
	u64 limit = rt_clock_ns() + END_LIMIT, before;

	do {
		before = cpu_ns(v);
		sleep_ns(2000000);
	} while ((cpu_ns(v) != before) != runs && rt_clock_ns() < limit);
	return (cpu_ns(v) != before) == runs;
}

/* A thread whose guest leaves it by nothing of its own is stopped, goes on, and is revoked. */
static void stop_and_revoke(u64 *s, u64 rounds, const struct balance *before)
{
	struct victim v;

	for (u32 i = 0; i < rounds; i++) {
		begin(&v, LOOP, SMALL_BYTES, HANDLE_NONE);
		sleep_ns(rnd(s, 2000000));
		thread_set(v.thread, THREAD_STOP, 0);
		check(comes_to(&v, false), "a stopped thread runs on in its guest", i);
		thread_set(v.thread, THREAD_START, 0);
		check(comes_to(&v, true), "a thread does not go on", i);
		destroy(&v, LOOP);

		begin(&v, LOOP, SMALL_BYTES, HANDLE_NONE);
		sleep_ns(rnd(s, 2000000));
		check(!handle_revoke(v.thread), "revoke", i);
		check(wait_end(v.domain, END_LIMIT) >= 0, "a revoked thread runs on in its guest",
		      i);
		handle_close(v.thread);
		handle_close(v.domain);
		handle_close(v.again);
		balance_check(before, "after a thread's end", BACK_LIMIT);
	}
}

/* A VM with all its memory populated and in its nested tables, beside one that is watched. */
static void big_one(u64 big, const struct balance *before)
{
	struct victim watched, v;
	u64 from, free, beside;

	begin(&watched, WATCHED, SMALL_BYTES, watched_mem);
	sleep_ns(20000000);
	free = host().mem_free;
	begin(&v, LOOP, big, HANDLE_NONE);
	WATCHED_STALL = 0;
	/* a busy machine may give its CPU nothing for that long */
	for (u32 i = 0; i < 1000 && !WATCHED_STALL; i++)
		sleep_ns(20000000);
	beside = WATCHED_STALL;
	check(beside > 0, "the watched VM does not run", 0);
	WATCHED_STALL = 0;
	from = ticks();
	destroy(&v, LOOP);
	/* All but what page tables and the kernel's heap may keep. */
	while (host().mem_free + MiB(4) < free)
		sleep_ns(POLL_NS);
	from = ticks() - from;
	sleep_ns(1000000);
	say("memory back after %lu ticks; another VM's longest stall %lu ticks, %lu while both ran",
	    from, (u64)WATCHED_STALL, beside);
	destroy(&watched, WATCHED);
	balance_check(before, "after the big VM", BACK_LIMIT);
}

/*
 * A program that makes all its quota page tables, one for each page that it maps, doesn't leave the
 * machine with that much more heap and less memory for others.
 */
static void heap_back(const struct balance *before)
{
	handle_t d = (handle_t)domain_create(TABLES_BYTES, "a table for each page           ");
	struct host_info then = host();
	u64 va = PAGE_2M, end;
	u64 grown;

	while (!mem_map(d, watched_mem, va, 0, PAGE_SIZE, PROT_R))
		va += PAGE_2M;
	grown = host().mem_kernel - then.mem_kernel;
	check(grown > TABLES_BYTES / 2, "the heap hardly grew: bytes", (s64)grown);
	handle_revoke(d);
	handle_close(d);
	balance_check(before, "after many page tables", BACK_LIMIT);
	end = rt_clock_ns() + BACK_LIMIT;
	while (host().mem_kernel > then.mem_kernel + HEAP_KEEPS && rt_clock_ns() < end)
		sleep_ns(POLL_NS);
	check(host().mem_kernel <= then.mem_kernel + HEAP_KEEPS, "bytes stay in the heap",
	      (s64)(host().mem_kernel - then.mem_kernel));
}

/* A thread for which its maker's table has no room is not left where nobody can end it. */
static void no_room_for_a_handle(void)
{
	static handle_t more[HANDLES_MOST];
	u64 limit = rt_clock_ns() + END_LIMIT;
	struct domain_info i = {0};
	handle_t d = (handle_t)domain_create(QUOTA_BESIDE, "its threads have no handles     ");
	u32 n = 0;
	s64 h;

	check(load(d, board, BOARD_VA), "no domain", d);
	while (n < HANDLES_MOST && (h = handle_dup(event, R_SIGNAL, HANDLE_SELF)) > 0)
		more[n++] = (handle_t)h;
	check(n < HANDLES_MOST, "handles without end", n);
	h = thread_make(d, 0, ROLE_MONITOR);
	check(h == -E_NOMEM, "a thread without room for its handle", h);
	while (n)
		handle_close(more[--n]);
	do {
		sleep_ns(POLL_NS);
		handle_info(d, &i, sizeof(i));
	} while (i.threads && rt_clock_ns() < limit);
	check(!i.threads, "a thread that nobody can end: threads", i.threads);
	handle_close(d);
}

/* Pages of it that are touched for the first time later would count as lost. */
static void touch_stack(void)
{
	volatile u8 room[4 * PAGE_SIZE];

	for (u64 at = 0; at < sizeof(room); at += PAGE_SIZE / 2)
		room[at] = 0;
}

static void root(const struct init_info *info)
{
	u64 seed = option(info->cmdline, "seed=", rt_clock_ns()),
	    rounds = option(info->cmdline, "rounds=", 10);
	u64 s = seed * 2 + 1, big = MiB(option(info->cmdline, "big=", 1024));
	struct balance before;
	struct victim first;

	self_init("destroy", info->system);
	say("seed=%lu rounds=%lu", seed, rounds);
	board = (handle_t)mem_create(PAGE_SIZE, 0);
	check(!mem_map(HANDLE_SELF, board, BOARD_VA, 0, PAGE_SIZE, PROT_R | PROT_W), "map", board);
	watched_mem = (handle_t)mem_create(PAGE_2M, MEM_GUEST);
	check(!mem_map(HANDLE_SELF, watched_mem, WATCHED_VA, 0, PAGE_SIZE, PROT_R | PROT_W), "map",
	      watched_mem);
	WATCHED_STALL = 0;
	event = (handle_t)event_create();
	channel = (handle_t)channel_create();
	begin(&first, LOOP, SMALL_BYTES,
	      HANDLE_NONE); /* what this program needs itself is there from now on */
	destroy(&first, LOOP);
	no_room_for_a_handle();
	touch_stack();
	before = balance_take();
	each_state(&s, rounds, big, &before);
	stop_and_revoke(&s, rounds, &before);
	big_one(big, &before);
	heap_back(&before);
	say("PASS");
	finish(0);
}

int program_main(void *arg)
{
	u64 a = (u64)arg;

	if (a == INIT_INFO_VA)
		root(arg);
	if ((a & 15) == ROLE_MONITOR)
		monitor((enum state)(a >> 4 & 15));
	return 0;
}
