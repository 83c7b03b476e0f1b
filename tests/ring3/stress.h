/* The parts of the hostile program: see stress.c. */
#pragma once

#include "tests/ring3/self.h"

#define BOARD_VA 0x10000000ull	/* one page that all its domains share */
#define SHARED_VA 0x20000000ull /* where workers map and unmap */
#define SHARED_PAGES 64
#define SCRATCH_VA                                                                                 \
	0x30000000ull /* a page for each thread of a worker, and what it needs for a VM */
#define CPUS_WATCHED 4u

/* What the box puts into the table of each worker first: index 1, 2, ... of generation 1. */
enum shared {
	SHARED_SYSTEM = 1,
	SHARED_EVENT,
	SHARED_PORT,
	SHARED_CHANNEL,
	SHARED_MEM,
	SHARED_END
};

enum role { ROLE_NONE, ROLE_BOX, ROLE_WORKER, ROLE_BYSTANDER, ROLE_SPINNER };
/* thread_args.arg: role in bits 0-3, index of the thread in 4-7, above them the seed. */
#define ROLE_ARG(role, index, seed) ((u64)(seed) << 8 | (u64)(index) << 4 | (u64)(role))

/* Small programs that workers start and end. */
enum child { CHILD_EXITS, CHILD_FAULTS, CHILD_LOOPS, CHILDREN };

/* [a] all; what workers do by mistake to the page spoils the counts, and the test says so */
struct board {
	u64 calls, goal, share; /* goal, share: when the box ends */
	u64 accepted[SYS_CALLS], refused[SYS_CALLS];
	u64 children[CHILDREN]; /* ended, each as it should */
	u64 exhausted;		/* times that a worker's quota was used up to the last bytes */
	u64 halts, cpuids;	/* times that the kernel was seen to serve a guest's HLT, CPUID */
	u64 beats[CPUS_WATCHED], latest_ns[CPUS_WATCHED];
	u64 gap_ns[2]; /* longest, of the spinners */
};
static_assert(sizeof(struct board) <= PAGE_SIZE, "one page");
#define BOARD ((volatile struct board *)BOARD_VA)

/* Makes calls for ever. */
void worker(u32 index, u64 seed);

/* Code that must end its domain by an exception, each piece in a domain of its own. */
void traps(handle_t board);
