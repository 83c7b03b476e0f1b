/*
 * Command line: seed=N (default 1), ops=N (default 0: without end), exact: the seed as it is, else
 * the time of start is mixed in, so that a VM that was restarted goes another way. trace=N: prints
 * each operation from the Nth on. calm: operations begin with IF set and TF clear, and neither
 * change that nor turn breakpoints on.
 */
#include "hostile.h"

TEST_NAME("hostile");

#define REPORT_EVERY 2048u
#define REPAIR_EVERY 64u
#define RENEW_EVERY 512u

static u64 start_seed(void)
{
	static const u8 clock[] = {0, 2, 4, 7, 8};
	u64 seed = command_line_number("seed=", 1);

	for (u32 i = 0; !command_line_has("exact") && i < ARRAY_SIZE(clock); i++) {
		outb(0x70, clock[i]);
		seed = seed * 1000003 + inb(0x71);
	}
	return seed;
}

static void report(u64 n, u64 seed)
{
	console_put_back();
	print("\nhostile: seed 0x%llx did %u, %u had no end, of each kind", seed, (u32)n,
	      world_endless);
	for (u32 i = 0; i < KINDS; i++)
		print(" %u", ops_done[i]);
	print("\n");
}

void test_main(void)
{
	u64 seed = start_seed(), ops = command_line_number("ops=", 0),
	    trace = command_line_number("trace=", ~0ull);

	calm = command_line_has("calm");
	rnd_seed(seed);
	world_init();
	ops_init();
	report(0, seed);
	for (u64 n = 1; !ops || n <= ops; n++) {
		tracing = n >= trace;
		ops_one();
		if (n % REPAIR_EVERY == 0)
			world_repair();
		if (n % RENEW_EVERY == 0) {
			world_renew();
			ops_init();
		}
		if (n % REPORT_EVERY == 0)
			report(n, seed);
	}
	world_renew();
	report(ops, seed);
	end_machine(0);
}
