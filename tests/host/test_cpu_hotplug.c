// SOURCES: vmm/cpu_hotplug.c vmm/state.c vmm/timer.c
/*
 * The registers of CPU hot-plug: what comes, what goes, what the guest answers, what it can't do.
 */
#include "tests/host/vmm_fake.h"
#include "vmm/cpu_hotplug.h"

struct set {
	struct fake f;
	struct cpu_hotplug h;
};

enum { SELECTOR = 0, FLAGS = 4, COMMAND = 5, DATA = 8, DATA2 = 0 };
enum { HERE = 1, CAME = 2, MUST_GO = 4, EJECT = 8 };
enum { NEXT_EVENT, OST_EVENT, OST_STATUS, CPU_ID };

/* CPUs 0 and 1 of 4. */
static void start(struct set *s)
{
	memset(s, 0, sizeof(*s));
	fake_init(&s->f);
	cpu_hotplug_init(&s->h, &s->f.plat, 2, 4);
}

static u64 get(struct set *s, u64 offset, u32 size) { return fake_read(&s->h.dev, offset, size); }
static void put(struct set *s, u64 offset, u32 size, u64 v)
{
	fake_write(&s->h.dev, offset, size, v);
}

static u64 flags(struct set *s, u32 cpu)
{
	put(s, SELECTOR, 4, cpu);
	return get(s, FLAGS, 1);
}

/* The CPU with an event, or ~0. */
static u64 next_event(struct set *s)
{
	put(s, COMMAND, 1, NEXT_EVENT);
	return get(s, FLAGS, 1) & (CAME | MUST_GO) ? get(s, DATA, 4) : ~0ull;
}

static void answer(struct set *s, u32 cpu, u32 event, u32 status)
{
	put(s, SELECTOR, 4, cpu);
	put(s, COMMAND, 1, OST_EVENT);
	put(s, DATA, 4, event);
	put(s, COMMAND, 1, OST_STATUS);
	put(s, DATA, 4, status);
}

static void shows_who_is_there(void **state)
{
	static const u32 wanted[] = {HERE, HERE, 0, 0, 0, 0};
	struct set s;

	start(&s);
	for (u32 cpu = 0; cpu < ARRAY_SIZE(wanted); cpu++)
		assert_int_equal(flags(&s, cpu), wanted[cpu]);
	assert_int_equal(next_event(&s), ~0ull);
}

/* OVMF's way to find out that these registers are there: no legacy bitmap answers 0 in DATA2. */
static void ids(void **state)
{
	struct set s;

	start(&s);
	put(&s, SELECTOR, 4, 3);
	put(&s, COMMAND, 1, CPU_ID);
	assert_int_equal(get(&s, DATA, 4), 3);
	assert_int_equal(get(&s, DATA2, 4), 0);
	put(&s, COMMAND, 1, OST_EVENT);
	assert_int_equal(get(&s, DATA, 4), 0);
}

static void those_that_come_are_told_one_by_one(void **state)
{
	struct set s;

	start(&s);
	cpu_hotplug_insert(&s.h, 3);
	cpu_hotplug_insert(&s.h, 2);
	assert_int_equal(next_event(&s), 2);
	assert_int_equal(get(&s, FLAGS, 1), HERE | CAME);
	put(&s, FLAGS, 1, CAME);
	assert_int_equal(get(&s, FLAGS, 1), HERE);
	assert_int_equal(next_event(&s), 3);
	put(&s, FLAGS, 1, CAME);
	assert_int_equal(next_event(&s), ~0ull);
	put(&s, COMMAND, 1, NEXT_EVENT);
	assert_int_equal(get(&s, DATA, 4), 3); /* without an event nothing is selected anew */
}

/* As QEMU does it. */
static void looks_for_events_from_the_selected_on(void **state)
{
	static const struct {
		u64 came;
		u32 selected, wanted;
	} rows[] = {{0xc, 0, 2}, {0xc, 2, 2}, {0xc, 3, 3}, {4, 3, 2}, {6, 3, 1}, {9, 1, 3}};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		struct set s;

		start(&s);
		for (u32 cpu = 0; cpu < 4; cpu++)
			if (rows[i].came & BIT(cpu))
				cpu_hotplug_insert(&s.h, cpu);
		put(&s, SELECTOR, 4, rows[i].selected);
		assert_int_equal(next_event(&s), rows[i].wanted);
	}
}

static void goes_when_the_guest_ejects_it(void **state)
{
	struct set s;

	start(&s);
	cpu_hotplug_ask(&s.h, BIT(1));
	assert_int_equal(next_event(&s), 1);
	assert_int_equal(get(&s, FLAGS, 1), HERE | MUST_GO);
	put(&s, FLAGS, 1, MUST_GO);
	assert_int_equal(get(&s, FLAGS, 1), HERE);
	assert_int_equal(s.f.cpus_back, 0);
	put(&s, FLAGS, 1, EJECT);
	assert_int_equal(get(&s, FLAGS, 1), 0);
	assert_int_equal(s.f.cpus_back, BIT(1));
	put(&s, FLAGS, 1, EJECT); /* what isn't there can't go */
	s.f.cpus_back = 0;
	put(&s, FLAGS, 1, EJECT);
	assert_int_equal(s.f.cpus_back, 0);
	cpu_hotplug_insert(&s.h, 1);
	assert_int_equal(flags(&s, 1), HERE | CAME);
}

