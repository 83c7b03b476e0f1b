// SOURCES: vmm/pic.c vmm/state.c vmm/timer.c
/* The two 8259s: priorities, cascade, end of interrupt, edge and level. */
#include "tests/host/vmm_fake.h"
#include "vmm/pic.h"

struct set {
	struct fake f;
	struct pic p;
};

static void program(struct pic *p, u8 master_icw4, u8 mask0, u8 mask1)
{
	const struct {
		u8 port, value;
	} w[] = {{0, 0x11}, {1, 0x20}, {1, 0x04}, {1, master_icw4}, {2, 0x11},
		 {3, 0x28}, {3, 0x02}, {3, 0x01}, {1, mask0},	    {3, mask1}};

	for (u32 i = 0; i < ARRAY_SIZE(w); i++)
		fake_write(&p->dev, w[i].port, 1, w[i].value);
}

static void start(struct set *s, u8 master_icw4)
{
	memset(s, 0, sizeof(*s));
	fake_init(&s->f);
	pic_init(&s->p, &s->f.plat);
	program(&s->p, master_icw4, 0, 0);
}

static void pulse(struct pic *p, u32 irq)
{
	pic_set(p, irq, true);
	pic_set(p, irq, false);
}

static void edge_is_delivered_once(void **state)
{
	struct set s;

	start(&s, 0x01);
	pic_set(&s.p, 4, true);
	assert_int_equal(s.f.msis, 1);
	assert_int_equal(s.f.msi[0].data, 0x700);
	assert_true(s.f.msi[0].address == 0xfee00000);
	assert_int_equal(pic_ack(&s.p), 0x24);
	assert_int_equal(pic_ack(&s.p), -1);
	fake_write(&s.p.dev, 0, 1, 0x20);
	assert_int_equal(pic_ack(&s.p), -1); /* still high: no new edge */
	pulse(&s.p, 4);
	pic_set(&s.p, 4, true);
	assert_int_equal(pic_ack(&s.p), 0x24);
}

static void higher_priority_goes_first(void **state)
{
	struct set s;

	start(&s, 0x01);
	pulse(&s.p, 5);
	pulse(&s.p, 3);
	assert_int_equal(pic_ack(&s.p), 0x23);
	assert_int_equal(pic_ack(&s.p), -1); /* 5 waits for the end of 3 */
	pulse(&s.p, 1);
	assert_int_equal(pic_ack(&s.p), 0x21);
	fake_write(&s.p.dev, 0, 1, 0x20); /* ends 1 */
	assert_int_equal(pic_ack(&s.p), -1);
	fake_write(&s.p.dev, 0, 1, 0x63); /* specific: 3 */
	assert_int_equal(pic_ack(&s.p), 0x25);
}

static void slave_comes_through_the_cascade(void **state)
{
	struct set s;

	start(&s, 0x01);
	pulse(&s.p, 8);
	pulse(&s.p, 12);
	assert_int_equal(pic_ack(&s.p), 0x28);
	fake_write(&s.p.dev, 2, 1, 0x20);
	assert_int_equal(pic_ack(&s.p), -1); /* the master still serves the cascade */
	fake_write(&s.p.dev, 0, 1, 0x20);
	assert_int_equal(pic_ack(&s.p), 0x2c);
	fake_write(&s.p.dev, 2, 1, 0x0b);
	assert_int_equal(fake_read(&s.p.dev, 2, 1), 0x10);
	fake_write(&s.p.dev, 0, 1, 0x0b);
	assert_int_equal(fake_read(&s.p.dev, 0, 1), 0x04);
}

