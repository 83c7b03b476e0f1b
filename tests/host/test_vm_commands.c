// SOURCES: services/manager/cmd_vcpus.c services/manager/cmd_vm.c services/common/reason.c
// SOURCES: lib/fmt.c lib/str_copy.c
/*
 * setvcpus, suspend, resume and stat of the console program: they wait for a monitor, which may do
 * anything meanwhile, or for a second, and the VM may have another life then.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "services/manager/manager.h"
#include "user/sys.h"

#define S 1000000000ull

static struct manager m;
static struct vm_shared shared;
static u64 now, signals;
static char said[256];
static char screen[4096]; /* all that stat printed */
static struct domain_info domain;
static u32 seconds_left;      /* until somebody presses a key */
static void (*on_wait)(void); /* what happens meanwhile */

static void nothing(void) {}

u64 rt_clock_ns(void) { return now; }
void *rt_alloc(size_t n) { return calloc(1, n); }
void rt_free(void *p) { free(p); }
const char *rt_error(s64 e) { return ""; }
s64 init_call(struct manager *mm, enum init_call call, u64 index) { return 0; }
void attach_begin(struct manager *mm, u32 index, bool from_start) {}
s32 vm_find(struct manager *mm, const char *name) { return 0; }
bool vm_refresh(struct manager *mm, u32 index) { return true; }
u32 vm_state(const struct vm_client *vm) { return shared.state; }
void vm_signal(struct manager *mm, u32 index, u64 bits) { signals |= bits; }

int vm_domain_info(struct manager *mm, u32 index, struct domain_info *out)
{
	*out = domain;
	return 0;
}

bool con_wait_key(struct manager *mm, u64 deadline)
{
	now = deadline;
	on_wait();
	return !seconds_left--;
}

void con_printf(struct manager *mm, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
	strncat(screen, said, sizeof(screen) - strlen(screen) - 1);
}

s64 sys_call6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	assert_int_equal(nr, SYS_EVENT_WAIT);
	assert_true(b > now && b <= now + S && now < 300 * S); /* it ends */
	now = b;
	on_wait();
	return -E_TIMEOUT;
}

/* A VM that runs with these CPUs. */
static void start(u64 vcpus)
{
	memset(&m, 0, sizeof(m));
	memset(&shared, 0, sizeof(shared));
	strcpy(m.vm[0].info.name, "web");
	m.vms = 1;
	m.attached = -1;
	m.vm[0].view = &shared;
	m.vm[0].info.running = 1;
	m.vm[0].info.generation = 7;
	m.vm[0].info.vcpus = 2;
	m.vm[0].info.vcpus_max = 64;
	shared.state = VM_STATE_RUNNING;
	shared.vcpus = vcpus;
	now = 100 * S;
	signals = 0;
	said[0] = 0;
	on_wait = nothing;
}

static void setvcpus(const char *n)
{
	cmd_setvcpus(&m, 3, (const char *const[]){"setvcpus", "web", n});
}

static void suspend(void) { cmd_suspend(&m, 2, (const char *const[]){"suspend", "web"}); }
static void resume(void) { cmd_resume(&m, 2, (const char *const[]){"resume", "web"}); }

static u64 seconds(void) { return now / S - 100; }

/* What monitors and guests do while somebody waits. */
static void toggle(void) { shared.vcpus ^= 2; }
static void obey(void) { shared.vcpus = ~0ull >> (64 - shared.vcpus_wanted); }
static void refuse(void) { shared.vcpus_refused = 0x82; }
static void restart(void) { m.vm[0].info.generation = 8; }
static void end(void) { m.vm[0].info.running = 0; }
static void pause(void) { shared.state = shared.suspend ? VM_STATE_PAUSED : VM_STATE_RUNNING; }

/* One each 9.9 s. */
static void eject_slowly(void)
{
	static u64 last;

	if (now - last >= 99 * S / 10) {
		shared.vcpus >>= 1;
		last = now;
	}
}

