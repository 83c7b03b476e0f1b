// SOURCES: lib/rbtree.c kernel/sched_group.c kernel/sched_core.c
// CFLAGS: -fsanitize-coverage=trace-pc
/*
 * The scheduler's own code in simulated time with thousands of threads on one CPU: at any moment
 * those that want the CPU all the time have had what their weights say within two slices of each,
 * whatever others do, and to choose and to queue takes steps in proportion to log n.
 */
#include "sched_world.h"

#define THREADS 4096u
#define GROUPS 64u
#define SEEDS 3u
#define TURNS 2000000u /* some hundred for each thread */
#define LOG_MIN 4u
#define STEPS_PER_LOG 10u /* more, each time that there are twice the threads; it is about 3 */

#define WHEEL 4096u /* of wake-ups, a slot a millisecond */
#define MS 1000000ull

struct actor {
	struct thread t;
	bool sleeps;	     /* now and then */
	u64 run_left, total; /* until it sleeps next; what it has computed */
	struct actor *next;  /* in the same slot */
};

/*
 * Each piece of code without a branch is a step: the compiler calls this at its start. In assembly,
 * so that it has none of its own.
 */
volatile u64 steps;
__asm__(".globl __sanitizer_cov_trace_pc\n"
	"__sanitizer_cov_trace_pc:\n"
	"	incq steps(%rip)\n"
	"	ret\n");

static u64 calls, steps_of_calls;
#define COUNTED(call)                                                                              \
	do {                                                                                       \
		u64 before_ = steps;                                                               \
		call;                                                                              \
		steps_of_calls += steps - before_;                                                 \
		calls++;                                                                           \
	} while (0)

static u64 wheel_at;
static struct actor *wheel[WHEEL];
static struct cpu cpu;
static struct actor actor[THREADS], idle;
static struct domain domain[GROUPS];

/* ---- The machine ---- */

static struct actor *current(void) { return container_of(cpu.current, struct actor, t); }

static void wake_those_due(void)
{
	for (; wheel_at <= now_ns / MS; wheel_at++)
		while (wheel[wheel_at % WHEEL]) {
			struct actor *a = wheel[wheel_at % WHEEL];

			wheel[wheel_at % WHEEL] = a->next;
			a->run_left = 1000 + rnd(2 * SCHED_SLICE_NS);
			COUNTED(thread_wake(&a->t));
		}
}

static void go_to_sleep(struct actor *a)
{
	u32 slot = (u32)((now_ns / MS + 1 + rnd(WHEEL - 2)) % WHEEL);

	a->next = wheel[slot];
	wheel[slot] = a;
	thread_block_prepare();
	COUNTED(thread_block(DEADLINE_NEVER));
}

/* Up to the next moment at which anything happens. */
static void step(void)
{
	struct actor *a = current();
	struct timer *slice = &own[0].slice;
	u64 next = (now_ns / MS + 1) * MS;

	if (slice->armed)
		next = MIN(next, MAX(slice->deadline, now_ns));
	if (a->sleeps)
		next = MIN(next, now_ns + a->run_left);
	a->total += next - now_ns;
	a->run_left -= MIN(a->run_left, next - now_ns);
	now_ns = next;
	wake_those_due();
	if (slice->armed && slice->deadline <= now_ns) {
		slice->armed = false;
		slice->fn(slice);
	}
	if (a == current() && a->sleeps && !a->run_left)
		go_to_sleep(a);
	if (cpu.resched) {
		spin_lock(&queues[0].lock);
		COUNTED(schedule(&queues[0]));
	}
}

/* The groups' threads all compute, or all sleep now and then: `active` of the first is constant. */
static void add(u32 i)
{
	struct actor *a = &actor[i];

	a->t.domain = &domain[i % GROUPS];
	a->t.weight = 50 + (u32)rnd(200);
	a->t.affinity = 1;
	a->t.state = THREAD_STOPPED;
	a->sleeps = i % GROUPS >= GROUPS / 2;
	a->run_left = 1 + rnd(SCHED_SLICE_NS);
	sched_start(&a->t);
}

