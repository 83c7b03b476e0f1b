// SOURCES: vmm/bus.c vmm/pic.c vmm/ioapic.c vmm/irq.c vmm/pit.c vmm/rtc.c vmm/uart.c vmm/acpi_pm.c vmm/pci.c vmm/exit_port.c vmm/reset_port.c vmm/state.c vmm/timer.c
/* All device models under a guest that writes anything anywhere at any time, moved to fresh ones in between. */
#include "tests/host/vmm_fake.h"
#include "vmm/acpi_pm.h"
#include "vmm/bus.h"
#include "vmm/exit_port.h"
#include "vmm/irq.h"
#include "vmm/pci.h"
#include "vmm/pit.h"
#include "vmm/reset_port.h"
#include "vmm/rtc.h"
#include "vmm/uart.h"

#define DEVICES 9

struct pc {
	struct fake f;
	struct irq irq;
	struct pit pit;
	struct rtc rtc;
	struct uart uart;
	struct acpi_pm pm;
	struct pci pci;
	struct exit_port exit;
	struct reset_port reset;
	struct uart_peer peer;
	struct bus ports, mmio;
	struct device *all[DEVICES];
	u64 seed;
};

static u32 chance(struct pc *pc)
{
	pc->seed = pc->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(pc->seed >> 33);
}

static struct pc *pc_of(struct platform *p) { return container_of(fake_of(p), struct pc, f); }
static void pc_line(struct platform *p, u32 irq, bool up) { irq_set(&pc_of(p)->irq, irq, up); }
static void pc_msi(struct platform *p, u64 address, u32 data)
{
	assert_true(address >> 20 == 0xfee);
	assert_int_equal(data >> 16, 0);
}

static const struct platform_ops pc_ops = {
	.now = fake_now, .line = pc_line, .timer = fake_timer, .msi = pc_msi, .end = fake_end,
};

static bool peer_put(struct uart_peer *p, u8 c) { return chance(container_of(p, struct pc, peer)) & 7; }
static s32 peer_get(struct uart_peer *p) { return (s32)(chance(container_of(p, struct pc, peer)) & 0x1ff) - 0x100; }
static void peer_flush(struct uart_peer *p) {}
static const struct uart_peer_ops peer_ops = {.put = peer_put, .get = peer_get, .flush = peer_flush};

static void build(struct pc *pc)
{
	struct platform *p = &pc->f.plat;
	struct {
		u64 base, size;
		struct device *dev;
		u64 offset;
	} row[] = {
		{0x20, 2, &pc->irq.pic.dev, 0},	 {0xa0, 2, &pc->irq.pic.dev, 2}, {0x4d0, 2, &pc->irq.pic.dev, 4},
		{0x40, 4, &pc->pit.dev, 0},	 {0x61, 1, &pc->pit.dev, 4},	 {0x64, 1, &pc->reset.dev, 0},
		{0x92, 1, &pc->reset.dev, 1},	 {0x70, 2, &pc->rtc.dev, 0},	 {0xf4, 4, &pc->exit.dev, 0},
		{0x3f8, 8, &pc->uart.dev, 0},	 {0x600, 12, &pc->pm.dev, 0},	 {0xcf8, 8, &pc->pci.dev, 0},
	};
	struct device *all[DEVICES] = {&pc->irq.pic.dev, &pc->irq.ioapic.dev, &pc->pit.dev, &pc->rtc.dev, &pc->uart.dev,
				       &pc->pm.dev, &pc->pci.dev, &pc->exit.dev, &pc->reset.dev};

	memset(pc, 0, sizeof(*pc));
	p->ops = &pc_ops;
	pc->peer.ops = &peer_ops;
	irq_init(&pc->irq, p);
	pit_init(&pc->pit, p);
	rtc_init(&pc->rtc, p, 1700000000, GiB(1), 0);
	uart_init(&pc->uart, p, &pc->peer, IRQ_COM1);
	acpi_pm_init(&pc->pm, p);
	pci_init(&pc->pci, p);
	exit_port_init(&pc->exit, p);
	reset_port_init(&pc->reset, p);
	for (u32 i = 0; i < ARRAY_SIZE(row); i++)
		assert_int_equal(bus_register(&pc->ports, row[i].base, row[i].size, row[i].dev, row[i].offset), 0);
	assert_int_equal(bus_register(&pc->mmio, IOAPIC_BASE, IOAPIC_BYTES, &pc->irq.ioapic.dev, 0), 0);
	memcpy(pc->all, all, sizeof(all));
}

static void step(struct pc *pc)
{
	struct bus *b = chance(pc) & 3 ? &pc->ports : &pc->mmio;
	const struct bus_range *r = &b->range[chance(pc) % b->ranges];
	u64 addr = r->base + chance(pc) % MIN(r->size, 0x44) - (chance(pc) & 15 ? 0 : 1);
	u32 size = 1u << (chance(pc) & (b == &pc->mmio ? 3 : 1));

	switch (chance(pc) & 15) {
	case 0:
		fake_pass(&pc->f, chance(pc) % 50000000);
		break;
	case 1:
		uart_poll(&pc->uart);
		break;
	case 2:
		assert_in_range(irq_ack(&pc->irq) + 1, 0, 256);
		irq_eoi(&pc->irq, (u8)chance(pc));
		break;
	case 3:
		acpi_pm_button(&pc->pm);
		break;
	case 4: case 5: case 6: case 7:
		bus_read(b, addr, size);
		break;
	default:
		bus_write(b, addr, size, (u64)chance(pc) << 32 ^ chance(pc));
	}
}

/* Every section goes to a fresh machine and comes out of it the same. */
static void move(struct pc *from, struct pc *to)
{
	static u8 a[4096], b[4096];
	size_t n;

	to->f.now = from->f.now;
	for (u32 i = DEVICES; i-- > 0;) { /* the controllers last: the others drive their lines when restored */
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
		build(&pc);
		pc.seed = round;
		for (u32 i = 0; i < 5000; i++)
			step(&pc);
	}
}

static void any_state_can_move(void **s)
{
	static struct pc pc, fresh;

	for (u32 round = 0; round < 200; round++) {
		build(&pc);
		build(&fresh);
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
