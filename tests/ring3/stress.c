/*
 * A hostile program: the root task of a test image. It starts a "box", which starts workers, whose
 * threads make calls with nearly right arguments on objects that they share, while the box stops,
 * moves, replaces and destroys them. The box ends in the middle of it; then all its memory and
 * objects must be gone, and a bystander on each CPU must have had its turn all the time. Boot
 * options: seed=N repeats a run's random numbers, calls=N.
 */
#include "tests/ring3/stress.h"

#include "lib/string.h"

#define CALLS 1000000ull
#define OFTEN 1000ull /* each call is accepted and refused at least this often in that many */
#define ROUNDS 4
#define WORKERS 5
#define THREADS 3 /* a worker */
#define BOX_QUOTA MiB(128)
#define WORKER_QUOTA MiB(12)
#define BEAT_NS 1000000ull
#define ALONE_NS 2000000000ull
#define BYSTANDER_WEIGHT 100
#define ROUND_LIMIT 1700000000000ull
#define RETURN_LIMIT 60000000000ull

static handle_t system_handle;

/* ---- Box ---- */

struct worker_domain {
	handle_t domain, thread[THREADS];
};

static void end_worker(struct worker_domain *c)
{
	if (c->domain)
		handle_revoke(c->domain);
	handle_close(c->domain);
	for (u32 i = 0; i < THREADS; i++)
		handle_close(c->thread[i]);
	*c = (struct worker_domain){0};
}

/* Objects of the box that all workers use too, and perhaps another worker. */
static void share(u64 *s, handle_t domain, const struct worker_domain *other)
{
	static handle_t objects[SHARED_END];

	if (!objects[SHARED_EVENT]) {
		objects[SHARED_EVENT] = (handle_t)event_create();
		objects[SHARED_PORT] = (handle_t)port_create();
		objects[SHARED_CHANNEL] = (handle_t)channel_create();
		objects[SHARED_MEM] = (handle_t)mem_create(MiB(1), MEM_GUEST);
	}
	handle_dup(1 << 16 | 2, R_STAT | R_LOG | R_INFO | R_WAIT | R_DUP, domain);
	for (u32 i = SHARED_EVENT; i < SHARED_END; i++)
		handle_dup(objects[i], R_ALL & ~(u32)R_REVOKE, domain);
	if (other->domain && rnd(s, 2)) {
		handle_dup(other->domain, R_ALL, domain);
		handle_dup(other->thread[0], R_ALL, domain);
	}
	if (rnd(s, 2))
		handle_dup(domain, R_ALL, domain);
}

static void begin_worker(u64 *s, struct worker_domain *c, const struct worker_domain *other)
{
	s64 d = domain_create(WORKER_QUOTA, "a worker of the hostile program ");

	if (d <= 0)
		return; /* what the last one had is not back yet */
	c->domain = (handle_t)d;
	if (!load(c->domain, 1 << 16 | 1, BOARD_VA)) {
		end_worker(c);
		return;
	}
	share(s, c->domain, other);
	for (u32 i = 0; i < THREADS; i++) {
		s64 t = start(c->domain, i, ROLE_ARG(ROLE_WORKER, i, rnd(s, 1ull << 32)));

		c->thread[i] = t > 0 ? (handle_t)t : HANDLE_NONE;
	}
}

static void disturb(u64 *s, struct worker_domain *c)
{
	handle_t t = c->thread[rnd(s, THREADS)];
	struct domain_info info = {.dead = 1};

	switch (rnd(s, 12)) {
	case 0:
		if (rnd(s, 4))
			break;
		end_worker(c);
		return;
	case 1: thread_set(t, THREAD_AFFINITY, 1 + rnd(s, 3)); break;
	case 2: thread_set(t, THREAD_WEIGHT, 1 + rnd(s, 300)); break;
	case 3:
		if (!rnd(s, 8))
			handle_revoke(t);
		break;
	default:
		thread_set(t, THREAD_STOP, 0);
		if (rnd(s, 2))
			sleep_ns(rnd(s, 100000));
		thread_set(t, THREAD_START, 0);
	}
	if (c->domain && (handle_info(c->domain, &info, sizeof(info)) < 0 || info.dead))
		end_worker(c);
	BOARD->halts += info.exits[STAT_HLT] > 0;
	BOARD->cpuids += info.exits[STAT_CPUID] > 0;
}

/* Why a call is never accepted, or never refused. */
static const struct {
	u32 nr;
	const char *never_refused;
} exempt[] = {
	{SYS_CLOCK_GET, "it takes no argument and needs no memory"},
	{SYS_DOMAIN_EXIT, "it does not return; what it takes is cut to a status"},
};

