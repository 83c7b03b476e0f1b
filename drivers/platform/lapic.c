#include "drivers/platform/lapic.h"

#include "arch/apic.h"
#include "arch/msr.h"
#include "drivers/platform/acpi.h"
#include "drivers/platform/clock.h"
#include "hv/facts.h"
#include "hv/x86.h"
#include "mm/mm.h"

/* 8259A, initialization command words */
#define PIC1_COMMAND 0x20
#define PIC1_DATA 0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA 0xa1
#define PIC_ICW1 0x11 /* edge, cascaded, ICW4 follows */
#define PIC_ICW4 0x01 /* 8086 mode */
#define PIC1_VECTOR 0x20
#define PIC2_VECTOR 0x28

#define APIC_DM_SHIFT 8
#define APIC_DEST_SHIFT_XAPIC 24
#define APIC_DIVIDE_BY_1 0xb
#define APIC_MAX_LVT_SHIFT 16

#define ICR_WAIT 100000u   /* reads; delivery takes microseconds */
#define CALIBRATE_PART 500 /* of a second: 2 ms */
#define CALIBRATE_READS 50000000u
/* MP specification 1.4, B.4: 10 ms after INIT, 200 us between SIPIs */
#define INIT_WAIT_NS 10000000
#define SIPI_WAIT_NS 200000
#define STEADY_ROUNDS 64
#define STEADY_CHANGES 4 /* on the way into the loop */
#define HEARTBEATS 1	 /* per second, at least: no wrap of the clock's counter goes unseen */
#define LOSSY_HEARTBEATS 100
#define LOSSY_MIN_COUNT 20000 /* 20 us */

/* [I] after lapic_timer_calibrate */
static struct {
	bool x2apic;
	bool lossy;	   /* a CPU that runs guests may lose an interrupt, see lapic_init_boot */
	volatile u8 *regs; /* xAPIC */
	u32 thermal;	   /* LVT entry that the boot CPU had: INIT clears those of the others */
	u64 timer_mult;	   /* timer ticks per TSC tick, 32.32 */
} lapic;

static u32 read_reg(enum apic_reg r)
{
	if (lapic.x2apic)
		return (u32)rdmsr(MSR_X2APIC_BASE + r / 16);
	return *(volatile u32 *)(lapic.regs + r);
}

static void write_reg(enum apic_reg r, u32 v)
{
	if (lapic.x2apic)
		wrmsr(MSR_X2APIC_BASE + r / 16, v);
	else
		*(volatile u32 *)(lapic.regs + r) = v;
}

/* Remapped first, since a spurious interrupt ignores the mask. */
static void mask_8259s(void)
{
	/* clang-format off */
	static const struct { u8 port, value; } writes[] = {
		{PIC1_COMMAND, PIC_ICW1}, {PIC1_DATA, PIC1_VECTOR}, {PIC1_DATA, 1 << 2},
		{PIC1_DATA, PIC_ICW4}, {PIC2_COMMAND, PIC_ICW1}, {PIC2_DATA, PIC2_VECTOR},
		{PIC2_DATA, 2}, {PIC2_DATA, PIC_ICW4}, {PIC1_DATA, 0xff}, {PIC2_DATA, 0xff},
	};
	/* clang-format on */

	for (u32 i = 0; i < ARRAY_SIZE(writes); i++)
		outb(writes[i].port, writes[i].value);
}

/*
 * QEMU's TCG with -icount: it ends with "Bad icount read" when an MSR access looks at its clock, as
 * those to the x2APIC's timer do. There, and nowhere else, the TSC grows by the same few ticks in
 * every round of a loop.
 */
static bool counts_instructions(void)
{
	u64 at[STEADY_ROUNDS];
	u32 changes = 0;

	for (u32 i = 0; i < STEADY_ROUNDS; i++) /* every round is as long */
		at[i] = rdtsc();
	for (u32 i = 2; i < STEADY_ROUNDS; i++)
		changes += at[i] - at[i - 1] != at[i - 1] - at[i - 2];
	return changes <= STEADY_CHANGES;
}

/*
 * In QEMU 10's TCG, VMRUN and #VMEXIT change the word of pending interrupts without a lock, and
 * undo what another thread of QEMU sets there meanwhile. The interrupt stays in IRR, and the local
 * APIC's next one brings it too: the timer is periodic there, so that a next one always comes. With
 * -icount one thread does both.
 */
void lapic_init_boot(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);
	bool icount = cpu_facts.tcg && counts_instructions();

	lapic.lossy = cpu_facts.tcg && !icount;
	mask_8259s();
	/*
	 * Firmware that has switched x2APIC mode on is followed: there is no way back but through
	 * "disabled".
	 */
	lapic.x2apic = cpu_facts.x2apic &&
		       (base & APIC_BASE_X2APIC || !(icount || acpi_facts.x2apic_opt_out));
	if (!lapic.x2apic) {
		lapic.regs = mmio_map(hpa(ALIGN_DOWN(base & (BIT(52) - 1), PAGE_SIZE)), PAGE_SIZE,
				      PT_R | PT_W | PT_UNCACHED);
		if (!lapic.regs)
			panic("lapic: the registers at 0x%lx cannot be mapped", base);
	}
	log_info("lapic: %s mode", lapic.x2apic ? "x2APIC" : "xAPIC");
}

bool lapic_on_tcg(void) { return lapic.lossy; }

/* What the firmware left in service would hold back everything of lower priority. */
static void end_old_interrupts(void)
{
	for (u32 i = 0; i < 256; i++) {
		u32 in_service = 0;

		for (u32 r = 0; r < 8; r++)
			in_service |= read_reg(APIC_ISR + r * 16);
		if (!in_service)
			return;
		lapic_eoi();
	}
}

