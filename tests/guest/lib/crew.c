/* All CPUs of the machine at the boot CPU's command, and who has had which interrupt. */
#include "guest.h"

#define WAKE_VECTOR 0xf0
#define WAIT_MS 20000u
#define SETTLE_US 2000u

static struct {
	void (*volatile fn)(void *);
	void *volatile arg;
} work[AP_MAX];
static volatile bool told[AP_MAX];
static volatile u32 got[AP_MAX][256];
static volatile u32 arrived, go;
static u32 cpus; /* 0: not asked yet */

static void count_cpus(void)
{
	if (!cpus)
		cpus = cpu_count();
}

static void wake(struct frame *f)
{
	told[cpu_number()] = true;
	apic_eoi();
}

static void member(void *arg)
{
	u32 n = (u32)(ulong)arg;

	for (;;) {
		if (told[n]) { /* not sooner: the interrupt would come in the midst of something */
			told[n] = false;
			work[n].fn(work[n].arg);
			work[n].fn = NULL;
		} else {
			sti_hlt();
		}
		cli();
	}
}

bool crew_start(void)
{
	count_cpus();
	set_handler(WAKE_VECTOR, wake);
	apic_enable();
	for (u32 n = 1; n < cpus; n++)
		if (!ap_start(n, member, (void *)(ulong)n)) {
			fail("CPU %u of %u does not start", n, cpus);
			return false;
		}
	return true;
}

void crew_give(u32 n, void (*fn)(void *), void *arg)
{
	work[n].arg = arg;
	work[n].fn = fn;
	apic_ipi(n, WAKE_VECTOR);
}

/* The loop reads a device, which leaves the guest (docs/testing.md, "Bochs"). */
void crew_wait(u32 n)
{
	for (u32 ms = 0; work[n].fn; ms++) {
		if (ms == WAIT_MS) {
			fail("CPU %u does not do what it is told", n);
			return;
		}
		for (u32 i = 0; i < 50 && work[n].fn; i++)
			spin(20);
	}
}

void crew_do(u32 n, void (*fn)(void *), void *arg)
{
	if (n == 0) {
		fn(arg);
		return;
	}
	crew_give(n, fn, arg);
	crew_wait(n);
}

void crew_all(void (*fn)(void *), void *arg)
{
	for (u32 n = 0; n < cpus; n++)
		crew_do(n, fn, arg);
}

/* How registers are reached is one variable of all: nobody may need it while they change. */
static void enter_x2(void *arg)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_X2 | APIC_BASE_ENABLE);
	__atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
	while (!go)
		spin(10);
}

bool crew_enter_x2(void)
{
	if (!(cpuid(1, 0).ecx & 1u << 21))
		return false;
	for (u32 n = 1; n < cpus; n++)
		crew_give(n, enter_x2, NULL);
	while (arrived < cpus - 1)
		spin(10);
	apic_enter_x2();
	go = 1;
	for (u32 n = 1; n < cpus; n++)
		crew_wait(n);
	return true;
}

void crew_count(struct frame *f)
{
	if (f->vector != 2)
		apic_eoi(); /* first: who sees the count finds nothing in service */
	__atomic_fetch_add(&got[cpu_number()][f->vector & 255], 1, __ATOMIC_SEQ_CST);
}

static bool all_have(u32 vector, u64 mask)
{
	for (u32 n = 0; n < cpus; n++)
		if (mask & CPU_BIT(n) && !got[n][vector])
			return false;
	return true;
}

void crew_expect(const char *what, u32 vector, u64 mask)
{
	count_cpus();
	sti();
	for (u32 ms = 0; ms < WAIT_MS && !all_have(vector, mask); ms++)
		spin(1000);
	spin(SETTLE_US);
	cli();
	for (u32 n = 0; n < cpus; n++) {
		u32 had = got[n][vector], expected = mask >> n & 1;

		if (had != expected)
			fail("%s: CPU %u had %u interrupts, expected %u", what, n, had, expected);
		got[n][vector] = 0;
	}
}

u64 crew_got(u32 vector)
{
	u64 mask = 0;

	count_cpus();
	sti();
	for (u32 ms = 0; ms < WAIT_MS && !mask; ms++) {
		for (u32 n = 0; n < cpus; n++)
			mask |= got[n][vector] ? CPU_BIT(n) : 0;
		spin(1000);
	}
	spin(SETTLE_US);
	cli();
	for (u32 n = 0; n < cpus; n++) {
		mask |= got[n][vector] ? CPU_BIT(n) : 0;
		got[n][vector] = 0;
	}
	return mask;
}
