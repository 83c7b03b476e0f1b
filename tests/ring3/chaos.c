/*
 * init with a killer in it: once a VM whose name begins with "victim" has been started, the
 * monitors of these VMs and manager are ended at random moments, as an exception would end them.
 * After each time, when init has dealt with it, the machine must hold what it held before. Boot
 * options: seed=N, kills=N of each kind.
 */
#define program_main init_main
#include "services/init/main.c"
#undef program_main

#include "tests/ring3/self.h"

#define KILLS 100
#define SETTLE_NS 30000000000ull
#define SHORT_LIFE_NS 30000000ull /* of a victim: loading, populating, */
#define LONG_LIFE_NS 500000000ull /* or booting its guest */
/*
 * What programs that go on touch meanwhile. Kept small: a page a kill that is lost is more than
 * this.
 */
#define SLACK KiB(256)
/* Of programs that go on: each lock makes an event when it is first waited for. */
#define LOCKS 12
#define HANDLES_MOST 5000u /* a domain has room for fewer */

int program_main(void *arg);

static u64 seed, kills;

static struct vm *pick_victim(u64 *s)
{
	struct vm *found = NULL;
	u32 n = 0;

	for (u32 i = 0; i < init.vms; i++)
		if (!strncmp(init.vm[i].def.name, "victim", 6) && !rnd(s, ++n))
			found = &init.vm[i];
	return found;
}

/* Whether it holds within the time; init's lock is taken for each look. */
static bool settles(bool (*holds)(const void *what), const void *what)
{
	u64 limit = rt_clock_ns() + SETTLE_NS;
	bool ok;

	do {
		rt_lock(&init.lock);
		ok = holds(what);
		rt_unlock(&init.lock);
		if (!ok)
			sleep_ns(1000000);
	} while (!ok && rt_clock_ns() < limit);
	return ok;
}

static bool is_off(const void *vm) { return !((const struct vm *)vm)->running; }

static bool manager_is_back(const void *restarts)
{
	return init.manager_restarts > *(const u32 *)restarts && init.manager.domain;
}

static void kill_monitor(u64 *s)
{
	struct vm *vm = pick_victim(s);
	int e;

	rt_lock(&init.lock);
	e = vm->running ? 0 : vm_start(&init, vm);
	rt_unlock(&init.lock);
	check(!e, "a victim does not start", e);
	sleep_ns(rnd(s, rnd(s, 4) ? SHORT_LIFE_NS : LONG_LIFE_NS));
	rt_lock(&init.lock);
	if (vm->running)
		handle_revoke(vm->process.domain);
	rt_unlock(&init.lock);
	check(settles(is_off, vm), "init does not see that a monitor is gone", (s64)(vm - init.vm));
}

static void kill_manager(u64 *s)
{
	u32 restarts;

	sleep_ns(rnd(s, SHORT_LIFE_NS));
	rt_lock(&init.lock);
	restarts = init.manager_restarts;
	init.manager_start_ns = 0; /* so that it comes back without a pause */
	handle_revoke(init.manager.domain);
	rt_unlock(&init.lock);
	check(settles(manager_is_back, &restarts), "manager does not come back", restarts);
}

static bool victims_run(void)
{
	for (u32 i = 0; i < init.vms; i++)
		if (!strncmp(init.vm[i].def.name, "victim", 6) && init.vm[i].running)
			return true;
	return false;
}

/* What the machine holds when nothing starts or ends any more. */
static struct balance balance_settled(void)
{
	struct balance b = balance_take(), last;

	do {
		last = b;
		sleep_ns(1000000000);
		b = balance_take();
	} while (memcmp(b.objects, last.objects, sizeof(b.objects)));
	return b;
}

/* How many handles init has room for: each that it forgets to close takes one. */
static u32 handles_free(void)
{
	static handle_t more[HANDLES_MOST];
	u32 n = 0, found;
	s64 h;

	rt_lock(&init.lock);
	while (n < HANDLES_MOST && (h = handle_dup(init.wake, R_SIGNAL, HANDLE_SELF)) > 0)
		more[n++] = (handle_t)h;
	for (found = n; n;)
		handle_close(more[--n]);
	rt_unlock(&init.lock);
	return found;
}

/* Waits until the machine, and init's table, hold again what they held. */
static void check_all(const struct balance *before, u32 room, const char *when)
{
	u64 limit = rt_clock_ns() + SETTLE_NS;

	balance_check(before, when, SETTLE_NS);
	while (handles_free() + LOCKS < room) {
		check(rt_clock_ns() < limit, "init has more handles than before: room for",
		      handles_free());
		sleep_ns(1000000);
	}
}

static void killer(void *arg)
{
	u64 s = seed * 2 + 1, left[2] = {kills, kills};
	struct balance before;
	u32 room;

	while (!victims_run())
		sleep_ns(10000000);
	while (victims_run()) /* that of the user is not to be there */
		kill_monitor(&s);
	kill_manager(&s);
	handles_free(); /* the table is as large as it gets */
	before = balance_settled();
	room = handles_free();
	before.free -= SLACK;
	before.quota -= SLACK;
	before.more_events = LOCKS;
	say("seed=%lu kills=%lu", seed, kills);
	while (left[0] || left[1]) {
		u64 which = left[0] && left[1] ? rnd(&s, 2) : left[1] > 0;

		if (which)
			kill_manager(&s);
		else
			kill_monitor(&s);
		left[which]--;
		check_all(&before, room, which ? "after manager" : "after a monitor");
		if ((left[0] + left[1]) % 20 == 0)
			say("%lu kills left", left[0] + left[1]);
	}
	say("PASS");
}

int program_main(void *arg)
{
	const struct init_info *info = arg;

	self_init("chaos", info->system);
	seed = option(info->cmdline, "seed=", rt_clock_ns());
	kills = option(info->cmdline, "kills=", KILLS);
	check(rt_thread(killer, NULL) > 0, "no thread", 0);
	return init_main(arg);
}
