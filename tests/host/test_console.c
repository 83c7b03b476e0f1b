// SOURCES: vmm/console.c
/* COM1's rings towards a manager that is slow, dead or hostile, and the shared error log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/console.h"

static struct vm_shared *shared;

/* event_signal, when output is flushed */
s64 sys_call6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) { return 0; }

static struct console start(void)
{
	struct console c = {0};

	free(shared);
	shared = calloc(1, sizeof(*shared));
	console_init(&c, shared, HANDLE_NONE);
	return c;
}

static bool put(struct console *c, u8 ch) { return c->peer.ops->put(&c->peer, ch); }
static s32 get(struct console *c) { return c->peer.ops->get(&c->peer); }

static void detached_output_overwrites(void **s)
{
	struct console c = start();

	for (u32 i = 0; i < VM_RING_BYTES + 10; i++)
		assert_true(put(&c, (u8)i));
	assert_int_equal(shared->out_head, VM_RING_BYTES + 10);
	assert_int_equal(shared->out[9], (u8)(VM_RING_BYTES + 9));
}

static void attached_output_waits_for_room(void **s)
{
	struct console c = start();

	shared->attached = 1;
	for (u32 i = 0; i < VM_RING_BYTES; i++)
		assert_true(put(&c, 'a'));
	assert_false(put(&c, 'b'));
	shared->out_tail = 1;
	assert_true(put(&c, 'b'));
	assert_false(put(&c, 'c'));
	shared->out_tail = ~0ull; /* nonsense: goes on */
	assert_true(put(&c, 'c'));
	shared->attached = 0;
	assert_true(put(&c, 'd'));
}

static void the_others_cannot_move_our_positions(void **s)
{
	struct console c = start();

	shared->out_head = 0x123456789;
	shared->in_tail = 0x123456789;
	assert_true(put(&c, 'x'));
	assert_int_equal(shared->out_head, 1);
	assert_int_equal(get(&c), -1);
}

static void input_in_order_and_bounded(void **s)
{
	struct console c = start();
	u32 n = 0;

	memcpy(shared->in, "hi", 2);
	shared->in_head = 2;
	assert_int_equal(get(&c), 'h');
	assert_int_equal(get(&c), 'i');
	assert_int_equal(get(&c), -1);
	assert_int_equal(shared->in_tail, 2);
	shared->in_head = 1ull << 40;
	while (get(&c) >= 0)
		n++;
	assert_int_equal(n, VM_INPUT_BYTES);
}

static void log_keeps_the_last_lines(void **s)
{
	char line[2 * sizeof(shared->log)];
	const size_t most = sizeof(shared->log) - 1;

	start();
	console_log(shared, "first");
	console_log(shared, "second");
	assert_string_equal(shared->log, "first\nsecond\n");
	memset(line, 'x', most - 3);
	line[most - 3] = 0;
	console_log(shared, line);
	assert_null(strstr(shared->log, "first"));
	assert_string_equal(strrchr(shared->log, 'x'), "x\n");
	console_log(shared, "end");
	assert_string_equal(shared->log, "end\n");
	memset(line, 'y', sizeof(line) - 1);
	line[sizeof(line) - 1] = 0;
	console_log(shared, line);
	assert_int_equal(strlen(shared->log), most);
	memset(shared->log, 'z', sizeof(shared->log)); /* somebody took the terminator away */
	console_log(shared, "safe");
	assert_string_equal(shared->log, "safe\n");
	free(shared);
	shared = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(detached_output_overwrites),
		cmocka_unit_test(attached_output_waits_for_room),
		cmocka_unit_test(the_others_cannot_move_our_positions),
		cmocka_unit_test(input_in_order_and_bounded),
		cmocka_unit_test(log_keeps_the_last_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
