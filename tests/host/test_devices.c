// SOURCES: vmm/bus.c vmm/pic.c vmm/ioapic.c vmm/irq.c vmm/pit.c vmm/rtc.c vmm/uart.c vmm/acpi_pm.c
// SOURCES: vmm/pci.c vmm/exit_port.c vmm/reset_port.c vmm/fw_cfg.c vmm/cpu_hotplug.c vmm/state.c
// SOURCES: vmm/timer.c
/*
 * All device models under a guest that writes anything anywhere at any time, moved to fresh ones in
 * between.
 */
#include "tests/host/vmm_pc.h"

static u32 chance(struct pc *pc)
{
	pc->seed = pc->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(pc->seed >> 33);
}

static void step(struct pc *pc)
{
	struct bus *b = chance(pc) & 3 ? &pc->ports : &pc->mmio;
	const struct bus_range *r = &b->range[chance(pc) % b->ranges];
	u64 addr = r->base + chance(pc) % MIN(r->size, 0x44) - (chance(pc) & 15 ? 0 : 1);
	u32 size = 1u << (chance(pc) & (b == &pc->mmio ? 3 : 1));

	switch (chance(pc) & 15) {
	case 0: fake_pass(&pc->f, chance(pc) % 50000000); break;
	case 1: uart_poll(&pc->uart); break;
	case 2:
		assert_in_range(irq_ack(&pc->irq) + 1, 0, 256);
		irq_eoi(&pc->irq, (u8)chance(pc));
		break;
	case 3:
		if (chance(pc) & 1)
			acpi_pm_button(&pc->pm);
		else
			pc_hotplug(pc);
		break;
	case 4:
	case 5:
	case 6:
	case 7: bus_read(b, addr, size); break;
	default: bus_write(b, addr, size, (u64)chance(pc) << 32 ^ chance(pc));
	}
}

/* Every section goes to a fresh machine and comes out of it the same. */
static void move(struct pc *from, struct pc *to)
{
	static u8 a[4096], b[4096];
	size_t n;

	to->f.now = from->f.now;
	/* the controllers last: the others drive their lines when restored */
	for (u32 i = DEVICES; i-- > 0;) {
		n = state_save(from->all[i], a, sizeof(a));
		assert_int_equal(state_load(to->all[i], a, n), n);
	}
	for (u32 i = 0; i < DEVICES; i++) {
		n = state_save(from->all[i], a, sizeof(a));
		assert_int_equal(state_save(to->all[i], b, sizeof(b)), n);
		if (memcmp(a, b, n))
			fail_msg("%s changed on the way", from->all[i]->ops->name);
	}
}

static void nothing_that_a_guest_does_breaks_a_model(void **s)
{
	static struct pc pc;

	for (u32 round = 0; round < 40; round++) {
		pc_build(&pc);
		pc.seed = round;
		for (u32 i = 0; i < 5000; i++)
			step(&pc);
	}
}

static void any_state_can_move(void **s)
{
	static struct pc pc, fresh;

	for (u32 round = 0; round < 200; round++) {
		pc_build(&pc);
		pc_build(&fresh);
		pc.seed = 1000 + round;
		for (u32 i = 0; i < 300; i++)
			step(&pc);
		/* Time-dependent state is brought up to date first, as a save at a stop does. */
		for (u32 i = 0; i < DEVICES; i++)
			if (pc.all[i]->ops->restored)
				pc.all[i]->ops->restored(pc.all[i]);
		move(&pc, &fresh);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_that_a_guest_does_breaks_a_model),
		cmocka_unit_test(any_state_can_move),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
