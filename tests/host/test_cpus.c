// SOURCES: vmm/cpus.c vmm/cpu_hotplug.c vmm/acpi_pm.c vmm/state.c vmm/timer.c
/*
 * Which vCPUs a guest has: who comes and who is asked to go, and that a vCPU's thread stands, in
 * its reset state, until the guest gets it.
 */
#include <stdlib.h>

#include "tests/host/vmm_fake.h"
#include "vmm/vcpu.h"

#include "user/sys.h"

enum { POSSIBLE = 4, GATES = 100 }; /* the gates' handles: 100 and up */

#define OFFSET 12345 /* of the VM's TSC at its creation */
#define STOOD 45

static struct machine m;
static struct vm_shared shared;
static struct vcpu vcpu[POSSIBLE];
static u64 signalled, kicked, resets, inits, waits;
static u64 here_at_init;      /* what the guest saw when the INIT was sent */
static void (*on_wait)(void); /* what happens while a thread stands */

void *rt_alloc(size_t n) { return calloc(1, n); }
void rt_log(const char *fmt, ...) {}
const char *rt_error(s64 e) { return ""; }

s64 pause_here(struct vcpu *v) { return 0; }
void msr_init(struct msr_state *s) { s->misc_enable = 1; }

s64 sys_call6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	switch (nr) {
	case SYS_EVENT_SIGNAL: signalled |= BIT(a - GATES); return 0;
	case SYS_EVENT_WAIT:
		assert_in_range(++waits, 1, 10);
		on_wait();
		return 1;
	case SYS_VCPU_KICK: kicked |= BIT(a); return 0;
	case SYS_VCPU_GET:
		((struct vcpu_state *)b)->rip = 0xfff0;
		((struct vcpu_state *)b)->clock.tsc_offset = OFFSET;
		return 0;
	case SYS_VCPU_SET:
		assert_int_equal(((struct vcpu_state *)b)->rip, 0xfff0);
		assert_int_equal(((struct vcpu_state *)b)->groups, STATE_ALL);
		assert_int_equal(((struct vcpu_state *)b)->clock.tsc_offset,
				 OFFSET - m.clock.stood.tsc);
		assert_int_equal(((struct vcpu_state *)b)->clock.tsc_deadline, 0);
		resets |= BIT(a);
		return 0;
	case SYS_VM_MSI:
		assert_int_equal(c, 5 << 8); /* INIT */
		inits |= BIT(b >> 12 & 0xff);
		here_at_init = m.cpu_hotplug.here;
		return 0;
	default: fail_msg("call %lu", nr); return 0;
	}
}

static void answer(struct platform *p, u32 cpu, u32 status) { cpus_answer(&m, cpu, status); }

/* A guest that has `boot` CPUs. */
static void start(u32 boot)
{
	static struct fake f;
	static struct platform_ops ops;

	fake_init(&f);
	ops = fake_ops;
	ops.cpu_answer = answer;
	f.plat.ops = &ops;
	memset(&m, 0, sizeof(m));
	memset(&shared, 0, sizeof(shared));
	m.vcpus = POSSIBLE;
	signalled = kicked = resets = inits = waits = 0;
	acpi_pm_init(&m.acpi_pm, &f.plat);
	cpu_hotplug_init(&m.cpu_hotplug, &f.plat, boot, POSSIBLE);
	for (u32 i = 0; i < POSSIBLE; i++) {
		vcpu[i] = (struct vcpu){.m = &m, .handle = i, .index = i};
		m.vcpu[i] = i;
		m.pause.gate[i] = GATES + i;
		vcpu[i].state.rip = 0x1000; /* it has run, and its guest has set its TSC */
		vcpu[i].state.clock.tsc_offset = 1;
		vcpu[i].state.clock.tsc_deadline = 1;
	}
	assert_int_equal(cpus_init(&m, &shared, &vcpu[1]), 0);
	m.clock.stood.tsc = STOOD;
}

static void stop(void) { free(m.cpus.reset); }

static void eject(u32 cpu)
{
	fake_write(&m.cpu_hotplug.dev, 0, 4, cpu);
	fake_write(&m.cpu_hotplug.dev, 4, 1, 8);
}

static void all_four(void) { cpus_set(&m, 4); }
static void nothing(void) {}

static void begins_as_defined_or_as_before(void **state)
{
	static const struct {
		u64 before;
		u32 wanted;
	} rows[] = {{0, 2}, {1, 1}, {0xb, 3}, {0xf, 4}, {0x1f, 2}, {~0ull, 2}};
	const struct vm_def def = {.vcpus = 2, .vcpus_max = 4};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		shared.vcpus = rows[i].before;
		assert_int_equal(cpus_at_start(&def, &shared), rows[i].wanted);
	}
}

