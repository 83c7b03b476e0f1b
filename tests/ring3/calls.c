/*
 * What a channel call and its reply cost, of one word each, in ticks of the TSC: instructions under
 * QEMU's -icount shift=0 and in Bochs, also while VMs exist, of one vCPU each that has not run. The
 * root task of a test image, on one CPU; lines "calls: BENCH name VMs ticks slow operations", the
 * last 0 but from a kernel that counts them.
 */
#include "lib/string.h"
#include "tests/ring3/self.h"

#define BOARD_VA 0x10000000ull
#define CHILD_QUOTA MiB(1)
#define HANDLE_GIVEN ((handle_t)(1 << 16 | 1)) /* what the root task put into a child's table */
#define ROLE_SERVER 1u
#define ROLE_MONITOR 2u
#define ROUNDS 1000u
#define RUN_VA 0x20000000ull

static u64 ticks(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (u64)high << 32 | low;
}

/* Answers each call with the word behind the caller's. */
static void serve(handle_t channel)
{
	struct msg_page *msg = rt_msg();
	s64 words = 0;

	for (;;) {
		words = channel_reply_wait(channel, (u64)words, DEADLINE_NEVER);
		if (words < 0)
			domain_exit(0);
		msg->word[0]++;
	}
}

static void server(void *arg) { serve((handle_t)(u64)arg); }

static void call(handle_t channel, u64 value)
{
	struct msg_page *msg = rt_msg();
	s64 r;

	msg->word[0] = value;
	r = channel_call(channel, 1);
	check(r == 1 && msg->word[0] == value + 1, "an answer", r);
}

static void measure(const char *name, handle_t channel, u32 vms)
{
	u64 slow, start;

	for (u32 i = 0; i < 10; i++)
		call(channel, i);
	slow = host().slow_ops;
	start = ticks();
	for (u32 i = 0; i < ROUNDS; i++)
		call(channel, i);
	start = ticks() - start;
	slow = host().slow_ops - slow;
	say("BENCH %s %u %lu %lu", name, vms, start / ROUNDS, slow / ROUNDS);
}

/* A domain has one VM at most; it ends with the machine. */
static void own_vm(void)
{
	s64 vm = vm_create();

	if (vm > 0 && vcpu_create((handle_t)vm, 0, RUN_VA) > 0)
		event_wait((handle_t)event_create(), DEADLINE_NEVER);
	domain_exit(1);
}

static void create_vms(handle_t board, u32 count)
{
	while (host().objects[OBJ_VCPU] < count) {
		s64 d = domain_create(CHILD_QUOTA, "a monitor                       ");
		u32 after = host().objects[OBJ_VCPU] + 1, tries = 0;

		check(d > 0, "domain_create", d);
		check(load((handle_t)d, board, BOARD_VA), "load", 0);
		check(start((handle_t)d, 0, ROLE_MONITOR) > 0, "start", 0);
		while (host().objects[OBJ_VCPU] < after) {
			check(++tries < 1000, "a VM", count);
			sleep_ns(1000000);
		}
	}
}

static void root(const struct init_info *info)
{
	handle_t inside = (handle_t)channel_create(), across = (handle_t)channel_create(), board;
	static const u32 counts[] = {0, 1, 8, 64, 256};
	s64 d = domain_create(CHILD_QUOTA, "a server                        ");

	self_init("calls", info->system);
	board = (handle_t)mem_create(PAGE_SIZE, 0);
	check(d > 0, "domain_create", d);
	check(handle_dup(across, R_ALL, (handle_t)d) == HANDLE_GIVEN, "handle_dup", 0);
	check(load((handle_t)d, board, BOARD_VA), "load", 0);
	check(start((handle_t)d, 0, ROLE_SERVER) > 0, "start", 0);
	check(rt_thread(server, (void *)(u64)inside) > 0, "rt_thread", 0);
	for (u32 i = 0; i < ARRAY_SIZE(counts); i++) {
		create_vms(board, counts[i]);
		measure("channel-call", across, counts[i]);
		measure("channel-call-inside", inside, counts[i]);
	}
	say("PASS");
	finish(0);
}

int program_main(void *arg)
{
	if ((u64)arg == INIT_INFO_VA)
		root(arg);
	if ((u64)arg == ROLE_MONITOR)
		own_vm();
	if ((u64)arg == ROLE_SERVER)
		serve(HANDLE_GIVEN);
	return 0;
}
