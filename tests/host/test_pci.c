// SOURCES: vmm/pci.c vmm/exit_port.c vmm/reset_port.c vmm/state.c vmm/timer.c
/* PCI configuration, and the ports by which a guest ends: exit port and the three resets. */
#include "tests/host/vmm_fake.h"
#include "vmm/exit_port.h"
#include "vmm/pci.h"
#include "vmm/reset_port.h"

struct set {
	struct fake f;
	struct pci p;
	struct exit_port e;
	struct reset_port r;
};

static void start(struct set *s)
{
	memset(s, 0, sizeof(*s));
	fake_init(&s->f);
	pci_init(&s->p, &s->f.plat);
	exit_port_init(&s->e, &s->f.plat);
	reset_port_init(&s->r, &s->f.plat);
}

static u32 config(struct set *s, u32 address, u32 size)
{
	fake_write(&s->p.dev, 0, 4, 0x80000000 | (address & ~3u));
	return (u32)(fake_read(&s->p.dev, 4 + (address & 3), size) &
		     (size < 4 ? BIT(size * 8) - 1 : 0xffffffff));
}

static void host_bridge_is_found(void **state)
{
	struct set s;

	start(&s);
	assert_int_equal(config(&s, 0, 4), 0x29c08086);
	assert_int_equal(config(&s, 2, 2), 0x29c0);
	assert_int_equal(config(&s, 0x0a, 2), 0x0600);
	assert_int_equal(config(&s, 0x0e, 1), 0);
	fake_write(&s.p.dev, 4, 4, 0xffffffff);
	fake_write(&s.p.dev, 0, 4, 0x80000000);
	fake_write(&s.p.dev, 4, 4, 0xffffffff);
	assert_int_equal(config(&s, 0, 4), 0x29c08086); /* read-only */
	assert_int_equal(config(&s, 0xfc, 4), 0);
}

static void absent_functions_read_ones(void **state)
{
	static const u32 absent[] = {0x100, 0x800, 0xf800, 0x10000, 0xff0000};
	struct set s;

	start(&s);
	for (u32 i = 0; i < ARRAY_SIZE(absent); i++)
		assert_int_equal(config(&s, absent[i], 4), 0xffffffff);
	fake_write(&s.p.dev, 0, 4, 0); /* not enabled */
	assert_true((u32)fake_read(&s.p.dev, 4, 4) == 0xffffffff);
	fake_write(&s.p.dev, 0, 4, 0xffffffff);
	assert_int_equal(fake_read(&s.p.dev, 0, 4), 0x80fffffc);
	fake_write(&s.p.dev, 0, 1, 0); /* a byte is not an address */
	assert_int_equal(fake_read(&s.p.dev, 0, 4), 0x80fffffc);
}

static void ends(void **state)
{
	enum { PCI, EXIT, RESET };
	static const struct {
		u32 device, offset, size, value, ends, reason, status;
	} rows[] = {
		{PCI, 1, 1, 0x06, 1, VM_REASON_RESET, VM_STATUS_RESET},
		{PCI, 1, 1, 0x0e, 1, VM_REASON_RESET, VM_STATUS_RESET},
		{PCI, 1, 1, 0x02, 0, 0, 0},
		{PCI, 0, 4, 0x80000600, 0, 0, 0},
		{EXIT, 0, 1, 7, 1, VM_REASON_EXIT_PORT, 7},
		{EXIT, 0, 4, 0x12345678, 1, VM_REASON_EXIT_PORT, 0x12345678},
		{EXIT, 1, 1, 7, 0, 0, 0},
		{RESET, RESET_KBC, 1, 0xfe, 1, VM_REASON_RESET, VM_STATUS_RESET},
		{RESET, RESET_KBC, 1, 0xd1, 0, 0, 0},
		{RESET, RESET_PORT_A, 1, 0x03, 1, VM_REASON_RESET, VM_STATUS_RESET},
		{RESET, RESET_PORT_A, 1, 0xfe, 0, 0, 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		struct set s;
		struct device *const dev[] = {&s.p.dev, &s.e.dev, &s.r.dev};

		start(&s);
		fake_write(dev[rows[i].device], rows[i].offset, rows[i].size, rows[i].value);
		if (s.f.ends != rows[i].ends || s.f.reason != rows[i].reason ||
		    s.f.status != rows[i].status)
			fail_msg("row %u: %u ends, reason %u, status %u", i, s.f.ends, s.f.reason,
				 s.f.status);
	}
}

static void reset_ports_read_back(void **state)
{
	struct set s;

	start(&s);
	assert_int_equal(fake_read(&s.r.dev, RESET_KBC, 1), 0xff);
	assert_int_equal(fake_read(&s.r.dev, RESET_PORT_A, 1), 2);
	fake_write(&s.r.dev, RESET_PORT_A, 1, 0);
	assert_int_equal(fake_read(&s.r.dev, RESET_PORT_A, 1), 0);
	fake_write(&s.p.dev, 1, 1, 0x02);
	assert_int_equal(fake_read(&s.p.dev, 1, 1), 0x02);
}

static void state_moves(void **state)
{
	struct set s, t;

	start(&s);
	start(&t);
	fake_write(&s.p.dev, 0, 4, 0x8000000c);
	fake_write(&s.p.dev, 4, 1, 0x10);
	fake_write(&s.r.dev, RESET_PORT_A, 1, 0);
	fake_check_state(&s.p.dev, &t.p.dev);
	fake_check_state(&s.r.dev, &t.r.dev);
	fake_check_state(&s.e.dev, &t.e.dev);
	assert_int_equal(fake_read(&t.p.dev, 4, 1), 0x10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_bridge_is_found),
		cmocka_unit_test(absent_functions_read_ones),
		cmocka_unit_test(ends),
		cmocka_unit_test(reset_ports_read_back),
		cmocka_unit_test(state_moves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