static bool may_be_refused(u32 nr)
{
	for (u32 i = 0; i < ARRAY_SIZE(exempt); i++)
		if (exempt[i].nr == nr)
			return false;
	return true;
}

static bool has_share(u32 nr, u64 often)
{
	return BOARD->accepted[nr] >= often && (BOARD->refused[nr] >= often || !may_be_refused(nr));
}

/* Each call accepted and refused so often, and of what children do and quotas a part of it. */
static bool all_have_share(u64 often)
{
	bool ok = BOARD->exhausted * 50 >= often && BOARD->halts * 10 >= often &&
		  BOARD->cpuids * 10 >= often;

	for (u32 i = 0; i < CHILDREN; i++)
		ok &= BOARD->children[i] * 10 >= often;
	for (u32 nr = 0; nr < SYS_CALLS; nr++)
		ok &= has_share(nr, often);
	return ok;
}

/*
 * Its first handles are the board and the system. calls: how many there shall have been at its end;
 * after that it goes on until each has its share, unless that takes twice as many more.
 */
static void box(u64 seed, u64 calls)
{
	struct worker_domain worker[WORKERS] = {0};
	u64 s = seed | 1, limit = rt_clock_ns() + ROUND_LIMIT;

	while ((BOARD->calls < calls ||
		(BOARD->calls < 3 * calls && !all_have_share(BOARD->share))) &&
	       rt_clock_ns() < limit) {
		struct worker_domain *c = &worker[rnd(&s, WORKERS)];

		if (c->domain)
			disturb(&s, c);
		else
			begin_worker(&s, c, &worker[rnd(&s, WORKERS)]);
		sleep_ns(rnd(&s, 500000));
	}
	domain_exit(BOARD->calls < calls ? 2 : 0);
}

/* ---- Bystander ---- */

static void bystander(u32 cpu)
{
	handle_t event = (handle_t)event_create();
	u64 due = rt_clock_ns();

	for (;;) {
		u64 now, late;

		due += BEAT_NS;
		event_wait(event, due);
		now = rt_clock_ns();
		late = now - due;
		BOARD->beats[cpu]++;
		if (late > BOARD->latest_ns[cpu])
			BOARD->latest_ns[cpu] = late;
		/* those that were missed are not made up for */
		due = MAX(due, now - MIN(late, BEAT_NS));
	}
}

/* A thread on each CPU, of a domain that nobody touches. */
static void begin_bystander(handle_t board, u32 cpus)
{
	s64 d = domain_create(MiB(4), "the bystander of a hostile one  ");

	check(d > 0 && load((handle_t)d, board, BOARD_VA), "no bystander", d);
	for (u32 i = 0; i < cpus; i++) {
		s64 t = start((handle_t)d, i, ROLE_ARG(ROLE_BYSTANDER, i, 0));

		check(t > 0, "no thread", t);
		thread_set((handle_t)t, THREAD_AFFINITY, 1u << i);
		handle_close((handle_t)t);
	}
	sleep_ns(20 * BEAT_NS); /* it has touched what it needs */
}

static void tell_beats(u32 cpus)
{
	for (u32 i = 0; i < cpus; i++)
		say("heartbeat: cpu%u: %lu beats, latest by %lu us", i, BOARD->beats[i],
		    BOARD->latest_ns[i] / 1000);
}

/* ---- Spinners ---- */

static void spinner(u32 index)
{
	u64 before = rt_clock_ns();

	for (;;) {
		u64 now = rt_clock_ns();

		if (now - before > BOARD->gap_ns[index])
			BOARD->gap_ns[index] = now - before;
		before = now;
	}
}

/* Who had a CPU to himself for long does not pay for it when another comes. */
static void newcomer(handle_t board, u32 cpu)
{
	s64 d = domain_create(MiB(4), "two threads that want one CPU   ");

	check(d > 0 && load((handle_t)d, board, BOARD_VA), "no spinners", d);
	for (u32 i = 0; i < 2; i++) {
		s64 t = thread_make((handle_t)d, i, ROLE_ARG(ROLE_SPINNER, i, 0));

		check(t > 0, "no thread", t);
		thread_set((handle_t)t, THREAD_AFFINITY, 1u << cpu);
		thread_set((handle_t)t, THREAD_START, 0);
		handle_close((handle_t)t);
		sleep_ns(ALONE_NS);
		if (!i)
			BOARD->gap_ns[0] = 0;
	}
	say("newcomer: the other waits for %lu us", BOARD->gap_ns[0] / 1000);
	/* a host that lets the CPU stand still does so for both */
	check(BOARD->gap_ns[0] < ALONE_NS / 2 + BOARD->gap_ns[1],
	      "ns that a thread waits for one that came later", (s64)BOARD->gap_ns[0]);
	handle_revoke((handle_t)d);
	handle_close((handle_t)d);
}

