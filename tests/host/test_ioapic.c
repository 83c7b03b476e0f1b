// SOURCES: vmm/ioapic.c vmm/pic.c vmm/irq.c vmm/state.c vmm/timer.c
/*
 * The I/O APIC: messages, level semantics, remote IRR, and the routing of lines to both
 * controllers.
 */
#include "tests/host/vmm_fake.h"
#include "vmm/irq.h"

/* clang-format off */
enum {
	SEL = 0x00, WIN = 0x10, EOIR = 0x40, LEVEL = 1 << 15, MASKED = 1 << 16,
	REMOTE_IRR = 1 << 14,
};
/* clang-format on */

struct set {
	struct fake f;
	struct ioapic a;
};

static u32 get(struct ioapic *a, u32 reg)
{
	fake_write(&a->dev, SEL, 4, reg);
	return (u32)fake_read(&a->dev, WIN, 4);
}

static void put(struct ioapic *a, u32 reg, u32 v)
{
	fake_write(&a->dev, SEL, 4, reg);
	fake_write(&a->dev, WIN, 4, v);
}

static void entry(struct ioapic *a, u32 pin, u32 high, u32 low)
{
	put(a, 0x11 + pin * 2, high);
	put(a, 0x10 + pin * 2, low);
}

static void start(struct set *s)
{
	memset(s, 0, sizeof(*s));
	fake_init(&s->f);
	ioapic_init(&s->a, &s->f.plat);
}

static void registers_after_reset(void **state)
{
	struct set s;

	start(&s);
	assert_int_equal(get(&s.a, 1), 0x00170020);
	put(&s.a, 0, 0xffffffff);
	assert_int_equal(get(&s.a, 0), 0x0f000000);
	for (u32 pin = 0; pin < 24; pin++)
		assert_int_equal(get(&s.a, 0x10 + pin * 2), MASKED);
	entry(&s.a, 3, 0xffffffff, 0xffffffff);
	assert_int_equal(get(&s.a, 0x16), 0x1afff); /* status and remote IRR are read-only */
	assert_int_equal(get(&s.a, 0x17), 0xff000000);
	assert_int_equal(get(&s.a, 0x40), 0);
	put(&s.a, 0xff, 0xffffffff);
}

static void an_edge_is_one_message(void **state)
{
	struct set s;

	start(&s);
	entry(&s.a, 4, 0x03000000, 0x0831); /* logical, destination 3, vector 0x31 */
	ioapic_set(&s.a, 4, true);
	ioapic_set(&s.a, 4, true);
	ioapic_set(&s.a, 4, false);
	assert_int_equal(s.f.msis, 1);
	assert_true(s.f.msi[0].address == 0xfee03004);
	assert_int_equal(s.f.msi[0].data, 0x31);
	put(&s.a, 0x18, MASKED | 0x31);
	ioapic_set(&s.a, 4, true);
	put(&s.a, 0x18, 0x31);
	assert_int_equal(s.f.msis, 1); /* a masked edge is lost */
}

static void a_level_asks_again_after_each_end(void **state)
{
	struct set s;

	start(&s);
	entry(&s.a, 9, 0, LEVEL | 0x59);
	ioapic_set(&s.a, 9, true);
	assert_int_equal(s.f.msis, 1);
	assert_int_equal(s.f.msi[0].data & 0x80ff, 0x8059);
	assert_int_equal(get(&s.a, 0x22), LEVEL | REMOTE_IRR | 0x59);
	ioapic_set(&s.a, 9, false);
	ioapic_set(&s.a, 9, true);
	assert_int_equal(s.f.msis, 1); /* remote IRR holds it */
	ioapic_eoi(&s.a, 0x58);
	assert_int_equal(s.f.msis, 1);
	ioapic_eoi(&s.a, 0x59);
	assert_int_equal(s.f.msis, 2);
	ioapic_set(&s.a, 9, false);
	fake_write(&s.a.dev, EOIR, 4, 0x59);
	assert_int_equal(s.f.msis, 2);
	assert_int_equal(get(&s.a, 0x22), LEVEL | 0x59);
}

static void an_nmi_is_an_edge_whatever_the_entry_says(void **state)
{
	struct set s;

	start(&s);
	entry(&s.a, 9, 0, LEVEL | 0x400);
	ioapic_set(&s.a, 9, true);
	ioapic_set(&s.a, 9, true);
	assert_int_equal(s.f.msis, 1);
	assert_int_equal(s.f.msi[0].data, 0x400);
	assert_int_equal(get(&s.a, 0x22), LEVEL | 0x400);
}

static void unmasking_a_high_level_sends(void **state)
{
	struct set s;

	start(&s);
	entry(&s.a, 9, 0, LEVEL | MASKED | 0x59);
	ioapic_set(&s.a, 9, true);
	assert_int_equal(s.f.msis, 0);
	put(&s.a, 0x22, LEVEL | 0x59);
	assert_int_equal(s.f.msis, 1);
	put(&s.a, 0x22, MASKED | 0x59); /* through edge mode: remote IRR is forgotten */
	assert_int_equal(get(&s.a, 0x22), MASKED | 0x59);
}

static void lines_reach_both_controllers(void **state)
{
	struct fake f;
	struct irq q;

	fake_init(&f);
	memset(&q, 0, sizeof(q));
	irq_init(&q, &f.plat);
	entry(&q.ioapic, 2, 0, 0x30);
	irq_set(&q, 0, true); /* the timer is on pin 2 */
	assert_int_equal(f.msis, 1);
	assert_int_equal(f.msi[0].data, 0x30);
	fake_write(&q.pic.dev, 1, 1, 0xfe);
	assert_int_equal(f.msis, 2);
	assert_int_equal(f.msi[1].data, 0x700);
	assert_int_equal(irq_ack(&q), 0x08);
	irq_set(&q, 2, true);
	irq_set(&q, 99, true);
	assert_int_equal(f.msis, 2);
	entry(&q.ioapic, 20, 0, LEVEL | 0x60);
	irq_set(&q, 20, true);
	assert_int_equal(f.msis, 3);
	irq_eoi(&q, 0x60);
	assert_int_equal(f.msis, 4);
}

static void state_moves(void **state)
{
	struct set s, t;

	start(&s);
	start(&t);
	entry(&s.a, 9, 0x05000000, LEVEL | 0x59);
	ioapic_set(&s.a, 9, true);
	put(&s.a, 0, 0x02000000);
	fake_check_state(&s.a.dev, &t.a.dev);
	ioapic_eoi(&t.a, 0x59);
	assert_int_equal(t.f.msis, 1);
	assert_true(t.f.msi[0].address == 0xfee05000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_after_reset),
		cmocka_unit_test(an_edge_is_one_message),
		cmocka_unit_test(a_level_asks_again_after_each_end),
		cmocka_unit_test(an_nmi_is_an_edge_whatever_the_entry_says),
		cmocka_unit_test(unmasking_a_high_level_sends),
		cmocka_unit_test(lines_reach_both_controllers),
		cmocka_unit_test(state_moves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