/* Unmasked, set to the heartbeat. */
static void timer_prepare(void)
{
	write_reg(APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1);
	write_reg(APIC_LVT_TIMER, (lapic.lossy ? APIC_LVT_TIMER_PERIODIC : 0) | VECTOR_TIMER);
	lapic_timer_set(~0ull);
}

void lapic_init_cpu(void)
{
	u64 base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;
	u32 max_lvt;
	bool smi;

	wrmsr(MSR_APIC_BASE, base);
	if (lapic.x2apic)
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
	write_reg(APIC_SVR, APIC_SVR_ENABLE | VECTOR_SPURIOUS);
	max_lvt = read_reg(APIC_VERSION) >> APIC_MAX_LVT_SHIFT & 0xff;
	write_reg(APIC_TPR, 0);
	write_reg(APIC_LVT_TIMER, APIC_LVT_MASKED | VECTOR_TIMER);
	write_reg(APIC_LVT_LINT0, APIC_LVT_MASKED);
	write_reg(APIC_LVT_LINT1, APIC_DM_NMI << APIC_DM_SHIFT);
	if (!lapic.thermal && max_lvt >= 5)
		lapic.thermal = read_reg(APIC_LVT_THERMAL);
	smi = (lapic.thermal >> APIC_DM_SHIFT & 7) == APIC_DM_SMI;
	for (u32 i = 4; i <= MIN(max_lvt, 6u); i++)
		write_reg((enum apic_reg[]){APIC_LVT_PMC, APIC_LVT_THERMAL, APIC_LVT_CMCI}[i - 4],
			  i == 5 && smi ? lapic.thermal : APIC_LVT_MASKED);
	write_reg(APIC_ESR, 0);
	write_reg(APIC_LVT_ERROR, VECTOR_ERROR);
	end_old_interrupts();
	if (lapic.timer_mult)
		timer_prepare();
}

u32 lapic_id(void)
{
	u32 id = read_reg(APIC_ID);

	return lapic.x2apic ? id : id >> APIC_DEST_SHIFT_XAPIC;
}

bool lapic_id_valid(u32 apic_id) { return apic_id < (lapic.x2apic ? ~0u : 0xffu); }

void lapic_eoi(void) { write_reg(APIC_EOI, 0); }

/* ---- Interrupts to other CPUs ---- */

static void send(u32 apic_id, u32 command)
{
	if (lapic.x2apic) {
		/* WRMSR to the x2APIC does not order earlier stores: the receiver must see them. */
		__asm__ volatile("mfence; lfence" : : : "memory");
		wrmsr(MSR_X2APIC_BASE + APIC_ICR / 16, (u64)apic_id << 32 | command);
		return;
	}
	/*
	 * An NMI or #MC here could send too, between the two halves; both end in a panic, which
	 * sends to all.
	 */
	for (u32 i = 0; i < ICR_WAIT && read_reg(APIC_ICR) & APIC_ICR_BUSY; i++)
		cpu_relax();
	write_reg(APIC_ICR_HIGH, apic_id << APIC_DEST_SHIFT_XAPIC);
	write_reg(APIC_ICR, command);
}

void lapic_ipi(u32 apic_id, u8 vector) { send(apic_id, APIC_ICR_ASSERT | vector); }

void lapic_nmi(u32 apic_id) { send(apic_id, APIC_ICR_ASSERT | APIC_DM_NMI << APIC_DM_SHIFT); }

static void wait_ns(u64 ns)
{
	for (u64 end = clock_ns() + ns; clock_ns() < end;)
		cpu_relax();
}

void lapic_park(u32 apic_id)
{
	send(apic_id, APIC_ICR_LEVEL | APIC_ICR_ASSERT | APIC_DM_INIT << APIC_DM_SHIFT);
}

void lapic_init_sipi(u32 apic_id, u32 trampoline_page)
{
	u32 sipi = APIC_ICR_ASSERT | APIC_DM_STARTUP << APIC_DM_SHIFT | (trampoline_page & 0xff);

	lapic_park(apic_id);
	wait_ns(INIT_WAIT_NS);
	send(apic_id, sipi);
	wait_ns(SIPI_WAIT_NS);
	send(apic_id, sipi);
}

/* ---- Timer ---- */

void lapic_timer_calibrate(void)
{
	u64 window = clock_tsc_hz() / CALIBRATE_PART, start, ticks;

	write_reg(APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1);
	write_reg(APIC_TIMER_INIT, 0xffffffff);
	start = rdtsc();
	for (u32 i = 0; i < CALIBRATE_READS && rdtsc() - start < window; i++)
		cpu_relax();
	ticks = 0xffffffff - read_reg(APIC_TIMER_CURRENT);
	window = rdtsc() - start;
	write_reg(APIC_TIMER_INIT, 0);
	if (!ticks)
		panic("lapic: the timer of the boot CPU does not count");
	lapic.timer_mult = (ticks << 32) / window;
	log_info("lapic: timer at %lu kHz", ticks * (clock_tsc_hz() / 1000) / window);
	timer_prepare();
}

void lapic_timer_set(u64 tsc)
{
	u64 now = rdtsc(), count;

	tsc = MIN(tsc, now + clock_tsc_hz() / (lapic.lossy ? LOSSY_HEARTBEATS : HEARTBEATS));
	count = tsc > now ? (u64)((unsigned __int128)(tsc - now) * lapic.timer_mult >> 32) + 1 : 1;
	if (lapic.lossy)
		count = MAX(count, LOSSY_MIN_COUNT);
	write_reg(APIC_TIMER_INIT, (u32)MIN(count, 0xffffffffull));
}
