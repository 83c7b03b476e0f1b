/*
 * A monitor gone wrong, in the place of vmm: its VM's command line says how. "fault" writes to
 * address 0, "exit" ends without a word, "loop" never gives up the CPU.
 */
#include "lib/string.h"
#include "services/proto.h"
#include "user/rt.h"

int program_main(void *arg)
{
	const struct vmm_start *start = arg;

	if (!strcmp(start->def.cmdline, "fault"))
		*(volatile u32 *)0 = 1;
	while (!strcmp(start->def.cmdline, "loop"))
		;
	return 5;
}