/* ---- Root task ---- */

/* share: how often each call shall have been accepted and refused at its end. */
static void one_round(u64 *s, handle_t board, u64 calls, u64 share)
{
	s64 d = domain_create(BOX_QUOTA, "the box of the hostile program  "), t, r;

	check(d > 0, "no box", d);
	BOARD->goal = calls;
	BOARD->share = share;
	handle_dup(board, R_ALL, (handle_t)d);
	handle_dup(system_handle, R_STAT | R_LOG | R_INFO | R_WAIT | R_DUP, (handle_t)d);
	check(load((handle_t)d, board, BOARD_VA), "load", 0);
	t = start((handle_t)d, 0, ROLE_ARG(ROLE_BOX, 0, rnd(s, 1ull << 32)));
	check(t > 0, "no thread", t);
	handle_close((handle_t)t);
	r = wait_end((handle_t)d, 2 * ROUND_LIMIT);
	check(r == 0, "the box ends", r);
	handle_close((handle_t)d);
}

static void tell_counts(u64 often)
{
	bool ok = true;

	for (u32 nr = 0; nr < SYS_CALLS; nr++) {
		u64 accepted = BOARD->accepted[nr], refused = BOARD->refused[nr];
		bool enough = has_share(nr, often);

		say("%scall %u: accepted %lu, refused %lu", enough ? "" : "FAIL: ", nr, accepted,
		    refused);
		ok &= enough;
	}
	say("children: %lu exited, %lu faulted, %lu were ended in a loop; a quota exhausted %lu times",
	    BOARD->children[CHILD_EXITS], BOARD->children[CHILD_FAULTS],
	    BOARD->children[CHILD_LOOPS], BOARD->exhausted);
	say("guests seen whose HLT the kernel served: %lu times, whose CPUID: %lu times",
	    BOARD->halts, BOARD->cpuids);
	for (u32 i = 0; i < CHILDREN; i++)
		check(BOARD->children[i] * 10 >= often, "too few children ended as they should", i);
	check(BOARD->exhausted * 50 >= often, "a quota was hardly ever exhausted",
	      (s64)BOARD->exhausted);
	check(BOARD->halts * 10 >= often, "hardly a guest waited in HLT", (s64)BOARD->halts);
	check(BOARD->cpuids * 10 >= often, "hardly a guest ran CPUID", (s64)BOARD->cpuids);
	check(ok, "expected each call accepted and refused at least this often", (s64)often);
}

static void root(const struct init_info *info)
{
	u64 seed = option(info->cmdline, "seed=", rt_clock_ns()),
	    calls = option(info->cmdline, "calls=", CALLS);
	u64 s = seed * 2 + 1;
	struct balance before;
	u32 cpus;
	s64 board;

	system_handle = info->system;
	self_init("stress", info->system);
	say("seed=%lu calls=%lu", seed, calls);
	board = mem_create(PAGE_SIZE, 0);
	check(!mem_map(HANDLE_SELF, (handle_t)board, BOARD_VA, 0, PAGE_SIZE, PROT_R | PROT_W),
	      "map", board);
	BOARD->calls = 0; /* its first touch, before the balance is taken */
	cpus = MIN(host().cpus_up, CPUS_WATCHED);
	if (cpus > 1)
		newcomer((handle_t)board, cpus - 1);
	begin_bystander((handle_t)board, cpus);
	traps((handle_t)board);
	before = balance_take();
	say("traps done, quota %lu KiB", before.quota / 1024);
	for (u32 i = 0; i < ROUNDS; i++) {
		one_round(&s, (handle_t)board, calls * (i + 1) / ROUNDS,
			  OFTEN * calls / CALLS * (i + 1) / ROUNDS);
		say("round %u, %lu calls, kernel %lu KiB", i, BOARD->calls,
		    host().mem_kernel / 1024);
		balance_check(&before, "after a round", RETURN_LIMIT);
	}
	tell_beats(cpus);
	tell_counts(OFTEN * calls / CALLS);
	say("PASS");
	finish(0);
}

int program_main(void *arg)
{
	u64 a = (u64)arg;
	u32 index = a >> 4 & 15;

	if (a == INIT_INFO_VA)
		root(arg);
	switch (a & 15) {
	case ROLE_BOX: box(a >> 8, BOARD->goal); break;
	case ROLE_WORKER: worker(index, a >> 8); break;
	case ROLE_SPINNER: spinner(index); break;
	case ROLE_BYSTANDER: bystander(index); break;
	}
	return 0;
}
