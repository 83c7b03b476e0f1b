// SOURCES: lib/string.c lib/str_copy.c
// LIBS: -lpthread
/*
 * The trace's ring: what is lost is counted, and a record that is overwritten while it is read does
 * not pass for a whole one. The back-end's callbacks are replaced only while the trace is on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include <pthread.h>

#include "tests/host/fake_cpu.h"

#include "kernel/trace.c"

#define ROUNDS 3000000u
#define RIP 0x1234

struct cpu *cpus[MAX_CPUS];
u32 cpu_count = 1;
const struct hv_ops *hv_ops;

static u32 entered;
static bool no_memory;

/* What trace_read copies to, on the side of ring 3. */
static struct trace_record out[TRACE_CHUNK];

void preempt_point(void) {}
int ucopy_out(u64 user, const void *from, u64 n)
{
	memcpy((void *)user, from, n);
	return 0;
}
struct quota *const kernel_quota = NULL;
void *kmem_alloc(struct quota *q, size_t size) { return no_memory ? NULL : calloc(1, size); }

static struct domain domain = {.name = "a-name-of-18-bytes"};
static struct thread thread = {.domain = &domain};

static bool enter_guest(struct vcpu *v)
{
	entered++;
	v->exit.reason = HV_EXIT_CPUID;
	return true;
}

static void nothing(struct vcpu *v, u32 event, u32 error) {}
static void no_offer(struct vcpu *v, u8 vector) {}

static const struct hv_ops ops = {.enter = enter_guest, .inject = nothing, .offer_irq = no_offer};

static int prepare(void **state)
{
	fake_cpu_install(&thread);
	hv_ops = &ops;
	rings[0].head = 0;
	no_memory = false;
	return (int)trace_set(0, 1);
}

static int end(void **state)
{
	trace_set(0, 0);
	return 0;
}

/* Record n says n twice. */
static void write_record(u64 n) { put((struct trace_record){.a = n, .b = ~n}); }

static struct trace_read ask(u64 pos)
{
	return (struct trace_read){.pos = pos, .records = 8, .buf = (u64)out};
}

static void records_come_back_in_order(void **state)
{
	struct trace_read r = ask(0);

	for (u64 n = 0; n < 5; n++)
		write_record(n);
	assert_int_equal(trace_read(&r), 0);
	assert_int_equal(r.records, 5);
	assert_int_equal(r.head, 5);
	for (u64 n = 0; n < 5; n++)
		assert_int_equal(out[n].a, n);
	r.pos = 5;
	assert_int_equal(trace_read(&r), 0);
	assert_int_equal(r.records, 0);
}

static void what_was_overwritten_is_passed_over(void **state)
{
	struct trace_read r = ask(0);

	for (u64 n = 0; n < TRACE_RECORDS + 10; n++)
		write_record(n);
	assert_int_equal(trace_read(&r), 0);
	/* the slot that is written next may be half a record */
	assert_int_equal(r.pos, 11);
	assert_int_equal(out[0].a, 11);
	r = ask(~0ull);
	assert_int_equal(trace_read(&r), 0);
	assert_int_equal(r.records, 0);
	assert_int_equal(r.pos, TRACE_RECORDS + 10);
}

static void *write_all(void *arg)
{
	fake_cpu_install(&thread);
	for (u64 n = 0; n < ROUNDS; n++)
		write_record(n);
	return NULL;
}

static void no_torn_record_passes_for_a_whole_one(void **state)
{
	u64 pos = 0, got = 0, lost = 0, wrong = 0;
	pthread_t writer;

	assert_int_equal(pthread_create(&writer, NULL, write_all, NULL), 0);
	while (pos < ROUNDS) {
		struct trace_read r = ask(pos);

		assert_int_equal(trace_read(&r), 0);
		for (u32 i = 0; i < r.records; i++)
			wrong += out[i].a != r.pos + i || out[i].b != ~(r.pos + i);
		got += r.records;
		lost += r.pos - pos;
		pos = r.pos + r.records;
	}
	pthread_join(writer, NULL);
	assert_int_equal(wrong, 0);
	assert_int_equal(got + lost, ROUNDS);
}

static void a_run_of_the_guest_is_its_exit_and_what_was_delivered(void **state)
{
	static struct vcpu_private priv;
	static struct vm vm = {.id = 0x70005};
	static struct vcpu v = {.vm = &vm, .index = 3, .priv = &priv, .lapic.offered = 0x41};
	struct trace_read r = ask(0);

	priv.regs.rip = RIP;
	priv.regs.gpr[GPR_RAX] = 0x40000000;
	assert_true(hv_ops->enter(&v));
	assert_int_equal(trace_read(&r), 0);
	assert_int_equal(r.records, 2);
	assert_int_equal(out[0].kind, TRACE_INJECT);
	assert_int_equal(out[0].a, 0x41);
	assert_int_equal(out[1].kind, TRACE_EXIT + HV_EXIT_CPUID);
	assert_int_equal(out[1].vm, 5);
	assert_int_equal(out[1].vcpu, 3);
	assert_int_equal(out[1].a, RIP);
	assert_int_equal(out[1].b, 0x40000000);
	trace_set(0, 0);
	assert_true(hv_ops->enter(&v));
	assert_int_equal(rings[0].head, 2);
	assert_int_equal(entered, 2);
}

static void an_interrupt_that_the_cpu_delivers_is_seen_when_it_is_offered(void **state)
{
	static struct vm vm = {.id = 5};
	static struct vcpu v = {.vm = &vm, .lapic.by_cpu = true};
	struct trace_read r = ask(0);

	hv_ops->offer_irq(&v, 0);
	hv_ops->offer_irq(&v, 0x61);
	assert_int_equal(trace_read(&r), 0);
	assert_int_equal(r.records, 1);
	assert_int_equal(out[0].kind, TRACE_INJECT);
	assert_int_equal(out[0].a, 0x61);
}

static void a_switch_has_15_letters_of_the_name(void **state)
{
	struct trace_read r = ask(0);

	trace_thread(TRACE_SWITCH, &thread, 7);
	assert_int_equal(trace_read(&r), 0);
	assert_int_equal(r.records, 1);
	assert_string_equal(out[0].name, "a-name-of-18-by");
	assert_int_equal(out[0].ran, 7);
	trace_set(0, 0);
	trace_thread(TRACE_SWITCH, &thread, 7);
	assert_int_equal(rings[0].head, 1);
}

static void a_cpu_without_a_ring_has_none_to_read(void **state)
{
	struct trace_read r = {.cpu = 1, .records = 8, .buf = (u64)out};

	assert_int_equal(trace_read(&r), -E_NOENT);
	r.cpu = ~0u;
	assert_int_equal(trace_read(&r), -E_NOENT);
}

static void without_memory_it_stays_off(void **state)
{
	trace_set(0, 0);
	cpu_count = 2;
	no_memory = true;
	assert_int_equal(trace_set(0, 1), -E_NOMEM);
	cpu_count = 1;
	assert_false(trace_on);
	assert_ptr_equal(hv_ops, &ops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, end)
		TEST(records_come_back_in_order),
		TEST(what_was_overwritten_is_passed_over),
		TEST(no_torn_record_passes_for_a_whole_one),
		TEST(a_run_of_the_guest_is_its_exit_and_what_was_delivered),
		TEST(an_interrupt_that_the_cpu_delivers_is_seen_when_it_is_offered),
		TEST(a_switch_has_15_letters_of_the_name),
		TEST(a_cpu_without_a_ring_has_none_to_read),
		TEST(without_memory_it_stays_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
