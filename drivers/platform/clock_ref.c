#include "drivers/platform/clock_ref.h"

#include "drivers/platform/acpi.h"
#include "hv/up.h"
#include "hv/x86.h"
#include "mm/pt.h"

/* IA-PC HPET 1.0a, 2.3 "Timer Registers" */
/* bits 63-32: femtoseconds per tick; bit 13: the counter has 64 bits */
#define HPET_CAPABILITIES 0x00
#define HPET_CONFIG 0x10 /* bit 0: runs; bit 1: legacy interrupt routes */
#define HPET_COUNTER 0xf0
#define HPET_PERIOD_MIN 1000000u
#define HPET_PERIOD_MAX 100000000u
#define HPET_64_BIT (1u << 13)
#define HPET_RUN 1ull
#define HPET_LEGACY 2ull

#define PM_TIMER_HZ 3579545
#define SEEN_COUNTING 100000u /* reads */

static volatile u8 *hpet;

static u64 hpet_read(void) { return *(volatile u64 *)(hpet + HPET_COUNTER); }

static bool hpet_init(struct clock_ref *r)
{
	u32 period, low;

	if (!acpi_facts.hpet.v)
		return false;
	hpet = acpi_map(acpi_facts.hpet, 1024, PT_R | PT_W | PT_UNCACHED);
	if (!hpet)
		return false;
	low = *(volatile u32 *)(hpet + HPET_CAPABILITIES);
	period = *(volatile u32 *)(hpet + HPET_CAPABILITIES + 4);
	if (period < HPET_PERIOD_MIN || period > HPET_PERIOD_MAX) {
		log_warn("clock: HPET: period of %u fs; not used", period);
		return false;
	}
	volatile u64 *config = (volatile u64 *)(hpet + HPET_CONFIG);

	*config = (*config & ~HPET_LEGACY) | HPET_RUN;
	*r = (struct clock_ref){"hpet", 1000000000000000ull / period,
				low & HPET_64_BIT ? ~0ull : 0xffffffff, hpet_read};
	return true;
}

static u64 pm_timer_read(void) { return inl(acpi_facts.pm_timer_port); }

static bool pm_timer_init(struct clock_ref *r)
{
	*r = (struct clock_ref){"pm-timer", PM_TIMER_HZ,
				acpi_facts.pm_timer_32 ? 0xffffffff : 0xffffff, pm_timer_read};
	return acpi_facts.pm_timer_port != 0;
}

static bool counts(const struct clock_ref *r)
{
	u64 first = r->read() & r->mask;

	for (u32 i = 0; i < SEEN_COUNTING; i++)
		if ((r->read() & r->mask) != first)
			return true;
	log_warn("clock: %s does not count; not used", r->name);
	return false;
}

bool clock_ref_find(struct clock_ref *out)
{
	return (hpet_init(out) && counts(out)) || (pm_timer_init(out) && counts(out));
}