/*
 * Its thread is kicked before it enters the guest, resets the vCPU, and sends INIT before it is
 * seen.
 */
static void those_that_the_guest_has_not_stand(void **state)
{
	start(2);
	assert_int_equal(kicked, 0xc);
	assert_int_equal(shared.vcpus, 3);
	assert_int_equal(cpus_stand(&vcpu[1]), 0);
	assert_int_equal(waits, 0);
	on_wait = all_four;
	assert_int_equal(cpus_stand(&vcpu[2]), 0);
	assert_int_equal(waits, 1);
	assert_int_equal(resets, BIT(2));
	assert_int_equal(vcpu[2].msr.misc_enable, 1);
	assert_int_equal(inits, BIT(2));
	assert_int_equal(here_at_init, 3);
	assert_int_equal(shared.vcpus, 7);
	assert_int_equal(m.cpu_hotplug.here, 7);
	assert_int_equal(m.acpi_pm.gpe_status, 4);
	assert_int_equal(signalled, 0xc);
	assert_int_equal(cpus_stand(&vcpu[2]), 0); /* and now it runs */
	assert_int_equal(waits, 1);
	stop();
}

static void highest_are_asked_to_go_and_stand(void **state)
{
	start(4);
	cpus_set(&m, 2);
	assert_int_equal(m.cpu_hotplug.must_go, 0xc);
	assert_int_equal(m.acpi_pm.gpe_status, 4);
	assert_int_equal(kicked, 0);
	eject(3);
	assert_int_equal(kicked, BIT(3));
	assert_int_equal(shared.vcpus, 7);
	on_wait = all_four;
	assert_int_equal(cpus_stand(&vcpu[3]), 0);
	assert_int_equal(resets, BIT(3));
	assert_int_equal(inits, BIT(3));
	assert_int_equal(shared.vcpus, 0xf);
	assert_int_equal(m.cpu_hotplug.must_go, 0); /* the wish for 2 is withdrawn */
	stop();
}

/* The guest takes it back before its thread has looked: it goes through its reset all the same. */
static void one_that_comes_back_at_once_is_reset(void **state)
{
	start(4);
	eject(2);
	cpus_set(&m, 4);
	assert_int_equal(m.cpu_hotplug.here, 0xb);
	on_wait = nothing;
	assert_int_equal(cpus_stand(&vcpu[2]), 0);
	assert_int_equal(resets, BIT(2));
	assert_int_equal(inits, BIT(2));
	assert_int_equal(m.cpu_hotplug.here, 0xf);
	assert_int_equal(m.cpu_hotplug.came, BIT(2));
	stop();
}

/* Wanted, and wanted back before its thread has come. */
static void one_on_its_way_in_is_asked_back(void **state)
{
	start(2);
	cpus_set(&m, 3);
	cpus_set(&m, 2);
	assert_int_equal(m.cpu_hotplug.must_go, 0);
	assert_int_equal(cpus_stand(&vcpu[2]), 0);
	assert_int_equal(m.cpu_hotplug.must_go, BIT(2));
	eject(2);
	assert_int_equal(m.cpus.on, 3);
	assert_int_equal(m.cpus.gone, 0xc);
	stop();
}

static void counts_that_can_not_be_change_nothing(void **state)
{
	static const u32 counts[] = {0, 5, 64, ~0u};

	start(2);
	for (u32 i = 0; i < ARRAY_SIZE(counts); i++)
		cpus_set(&m, counts[i]);
	assert_int_equal(m.cpus.on, 3);
	assert_int_equal(m.cpu_hotplug.must_go, 0);
	cpus_set(&m, 1);
	assert_int_equal(m.cpu_hotplug.must_go, 2); /* never the boot CPU */
	stop();
}

static void refusal_is_told(void **state)
{
	start(2);
	cpus_answer(&m, 1, 0x82);
	assert_int_equal(shared.vcpus_refused, 0x82);
	assert_int_equal(shared.vcpus, 3);
	assert_int_equal(kicked, 0xc);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begins_as_defined_or_as_before),
		cmocka_unit_test(those_that_the_guest_has_not_stand),
		cmocka_unit_test(highest_are_asked_to_go_and_stand),
		cmocka_unit_test(one_that_comes_back_at_once_is_reset),
		cmocka_unit_test(one_on_its_way_in_is_asked_back),
		cmocka_unit_test(counts_that_can_not_be_change_nothing),
		cmocka_unit_test(refusal_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