static void setvcpus_says_what_became_of_it(void **state)
{
	static const struct {
		u64 vcpus;
		const char *n;
		void (*meanwhile)(void);
		u64 seconds;
		const char *text;
	} rows[] = {
		{3, "4", obey, 0, "vm web has 4 vCPUs\n"},
		{3, "1", obey, 0, "vm web has 1 vCPU\n"},
		{3, "1", refuse, 0,
		 "error: vm web: its guest keeps a vCPU (ACPI status 0x82): it has 2\n"},
		{3, "1", nothing, 10,
		 "error: vm web: its guest does not answer: it has 2 vCPUs, and may still give some "
		 "back\n"},
		{3, "4", nothing, 10,
		 "error: vm web: its monitor does not answer: it has 2 vCPUs, and may still get "
		 "more\n"},
		{3, "4", restart, 0, "error: vm web has ended\n"},
		{3, "2", end, 0, "vm web has 2 vCPUs\n"}, /* it has them before anybody waits */
		{3, "4", end, 0, "error: vm web has ended\n"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		start(rows[i].vcpus);
		on_wait = rows[i].meanwhile;
		setvcpus(rows[i].n);
		assert_string_equal(said, rows[i].text);
		assert_int_equal(seconds(), rows[i].seconds);
		assert_int_equal(signals, VM_EV_VCPUS);
	}
}

/* 10 s and one for each vCPU, however much changes. */
static void setvcpus_ends_whatever_a_monitor_does(void **state)
{
	start(3);
	on_wait = toggle;
	setvcpus("5");
	assert_int_equal(seconds(), 13);
	start(~0ull);
	on_wait = eject_slowly;
	setvcpus("4");
	assert_int_equal(seconds(), 70);
	assert_non_null(strstr(said, "may still give some back"));
}

static void setvcpus_is_not_for_a_vm_that_is_being_loaded(void **state)
{
	start(3);
	shared.state = VM_STATE_STARTING;
	setvcpus("4");
	assert_string_equal(said, "error: vm web is still being loaded\n");
	assert_int_equal(shared.vcpus_wanted, 0);
	assert_int_equal(signals, 0);
}

static void suspend_and_resume(void **state)
{
	start(3);
	on_wait = pause;
	suspend();
	assert_string_equal(said, "vm web suspended\n");
	suspend();
	assert_string_equal(said, "error: vm web is paused already: resume lets it go on\n");
	resume();
	assert_string_equal(said, "vm web resumed\n");
	assert_int_equal(shared.suspend, 0);
	resume();
	assert_string_equal(said, "error: vm web is not paused\n");
}

/* Else the VM, or its next life, would stand still later, and nobody would know why. */
static void a_suspend_that_fails_is_taken_back(void **state)
{
	static const struct {
		void (*meanwhile)(void);
		const char *text;
	} rows[] = {
		{nothing, "error: vm web goes on: its vCPUs did not stop within 10 s\n"},
		{restart, "error: vm web has ended\n"},
		{end, "error: vm web has ended\n"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		start(3);
		on_wait = rows[i].meanwhile;
		suspend();
		assert_string_equal(said, rows[i].text);
		assert_int_equal(shared.suspend, 0);
		assert_int_equal(signals, VM_EV_PAUSE);
	}
}

/* The console program ended in the middle of a suspend: the monitor has not stopped yet. */
static void resume_takes_back_the_suspend_of_another_manager(void **state)
{
	start(3);
	shared.suspend = 1;
	resume();
	assert_string_equal(said, "vm web resumed\n");
	assert_int_equal(shared.suspend, 0);
	assert_int_equal(signals, VM_EV_PAUSE);
}

/* ---- stat ---- */

static u64 io_later, generation_later;

static void a_second_passes(void)
{
	domain.exits[STAT_IO] = io_later;
	m.vm[0].info.generation = (u32)generation_later;
}

/* What follows the row's name in its last round. */
static const char *last_row(const char *name)
{
	const char *found = NULL;

	for (const char *at = screen; (at = strstr(at, name)); at++)
		found = at + strlen(name);
	return found ? found : "";
}

/* A new life counts from 0: between two lives there is no rate. */
static void stat_has_rates_of_one_life_only(void **state)
{
	static const struct {
		u64 io, generation;
		const char *row;
	} rows[] = {
		{1234, 7, "                       1234          234\n"},
		{1000, 7, "                       1000            0\n"},
		{10, 8, "                         10\n"},
		{10, 7, "                         10\n"}, /* manager has not heard of it yet */
		{5000, 8, "                       5000\n"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		start(3);
		screen[0] = 0;
		domain = (struct domain_info){.base.type = OBJ_DOMAIN, .exits[STAT_IO] = 1000};
		io_later = rows[i].io;
		generation_later = rows[i].generation;
		on_wait = a_second_passes;
		seconds_left = 1;
		cmd_stat(&m, 2, (const char *const[]){"stat", "web"});
		assert_memory_equal(last_row("port I/O"), rows[i].row, strlen(rows[i].row));
		assert_null(strstr(screen, "18446744"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(setvcpus_says_what_became_of_it),
		cmocka_unit_test(setvcpus_ends_whatever_a_monitor_does),
		cmocka_unit_test(setvcpus_is_not_for_a_vm_that_is_being_loaded),
		cmocka_unit_test(suspend_and_resume),
		cmocka_unit_test(a_suspend_that_fails_is_taken_back),
		cmocka_unit_test(resume_takes_back_the_suspend_of_another_manager),
		cmocka_unit_test(stat_has_rates_of_one_life_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
