/*
 * Whom an interrupt message names: physical, flat and cluster logical, broadcast and shorthands, in
 * xAPIC and x2APIC mode, from CPUs and from the I/O APIC.
 */
#include "guest.h"

TEST_NAME("ipi-destinations");

#define VECTOR 0x51
#define APIC_LDR 0xd0
#define APIC_DFR 0xe0
#define LOGICAL 0x800u
#define ALL 0x80000u
#define OTHERS 0xc0000u
#define PIN 4 /* COM1 */
#define COM1 0x3f8
#define NOBODY 0ull

static u32 cpus;

struct ipi {
	const char *what;
	u32 from, dest, low;
	u64 to;
};

static void send(void *arg)
{
	const struct ipi *i = arg;

	apic_ipi(i->dest, i->low | VECTOR);
}

static void try_all(const struct ipi *i, u32 n)
{
	for (; n--; i++) {
		crew_do(i->from, send, (void *)i);
		crew_expect(i->what, VECTOR, i->to);
	}
}

#define TRY(rows) try_all(rows, ARRAY_SIZE(rows))

static void test_physical(void)
{
	const struct ipi rows[] = {
		{"physical, to another", 0, 2, 0, CPU_BIT(2)},
		{"physical, from another", 3, 1, 0, CPU_BIT(1)},
		{"physical, to itself", 1, 1, 0, CPU_BIT(1)},
		{"physical, to an id that nobody has", 0, 9, 0, NOBODY},
		{"self", 2, 0, APIC_SELF, CPU_BIT(2)},
		{"all with self", 1, 0, ALL, ALL_CPUS(cpus)},
		{"all but self", 1, 0, OTHERS, ALL_CPUS(cpus) & ~CPU_BIT(1)},
		{"a shorthand looks at no destination", 0, 3, OTHERS, ALL_CPUS(cpus) & ~CPU_BIT(0)},
	};

	TRY(rows);
}

static void set_flat(void *arg)
{
	apic_write(APIC_DFR, ~0u);
	apic_write(APIC_LDR, 1u << (24 + cpu_number()));
}

static void set_cluster(void *arg)
{
	u32 n = cpu_number();

	apic_write(APIC_DFR, 0x0fffffff);
	apic_write(APIC_LDR, (n / 2) << 28 | 1u << (24 + n % 2));
}

static void test_xapic(void)
{
	const struct ipi broadcast[] = {{"broadcast", 0, 0xff, 0, ALL_CPUS(cpus)}};
	const struct ipi flat[] = {
		{"flat, to two", 0, 0x0a, LOGICAL, CPU_BIT(1) | CPU_BIT(3)},
		{"flat, from another", 3, 0x03, LOGICAL, CPU_BIT(0) | CPU_BIT(1)},
		{"flat, to nobody's bit", 0, 0x40, LOGICAL, NOBODY},
		{"flat, to all bits", 2, 0xff, LOGICAL, ALL_CPUS(cpus)},
	};
	const struct ipi cluster[] = {
		{"cluster, to both of one", 0, 0x13, LOGICAL, CPU_BIT(2) | CPU_BIT(3)},
		{"cluster, to one", 3, 0x02, LOGICAL, CPU_BIT(1)},
		{"cluster, to bits that nobody has there", 0, 0x0c, LOGICAL, NOBODY},
		{"cluster, to one that is empty", 0, 0x2f, LOGICAL, NOBODY},
		{"cluster, to all", 1, 0xff, LOGICAL, ALL_CPUS(cpus)},
	};

	test_physical();
	TRY(broadcast);
	crew_all(set_flat, NULL);
	TRY(flat);
	crew_all(set_cluster, NULL);
	TRY(cluster);
	crew_all(set_flat, NULL);
}

/* An edge of the line goes where the entry says. */
static void edge(const char *what, u32 dest, u32 low, u64 to)
{
	ioapic_write(0x11 + 2 * PIN, dest << 24);
	ioapic_write(0x10 + 2 * PIN, VECTOR | low);
	outb(COM1 + 4, 0x0b);
	outb(COM1 + 1, 2); /* the line rises */
	crew_expect(what, VECTOR, to);
	outb(COM1 + 1, 0);
	ioapic_write(0x10 + 2 * PIN, APIC_MASKED);
}

static void test_ioapic(void)
{
	edge("I/O APIC, physical", 3, 0, CPU_BIT(3));
	edge("I/O APIC, logical", 0x06, LOGICAL, CPU_BIT(1) | CPU_BIT(2));
	if (under_caisson || !apic_in_x2()) /* QEMU takes it for an id there */
		edge("I/O APIC, broadcast", 0xff, 0, ALL_CPUS(cpus));
	edge("I/O APIC, to nobody", 9, 0, NOBODY);
}

static void self_ipi(void *arg) { wrmsr(0x83f, VECTOR); }

static void test_x2apic(void)
{
	const struct ipi rows[] = {
		{"x2APIC broadcast", 0, ~0u, 0, ALL_CPUS(cpus)},
		{"x2APIC logical broadcast", 3, ~0u, LOGICAL, ALL_CPUS(cpus)},
		{"x2APIC, 0xff is an id", 0, 0xff, 0, NOBODY},
		{"x2APIC, an id of 32 bits", 0, 0x01000001, 0, NOBODY},
		{"x2APIC cluster, to two", 0, 0x0000000a, LOGICAL, CPU_BIT(1) | CPU_BIT(3)},
		{"x2APIC cluster, from another", 2, 0x00000005, LOGICAL, CPU_BIT(0) | CPU_BIT(2)},
		{"x2APIC cluster, to bits that nobody has", 0, 0x0000fff0, LOGICAL, NOBODY},
		{"x2APIC cluster, to one that is empty", 0, 0x0001000f, LOGICAL, NOBODY},
	};

	test_physical();
	TRY(rows);
	crew_do(2, self_ipi, NULL);
	crew_expect("the self-IPI register", VECTOR, CPU_BIT(2));
	test_ioapic();
}

void test_main(void)
{
	pic_init(0x20, 0);
	set_handler(VECTOR, crew_count);
	cpus = cpu_count();
	expect_eq("CPUs", cpus, 4);
	if (!crew_start())
		return;
	test_xapic();
	test_ioapic();
	if (crew_enter_x2())
		test_x2apic();
	else
		expect(!under_caisson, "x2APIC is not offered");
}
