/* Local APIC, I/O APIC, PIC, PIT and the PM timer, as a PC has them. */
#include "guest.h"

#define PM_TIMER_PORT 0x608
#define PM_TIMER_MASK 0xffffffu
#define PM_TIMER_KHZ 3580u
#define STEP_MOST (10 * PM_TIMER_KHZ)

static bool x2apic;

u32 apic_read(u32 reg)
{
	return x2apic ? (u32)rdmsr(MSR_X2APIC + (reg >> 4)) : mmio_read(LAPIC + reg);
}

void apic_write(u32 reg, u32 v)
{
	if (x2apic)
		wrmsr(MSR_X2APIC + (reg >> 4), v);
	else
		mmio_write(LAPIC + reg, v);
}

void apic_eoi(void) { apic_write(APIC_EOI, 0); }

void apic_ipi(u32 dest, u32 low)
{
	if (x2apic) {
		wrmsr(MSR_X2APIC + (APIC_ICR >> 4), (u64)dest << 32 | low);
		return;
	}
	apic_write(APIC_ICR2, dest << 24);
	apic_write(APIC_ICR, low);
}

bool apic_in_x2(void) { return x2apic; }

static void enable_registers(void)
{
	apic_write(APIC_SVR, 0x1ff);
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
	apic_write(APIC_LVT0, APIC_MASKED);
	apic_write(APIC_LVT1, APIC_MASKED);
	apic_write(APIC_TPR, 0);
}

void apic_enable(void)
{
	wrmsr(MSR_APIC_BASE, LAPIC | APIC_BASE_ENABLE | (rdmsr(MSR_APIC_BASE) & 0x100));
	enable_registers();
}

void apic_enable_cpu(void)
{
	if (!x2apic) {
		apic_enable();
		return;
	}
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_X2 | APIC_BASE_ENABLE);
	enable_registers();
}

bool apic_enter_x2(void)
{
	if (!(cpuid(1, 0).ecx & 1u << 21))
		return false;
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_X2 | APIC_BASE_ENABLE);
	x2apic = true;
	return true;
}

u32 ioapic_read(u32 reg)
{
	mmio_write(IOAPIC, reg);
	return mmio_read(IOAPIC + 0x10);
}

void ioapic_write(u32 reg, u32 v)
{
	mmio_write(IOAPIC, reg);
	mmio_write(IOAPIC + 0x10, v);
}

void pic_init(u8 base, u16 enabled)
{
	outb(0x20, 0x11);
	outb(0xa0, 0x11);
	outb(0x21, base);
	outb(0xa1, base + 8);
	outb(0x21, 4);
	outb(0xa1, 2);
	outb(0x21, 1);
	outb(0xa1, 1);
	outb(0x21, (u8)~enabled);
	outb(0xa1, (u8) ~(enabled >> 8));
}

void pit_start(u32 mode, u16 count)
{
	outb(0x43, (u8)(0x30 | mode << 1));
	outb(0x40, (u8)count);
	outb(0x40, (u8)(count >> 8));
}

u32 pm_timer(void) { return inl(PM_TIMER_PORT) & PM_TIMER_MASK; }

bool wait_for(volatile u32 *counter, u32 at_least, u32 milliseconds)
{
	u32 last = pm_timer(), now, waited = 0, most = milliseconds * PM_TIMER_KHZ;

	for (; *counter < at_least && waited <= most; last = now) {
		u32 step = ((now = pm_timer()) - last) & PM_TIMER_MASK;

		waited += step < STEP_MOST ? step : STEP_MOST;
	}
	return *counter >= at_least;
}

void spin(u32 microseconds)
{
	u32 start = pm_timer();

	while (((pm_timer() - start) & PM_TIMER_MASK) < microseconds * PM_TIMER_KHZ / 1000)
		;
}