static void boot_cpu_stays(void **state)
{
	struct set s;

	start(&s);
	cpu_hotplug_ask(&s.h, ~0ull);
	assert_int_equal(flags(&s, 0), HERE);
	put(&s, FLAGS, 1, EJECT);
	assert_int_equal(flags(&s, 0), HERE);
	assert_int_equal(s.f.cpus_back, 0);
	assert_int_equal(next_event(&s), 1);
}

static void only_a_refusal_ends_a_request(void **state)
{
	static const struct {
		u32 event, status;
		bool kept;
	} rows[] = {
		{3, 0x82, true},  {0x103, 0x81, true}, {3, 0, false},
		{3, 0x84, false}, {1, 0x82, false},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		struct set s;

		start(&s);
		answer(&s, 1, 3, 0x82); /* nobody has asked */
		assert_int_equal(s.f.cpus_kept, 0);
		cpu_hotplug_ask(&s.h, BIT(1));
		answer(&s, 1, rows[i].event, rows[i].status);
		assert_int_equal(s.f.cpus_kept, rows[i].kept ? BIT(1) : 0);
		if (rows[i].kept)
			assert_int_equal(s.f.kept_why, rows[i].status);
		assert_int_equal(flags(&s, 1), HERE | (rows[i].kept ? 0 : MUST_GO));
	}
}

static void a_request_replaces_the_one_before(void **state)
{
	struct set s;

	start(&s);
	cpu_hotplug_insert(&s.h, 2);
	cpu_hotplug_ask(&s.h, BIT(2) | BIT(1));
	cpu_hotplug_ask(&s.h, BIT(2) | BIT(3)); /* 3 is not there */
	assert_int_equal(flags(&s, 1), HERE);
	assert_int_equal(flags(&s, 2), HERE | CAME | MUST_GO);
	assert_int_equal(flags(&s, 3), 0);
	cpu_hotplug_ask(&s.h, 0);
	assert_int_equal(flags(&s, 2), HERE | CAME);
}

/* It is on its way in when somebody wants it back; the guest can't refuse before it is asked. */
static void one_that_is_not_there_yet_is_asked_for_when_it_comes(void **state)
{
	struct set s;

	start(&s);
	cpu_hotplug_ask(&s.h, BIT(2));
	assert_int_equal(flags(&s, 2), 0);
	answer(&s, 2, 3, 0x82);
	assert_int_equal(s.f.cpus_kept, 0);
	cpu_hotplug_insert(&s.h, 2);
	assert_int_equal(flags(&s, 2), HERE | CAME | MUST_GO);
	put(&s, FLAGS, 1, EJECT);
	assert_int_equal(s.f.cpus_back, BIT(2));
	cpu_hotplug_insert(&s.h, 2);
	assert_int_equal(flags(&s, 2), HERE | CAME);
}

/* What is not a CPU of this machine has no registers but the selector. */
static void others_have_no_registers(void **state)
{
	static const u32 others[] = {4, 63, 64, 255, ~0u};
	struct set s;

	start(&s);
	cpu_hotplug_insert(&s.h, 2);
	for (u32 i = 0; i < ARRAY_SIZE(others); i++) {
		put(&s, SELECTOR, 4, others[i]);
		put(&s, COMMAND, 1, CPU_ID);
		put(&s, FLAGS, 1, EJECT | CAME);
		for (u64 offset = 0; offset < CPU_HOTPLUG_BYTES; offset += 4)
			assert_int_equal(get(&s, offset, 4), 0);
	}
	assert_int_equal(s.f.cpus_back, 0);
	assert_int_equal(flags(&s, 2), HERE | CAME);
}

static void state_moves(void **state)
{
	struct set s, t;

	start(&s);
	start(&t);
	cpu_hotplug_insert(&s.h, 3);
	cpu_hotplug_ask(&s.h, BIT(1));
	put(&s, SELECTOR, 4, 3);
	put(&s, COMMAND, 1, CPU_ID);
	fake_check_state(&s.h.dev, &t.h.dev);
	assert_int_equal(get(&t, DATA, 4), 3);
	assert_int_equal(flags(&t, 1), HERE | MUST_GO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_who_is_there),
		cmocka_unit_test(ids),
		cmocka_unit_test(those_that_come_are_told_one_by_one),
		cmocka_unit_test(looks_for_events_from_the_selected_on),
		cmocka_unit_test(goes_when_the_guest_ejects_it),
		cmocka_unit_test(boot_cpu_stays),
		cmocka_unit_test(only_a_refusal_ends_a_request),
		cmocka_unit_test(a_request_replaces_the_one_before),
		cmocka_unit_test(one_that_is_not_there_yet_is_asked_for_when_it_comes),
		cmocka_unit_test(others_have_no_registers),
		cmocka_unit_test(state_moves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
