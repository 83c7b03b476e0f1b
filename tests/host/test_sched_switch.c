// SOURCES: lib/rbtree.c kernel/sched_group.c kernel/sched_core.c
/* What a switch does to the CPU: where another domain comes, branch predictions are barred. */
#include "hv/x86.h"

#include "arch/msr.h"

static unsigned barriers;
static inline void fake_wrmsr(u32 msr, u64 v) { barriers += msr == MSR_PRED_CMD && v == 1; }
#define wrmsr fake_wrmsr

#include "sched_world.h"

static struct cpu cpu;
static struct domain a = {.name = "A"}, b = {.name = "B"};
static struct thread idle, of_a, also_of_a, of_b;

static void set_up(u32 spec)
{
	struct thread *const threads[] = {&idle, &of_a, &also_of_a, &of_b};

	cpu_facts.spec = spec;
	now_ns = SCHED_SLICE_NS;
	memset(queues, 0, sizeof(queues));
	memset(own, 0, sizeof(own));
	a.own_group = b.own_group = kernel_domain.own_group =
		(struct sched_group){.cpus = ~0ull, .weight = WEIGHT_DEFAULT};
	a.group = &a.own_group;
	b.group = &b.own_group;
	for (u32 i = 0; i < ARRAY_SIZE(threads); i++)
		*threads[i] = (struct thread){.domain = i ? &a : &kernel_domain,
					      .weight = WEIGHT_DEFAULT,
					      .affinity = 1,
					      .state = THREAD_BLOCKED};
	of_b.domain = &b;
	idle.state = THREAD_RUNNABLE;
	cpu = (struct cpu){.self = &cpu, .up = true, .aspace = &kernel_aspace};
	cpus[0] = &cpu;
	cpu_count = 1;
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
	sched_init_cpu(&cpu, &idle);
}

/* Who runs sleeps, if it can, and the next one comes. */
static void run(struct thread *next)
{
	struct thread *prev = cpu.current;

	if (next != &idle)
		thread_wake(next);
	if (prev != &idle) {
		thread_block_prepare();
		thread_block(DEADLINE_NEVER);
	} else {
		spin_lock(&queues[0].lock);
		schedule(&queues[0]);
	}
	assert_ptr_equal(cpu.current, next);
}

static const struct {
	const char *what;
	struct thread *next;
	u32 barriers;
} turns[] = {
	{"the first", &of_a, 1},      {"A, then B", &of_b, 1},
	{"B, then A", &of_a, 1},      {"two of A", &also_of_a, 0},
	{"A, then nobody", &idle, 0}, {"A, then nobody, then A", &of_a, 0},
	{"A, then nobody", &idle, 0}, {"A, then nobody, then B", &of_b, 1},
};

static void another_domain_finds_no_predictions(void **state)
{
	set_up(SPEC_IBPB);
	for (u32 i = 0; i < ARRAY_SIZE(turns); i++) {
		barriers = 0;
		run(turns[i].next);
		if (barriers != turns[i].barriers)
			fail_msg("%s: got %u barriers, expected %u", turns[i].what, barriers,
				 turns[i].barriers);
	}
}

static void a_cpu_without_a_barrier_is_asked_for_none(void **state)
{
	set_up(0);
	barriers = 0;
	for (u32 i = 0; i < ARRAY_SIZE(turns); i++)
		run(turns[i].next);
	assert_int_equal(barriers, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_domain_finds_no_predictions),
		cmocka_unit_test(a_cpu_without_a_barrier_is_asked_for_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