static void set_up(u64 seed, u32 threads)
{
	random_state = seed * 2 + 1;
	now_ns = SCHED_SLICE_NS;
	wheel_at = 0;
	memset(wheel, 0, sizeof(wheel));
	memset(actor, 0, sizeof(actor));
	memset(&idle, 0, sizeof(idle));
	memset(queues, 0, sizeof(queues));
	memset(own, 0, sizeof(own));
	for (u32 i = 0; i < GROUPS; i++) {
		domain[i].own_group = (struct sched_group){.cpus = ~0ull, .weight = 1u << rnd(4)};
		domain[i].group = &domain[i].own_group;
	}
	kernel_domain.group = &domain[0].own_group;
	idle.t.domain = &kernel_domain;
	idle.t.state = THREAD_RUNNABLE;
	cpu = (struct cpu){.self = &cpu, .up = true, .aspace = &kernel_aspace};
	cpus[0] = &cpu;
	cpu_count = 1;
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
	sched_init_cpu(&cpu, &idle.t);
	for (u32 i = 0; i < threads; i++)
		add(i);
	spin_lock(&queues[0].lock);
	schedule(&queues[0]);
}

/* ---- The tests ---- */

/* Of a thread that wants the CPU all the time. */
static double weighs(const struct actor *a)
{
	const struct sched_group *g = a->t.domain->group;

	return (double)g->weight * a->t.weight / (double)g->active;
}

static void those_that_compute_get_their_shares(void **state)
{
	for (u64 seed = 0; seed < SEEDS; seed++) {
		double least = 1e30, most = 0;

		set_up(seed, THREADS);
		for (u32 i = 0; i < TURNS; i++)
			step();
		for (u32 i = 0; i < THREADS; i++) {
			double had = (double)actor[i].total / weighs(&actor[i]),
			       slice = SCHED_SLICE_NS / weighs(&actor[i]);

			if (actor[i].sleeps)
				continue;
			least = MIN(least, had);
			most = MAX(most, had - 2 * slice);
		}
		if (most > least)
			fail_msg("seed %lu: one has had %.0f ns by weight, and another %.0f and "
				 "two slices",
				 seed, least, most);
	}
}

/* A group's sum of weights is bounded: who has more threads than that has no more of the CPU. */
static void a_crowd_of_heavy_threads_has_no_more_than_one(void **state)
{
	u64 begin;

	set_up(1, 0);
	domain[0].own_group.weight = domain[1].own_group.weight = WEIGHT_DEFAULT;
	for (u32 i = 0; i < THREADS; i++) {
		struct actor *a = &actor[i];

		a->t.domain = &domain[i > 0];
		a->t.weight = i ? WEIGHT_MAX : WEIGHT_DEFAULT;
		a->t.owed_ns = SCHED_SLICE_NS; /* it is new */
		a->t.affinity = 1;
		a->t.state = THREAD_STOPPED;
		sched_start(&a->t);
	}
	begin = now_ns;
	for (u32 i = 0; i < 20000; i++)
		step();
	if (actor[0].total * 100 < 48 * (now_ns - begin))
		fail_msg("got %lu%% for who is alone in his group, expected half",
			 actor[0].total * 100 / (now_ns - begin));
}

/* What a call costs beyond the steps that it takes with the fewest threads. */
static void check_steps(u32 log)
{
	static u64 with_fewest;
	u64 each = steps_of_calls / calls, most = with_fewest + (log - LOG_MIN) * STEPS_PER_LOG;

	assert_true(calls > 1000);
	if (log == LOG_MIN)
		with_fewest = each;
	else if (each > most)
		fail_msg("%u threads: got %lu steps for each of %lu calls, expected at most %lu",
			 1u << log, each, calls, most);
	calls = steps_of_calls = 0;
}

static void choice_costs_log_n(void **state)
{
	for (u32 log = LOG_MIN; 1u << log <= THREADS; log += 2) {
		set_up(1, 1u << log);
		calls = steps_of_calls = 0;
		for (u32 i = 0; i < 20000; i++)
			step();
		check_steps(log);
	}
}

/* Not only the first leaves the queue. */
static void to_leave_and_to_come_back_costs_log_n(void **state)
{
	struct run_queue *q = &queues[0];

	for (u32 log = LOG_MIN; 1u << log <= THREADS; log += 2) {
		set_up(1, 1u << log);
		calls = steps_of_calls = 0;
		while (calls < 20000) {
			struct thread *t = &actor[rnd(1u << log)].t;

			if (!t->queued)
				continue;
			COUNTED(dequeue(q, t));
			COUNTED(enqueue(q, t));
		}
		check_steps(log);
	}
}

int main(void)
{
	const struct CMUnitTest costs[] = {
		cmocka_unit_test(choice_costs_log_n),
		cmocka_unit_test(to_leave_and_to_come_back_costs_log_n),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(those_that_compute_get_their_shares),
		cmocka_unit_test(a_crowd_of_heavy_threads_has_no_more_than_one),
	};
	int failed = cmocka_run_group_tests_name("costs", costs, NULL, NULL);

	/* with more steps the others would take minutes */
	return failed ? failed : cmocka_run_group_tests(tests, NULL, NULL);
}
