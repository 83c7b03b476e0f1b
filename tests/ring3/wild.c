/*
 * A monitor gone wrong, in the place of vmm: its VM's command line says how. "fault" writes to
 * address 0, "exit" ends without a word, "loop" never gives up the CPU, "flood" starts programs
 * that fault, for the log.
 */
#include "lib/string.h"
#include "services/proto.h"
#include "user/rt.h"
#include "user/sys.h"

#define FLOOD 400
#define CHILD_QUOTA KiB(256)

static void flood(void)
{
	handle_t never = (handle_t)event_create();

	for (u32 i = 0; i < FLOOD; i++) {
		struct thread_args a = {.size = sizeof(a), .entry = PAGE_SIZE};
		handle_t d =
			(handle_t)domain_create(CHILD_QUOTA, "init, or so the log shall say   ");
		handle_t t = (handle_t)thread_create(d, &a);

		thread_set(t, THREAD_START, 0);
		event_wait(never, rt_clock_ns() + 1000000);
		handle_close(t);
		handle_close(d);
	}
}

int program_main(void *arg)
{
	const struct vmm_start *start = arg;

	if (!strcmp(start->def.cmdline, "fault"))
		*(volatile u32 *)0 = 1;
	while (!strcmp(start->def.cmdline, "loop"))
		;
	if (!strcmp(start->def.cmdline, "flood"))
		flood();
	return 5;
}