static void level_line_asks_until_it_falls(void **state)
{
	struct set s;

	start(&s, 0x01);
	assert_int_equal(fake_read(&s.p.dev, PIC_ELCR + 1, 1), 0x02); /* the SCI */
	fake_write(&s.p.dev, PIC_ELCR, 1, 0xff);
	/* timer, keyboard, cascade stay edges */
	assert_int_equal(fake_read(&s.p.dev, PIC_ELCR, 1), 0xf8);
	pic_set(&s.p, 9, true);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(pic_ack(&s.p), 0x29);
		fake_write(&s.p.dev, 2, 1, 0x20);
		fake_write(&s.p.dev, 0, 1, 0x20);
	}
	assert_int_equal(s.f.msis, 4);
	pic_set(&s.p, 9, false);
	assert_int_equal(pic_ack(&s.p), -1);
}

static void mask_holds_back(void **state)
{
	struct set s;

	start(&s, 0x01);
	fake_write(&s.p.dev, 1, 1, 0x10);
	pulse(&s.p, 4);
	assert_int_equal(s.f.msis, 0);
	assert_int_equal(pic_ack(&s.p), -1);
	fake_write(&s.p.dev, 1, 1, 0);
	assert_int_equal(s.f.msis, 1);
	assert_int_equal(pic_ack(&s.p), 0x24);
}

static void automatic_end_and_rotation(void **state)
{
	struct set s;

	start(&s, 0x03);
	pulse(&s.p, 1);
	assert_int_equal(pic_ack(&s.p), 0x21);
	pulse(&s.p, 1);
	assert_int_equal(pic_ack(&s.p), 0x21);
	start(&s, 0x01);
	fake_write(&s.p.dev, 0, 1, 0xc3); /* 3 becomes the lowest, 4 the highest */
	pulse(&s.p, 3);
	pulse(&s.p, 4);
	assert_int_equal(pic_ack(&s.p), 0x24);
	fake_write(&s.p.dev, 0, 1, 0xa0); /* ends 4 and rotates */
	pulse(&s.p, 5);
	assert_int_equal(pic_ack(&s.p), 0x25);
}

static void poll_acknowledges(void **state)
{
	struct set s;

	start(&s, 0x01);
	fake_write(&s.p.dev, 0, 1, 0x0c);
	assert_int_equal(fake_read(&s.p.dev, 0, 1), 0);
	pulse(&s.p, 6);
	fake_write(&s.p.dev, 0, 1, 0x0c);
	assert_int_equal(fake_read(&s.p.dev, 0, 1), 0x86);
	assert_int_equal(pic_ack(&s.p), -1);
}

static void state_moves(void **state)
{
	struct set s, t;

	start(&s, 0x01);
	start(&t, 0x03);
	pulse(&s.p, 4);
	pulse(&s.p, 12);
	pic_ack(&s.p);
	pic_set(&s.p, 9, true);
	fake_write(&s.p.dev, 3, 1, 0x40);
	fake_check_state(&s.p.dev, &t.p.dev);
	fake_write(&t.p.dev, 0, 1, 0x20);
	assert_int_equal(pic_ack(&t.p), 0x29);
}

/* A saved state is what somebody else made of it. */
static void any_saved_flag_can_be_loaded(void **state)
{
	struct set s, t;
	u8 saved[4096];
	size_t n;

	start(&s, 0x01);
	start(&t, 0x01);
	n = state_save(&s.p.dev, saved, sizeof(saved));
	saved[n - 1] = 0x51; /* the last field: intr */
	assert_int_equal(state_load(&t.p.dev, saved, n), n);
	pulse(&t.p, 4);
	assert_int_equal(pic_ack(&t.p), 0x24);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edge_is_delivered_once),
		cmocka_unit_test(higher_priority_goes_first),
		cmocka_unit_test(slave_comes_through_the_cascade),
		cmocka_unit_test(level_line_asks_until_it_falls),
		cmocka_unit_test(mask_holds_back),
		cmocka_unit_test(automatic_end_and_rotation),
		cmocka_unit_test(poll_acknowledges),
		cmocka_unit_test(state_moves),
		cmocka_unit_test(any_saved_flag_can_be_loaded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
