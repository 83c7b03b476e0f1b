// SOURCES: services/manager/attach.c services/manager/console.c services/manager/editor.c
// SOURCES: services/manager/vms.c services/common/reason.c lib/fmt.c lib/str_copy.c
/* A VM's console on a slow terminal: nothing of it is lost, and what is said of its lives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "services/manager/manager.h"
#include "user/sys.h"

#define MS 1000000ull

static struct manager m;
static struct vm_shared *shared;
static struct init_vm_info info; /* as init tells it */
static struct msg_page msg;
static u64 now, room, per_ms; /* bytes that the terminal takes now, and each ms */
static char screen[2 * VM_RING_BYTES];
static u32 on_screen;

u64 rt_clock_ns(void) { return now; }
struct msg_page *rt_msg(void) { return &msg; }
void *rt_map(handle_t mem, u64 bytes, u32 prot, int *err) { return NULL; }
const char *rt_error(s64 e) { return ""; }

static void editor_out(struct editor *e, const char *s, size_t n) { con_write(&m, s, n); }
static void complete(struct editor *e) {}

static s64 terminal(const char *s, u64 n)
{
	n = MIN(n, room);
	room -= n;
	assert_true(on_screen + n < sizeof(screen));
	memcpy(screen + on_screen, s, n);
	on_screen += (u32)n;
	screen[on_screen] = 0;
	return (s64)n;
}

static s64 ask_init(void)
{
	u64 call = msg.word[0];

	memset(&msg, 0, sizeof(msg));
	if (call == INIT_VM_INFO)
		memcpy(&msg.word[1], &info, sizeof(info));
	else
		msg.word[0] = (u64)-E_STATE;
	return 64;
}

s64 sys_call6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	switch (nr) {
	case SYS_CHANNEL_CALL: return ask_init();
	case SYS_CTL: return b == SYSOP_CONSOLE_WRITE ? terminal((const char *)c, d) : 0;
	case SYS_EVENT_WAIT:
		assert_true(b > now);
		room = MIN(16ull, room + (b - now) / MS * per_ms);
		now = b;
		return -E_TIMEOUT;
	default: return 0;
	}
}

/* A VM that runs, with nobody connected, on a terminal that takes so many bytes a ms. */
static void start(u64 bytes_per_ms)
{
	free(shared);
	shared = calloc(1, sizeof(*shared));
	memset(&m, 0, sizeof(m));
	m.editor.out = editor_out;
	m.editor.complete = complete;
	m.editor.prompt = "hv> ";
	m.attached = -1;
	m.vms = 1;
	m.vm[0].view = shared;
	info = (struct init_vm_info){.name = "web",
				     .present = 1,
				     .running = 1,
				     .generation = 1,
				     .on_exit = {[0 ... VM_ENDS - 1] = ON_EXIT_RESTART}};
	shared->state = VM_STATE_RUNNING;
	vm_refresh(&m, 0);
	now = 1000 * MS;
	room = 16;
	per_ms = bytes_per_ms;
	on_screen = 0;
	screen[0] = 0;
}

static void write_text(const char *s)
{
	for (; *s; s++)
		shared->out[shared->out_head++ % VM_RING_BYTES] = (u8)*s;
}

static void life_ends(enum vm_reason reason, u32 status)
{
	info.running = 0;
	info.reason = reason;
	info.status = status;
}

static void life_begins(void)
{
	info.running = 1;
	info.generation++;
}

/* At 19200 baud a ring full takes half a minute. */
static void the_end_of_an_ended_vm_is_shown_however_slow_the_terminal_is(void **state)
{
	start(2);
	attach_begin(&m, 0, true);
	memset(shared->out, 'x', VM_RING_BYTES);
	shared->out_head = VM_RING_BYTES;
	life_ends(VM_REASON_POWEROFF, 0);
	attach_state_changed(&m, 0);
	assert_int_equal(m.vm[0].shown, shared->out_head);
	assert_int_equal(shared->out_tail, shared->out_head);
	assert_non_null(strstr(screen, "xxx\x1b[0m\r\nvm web ended: power-off, status 0\r\n"));
	assert_int_equal(m.attached, -1);
}

static void a_terminal_that_takes_nothing_is_given_up(void **state)
{
	start(0);
	room = VM_RING_BYTES;
	attach_begin(&m, 0, true);
	room = 10;
	write_text("the end of its output");
	life_ends(VM_REASON_POWEROFF, 0);
	attach_state_changed(&m, 0);
	assert_int_equal(m.attached, -1);
	assert_in_range(now / MS, 6000, 20000);
}

/* A life of a second or more is followed by the next at once: manager sees it run. */
static void a_restart_at_once_says_how_the_life_before_ended(void **state)
{
	start(1000);
	attach_begin(&m, 0, true);
	write_text("old");
	life_ends(VM_REASON_RESET, 120);
	life_begins();
	attach_state_changed(&m, 0);
	assert_string_equal(screen, "Connected to web; ^] leaves.\r\n"
				    "old\x1b[0m\r\nvm web ended: reset, status 120\r\n"
				    "Connected to web; ^] leaves.\r\n");
	assert_int_equal(m.attached, 0);
	assert_int_equal(shared->attached, 1);
	write_text("new");
	attach_pump(&m);
	assert_string_equal(screen + on_screen - 3, "new");
	on_screen = 0;
	attach_state_changed(&m, 0); /* said once */
	assert_int_equal(on_screen, 0);
}

/* The same after a pause, by what was connected, whatever `console` says. */
static void a_later_restart_connects_again_what_was_connected(void **state)
{
	static const struct {
		bool leave, typing, again;
		u32 reason;
	} rows[] = {
		{.again = true, .reason = VM_REASON_RESET},
		{.leave = true, .reason = VM_REASON_RESET},
		{.typing = true, .reason = VM_REASON_RESET},
		{.reason = VM_REASON_DESTROYED},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		start(1000);
		attach_begin(&m, 0, true);
		write_text("old");
		if (rows[i].leave)
			attach_end(&m);
		life_ends(rows[i].reason, 7);
		attach_state_changed(&m, 0);
		assert_int_equal(m.attached, -1);
		if (rows[i].typing)
			editor_key(&m.editor, 'l');
		on_screen = 0;
		life_begins();
		attach_state_changed(&m, 0);
		assert_int_equal(m.attached, rows[i].again ? 0 : -1);
		if (rows[i].again) /* and what was shown is not shown once more */
			assert_string_equal(screen, "\r\nConnected to web; ^] leaves.\r\n");
	}
}

static void who_was_never_connected_does_not_take_the_terminal(void **state)
{
	start(1000);
	life_ends(VM_REASON_RESET, 120);
	attach_state_changed(&m, 0);
	life_begins();
	attach_state_changed(&m, 0);
	assert_int_equal(m.attached, -1);
	assert_int_equal(on_screen, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_of_an_ended_vm_is_shown_however_slow_the_terminal_is),
		cmocka_unit_test(a_terminal_that_takes_nothing_is_given_up),
		cmocka_unit_test(a_restart_at_once_says_how_the_life_before_ended),
		cmocka_unit_test(a_later_restart_connects_again_what_was_connected),
		cmocka_unit_test(who_was_never_connected_does_not_take_the_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
