/*
 * INIT and SIPI: a SIPI starts a CPU that waits for one, at the page that it names, and no other;
 * one that waits hears nothing else; INIT resets the local APIC but not its mode.
 */
#include "guest.h"

TEST_NAME("init-sipi");

#define INIT 0x500u
#define SIPI 0x600u
#define NMI 0x400u
#define LEVEL 0x8000u
#define OTHERS 0xc0000u
#define VECTOR 0x51
#define HIGHER_VECTOR 0x71
#define NMI_VECTOR 2
#define APIC_BASE_BSP 0x100u
#define APIC_LVT_ERROR 0x370
#define AP_PAGE 8 /* where ap_start has put the code */
#define STUB_PAGE 9

static volatile u32 lives[AP_MAX], svr, tpr, lvt, base, irr;

/* Whatever mode the boot CPU is in. */
static u32 own(u32 reg)
{
	return base & APIC_BASE_X2 ? (u32)rdmsr(MSR_X2APIC + (reg >> 4)) : mmio_read(LAPIC + reg);
}

/* What is left of an earlier life: ap_start enables the local APIC behind this. */
static void look(void)
{
	base = (u32)rdmsr(MSR_APIC_BASE);
	svr = own(APIC_SVR);
	tpr = own(APIC_TPR);
	lvt = own(APIC_LVT_ERROR);
	irr = own(APIC_IRR + 0x10 * (VECTOR / 32));
}

/* Lives with interrupts on; its local APIC is in a state that INIT must end. */
static void live(void *arg)
{
	apic_write(APIC_LVT_ERROR, VECTOR);
	apic_write(APIC_TPR, 0x60); /* VECTOR waits in IRR */
	lives[cpu_number()]++;
	for (;;)
		sti_hlt();
}

static void start(u32 n)
{
	u32 life = lives[n];

	expect(ap_start(n, live, NULL), "a CPU starts");
	for (u32 ms = 0; ms < 20000 && lives[n] == life; ms++)
		spin(1000);
	expect_eq("lives", lives[n], life + 1);
}

static void expect_lives(const char *what, u32 n, u32 expected)
{
	spin(20000);
	expect_eq(what, lives[n], expected);
}

static void test_running(void)
{
	start(1);
	apic_ipi(1, SIPI | AP_PAGE);
	expect_lives("a SIPI to a CPU that runs", 1, 1);
	apic_ipi(1, INIT | LEVEL); /* the end of an INIT: nothing */
	apic_ipi(1, SIPI | AP_PAGE);
	expect_lives("the end of an INIT, and a SIPI", 1, 1);
}

static void test_waiting(void)
{
	apic_ipi(1, VECTOR); /* stays in IRR: TPR is above it */
	spin(1000);
	apic_ipi(1, INIT | APIC_ASSERT);
	apic_ipi(1, VECTOR);
	expect_lives("interrupts to a CPU that waits for SIPI", 1, 1);
	start(1);
	expect_eq("SVR behind INIT", svr, 0xff);
	expect_eq("TPR behind INIT", tpr, 0);
	expect_eq("LVT error behind INIT", lvt, APIC_MASKED);
	expect_eq("IRR behind INIT", irr, 0);
	expect_eq("the boot CPU's bit", base & APIC_BASE_BSP, 0);
	expect_eq("the mode behind INIT", base & APIC_BASE_X2 ? 1 : 0, apic_in_x2());
}

/* mov byte [cs:0x100], 1; jmp AP_PAGE << 8:0 */
static const u8 first_code[] = {0x2e, 0xc6, 0x06, 0x00, 0x01,	0x01,
				0xea, 0x00, 0x00, 0x00, AP_PAGE};

static void test_page(void)
{
	volatile u8 *page = (u8 *)(STUB_PAGE * PAGE);
	u32 life = lives[1];

	copy((void *)page, first_code, sizeof(first_code));
	page[0x100] = 0;
	apic_ipi(1, INIT | APIC_ASSERT);
	spin(10000);
	if (under_caisson) /* on QEMU it is pending when the CPU starts, in real mode */
		apic_ipi(1, NMI);
	apic_ipi(1, SIPI | STUB_PAGE);
	for (u32 ms = 0; ms < 20000 && lives[1] == life; ms++) {
		spin(1000);
		if (!under_caisson) /* QEMU may take it before the INIT */
			apic_ipi(1, SIPI | STUB_PAGE);
	}
	expect_eq("lives behind a SIPI to another page", lives[1], life + 1);
	expect_eq("the code there was run", page[0x100], 1);
	crew_expect("NMIs while it waited", NMI_VECTOR, 0);
}

static void test_others(void)
{
	start(2);
	start(3);
	apic_ipi(0, OTHERS | HIGHER_VECTOR);
	crew_expect("CPUs that live", HIGHER_VECTOR, ALL_CPUS(4) & ~1ull);
	apic_ipi(0, OTHERS | INIT | APIC_ASSERT);
	spin(1000);
	apic_ipi(0, OTHERS | HIGHER_VECTOR);
	crew_expect("CPUs that wait for SIPI", HIGHER_VECTOR, 0);
	for (u32 n = 1; n < 4; n++)
		start(n);
	apic_ipi(0, OTHERS | HIGHER_VECTOR);
	crew_expect("CPUs that live again", HIGHER_VECTOR, ALL_CPUS(4) & ~1ull);
}

static void test_all(void)
{
	test_running();
	test_waiting();
	test_page();
	test_others();
}

void test_main(void)
{
	pic_init(0x20, 0);
	set_handler(VECTOR, crew_count);
	set_handler(HIGHER_VECTOR, crew_count);
	set_handler(NMI_VECTOR, crew_count);
	expect_eq("CPUs", cpu_count(), 4);
	ap_first = look;
	apic_enable();
	test_all();
	for (u32 n = 0; n < 4; n++)
		lives[n] = 0;
	apic_ipi(0, OTHERS | INIT | APIC_ASSERT);
	if (apic_enter_x2())
		test_all();
	else
		expect(!under_caisson, "x2APIC is not offered");
}
