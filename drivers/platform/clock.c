#include "drivers/platform/clock.h"

#include "arch/msr.h"
#include "drivers/platform/acpi.h"
#include "hv/facts.h"
#include "hv/lock.h"
#include "hv/x86.h"
#include "mm/pt.h"

#define NS_PER_S 1000000000ull
#define WINDOW_NS 10000000ull /* two of these calibrate; they must agree */
#define AGREE_PART 200	      /* within 1/200 */
#define CALIBRATE_TRIES 3
#define SAMPLE_READS 5	     /* the quickest one counts */
#define WAIT_READS 50000000u /* bound of a wait for the reference */
#define GUESS_HZ NS_PER_S    /* of a TSC that nothing can measure */
#define SYNC_ROUNDS 8
#define SYNC_WAIT 10000000u
#define NS_FAR (1ull << 59) /* 18 years: no deadline needs more, and products stay in 64 bits */
#define REF_SPINS 100000u

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

enum source { SOURCE_TSC, SOURCE_REF };

/* A counter of known frequency, for calibration, and as the clock where the TSC is none. */
struct clock_ref {
	const char *name;
	u64 hz;
	u64 mask; /* the counter wraps after this value */
	u64 (*read)(void);
};

/*
 * [I] after clock_init but for source, which may fall back while the other CPUs start, and the [l]
 * of lock.
 */
static struct {
	enum source source;
	u64 base;     /* TSC at ns 0 */
	u64 mult;     /* ns per TSC tick, 32.32; 0 before clock_init: the clock stands at 0 */
	u64 tsc_mult; /* TSC ticks per ns, 32.32 */
	u64 tsc_hz;
	bool trusted; /* tsc=reliable */
	bool ref_found;
	struct clock_ref ref;
	u64 ref_mult; /* ns per tick of the reference, 32.32 */
	spinlock_t lock;
	u64 ref_last, ref_ticks; /* [l] the counter as last read; ticks since it became the clock */
	u64 ref_base;		 /* ns when it became the clock */
} clk;

/*
 * An AP asks the boot CPU for its TSC: request is raised, then reply follows with tsc filled in.
 * [a]
 */
static struct {
	u32 request, reply;
	u64 tsc;
} sync;

struct sample {
	u64 tsc, ref;
};

static u64 mul_32_32(u64 a, u64 b) { return (u64)((unsigned __int128)a * b >> 32); }

static u64 ratio_32_32(u64 a, u64 b) { return (a / b << 32) + ((a % b) << 32) / b; }

static u64 rdtsc_ordered(void)
{
	__asm__ volatile("lfence" : : : "memory");
	u64 t = rdtsc();
	__asm__ volatile("lfence" : : : "memory");
	return t;
}

/* ---- The clock ---- */

/*
 * The reference as clock. Bounded also when a CPU was stopped with the lock held: then time stands
 * still.
 */
static u64 ref_clock_ns(void)
{
	u64 ticks, now;

	for (u32 i = 0; !spin_trylock(&clk.lock); i++) {
		if (i == REF_SPINS)
			return clk.ref_base +
			       mul_32_32(__atomic_load_n(&clk.ref_ticks, __ATOMIC_RELAXED),
					 clk.ref_mult);
		cpu_relax();
	}
	now = clk.ref.read() & clk.ref.mask;
	ticks = clk.ref_ticks += (now - clk.ref_last) & clk.ref.mask;
	clk.ref_last = now;
	spin_unlock(&clk.lock);
	return clk.ref_base + mul_32_32(ticks, clk.ref_mult);
}

u64 clock_ns(void)
{
	if (likely(__atomic_load_n(&clk.source, __ATOMIC_ACQUIRE) == SOURCE_TSC))
		return mul_32_32(rdtsc() - clk.base, clk.mult);
	return ref_clock_ns();
}

/* Relative to now, so that rounding does not grow with the time since boot. */
u64 clock_to_tsc(u64 ns)
{
	u64 now = clock_ns(), tsc = rdtsc();

	if (ns >= now)
		return tsc + mul_32_32(MIN(ns - now, NS_FAR), clk.tsc_mult) + 1;
	return tsc - mul_32_32(now - ns, clk.tsc_mult);
}

u64 clock_until_tsc(u64 value, u64 offset)
{
	u64 now = rdtsc() + offset;

	return value > now ? mul_32_32(MIN(value - now, NS_FAR), clk.mult) + 1 : 0;
}

const char *clock_name(void) { return clk.source == SOURCE_TSC ? "tsc" : clk.ref.name; }

u64 clock_tsc_hz(void) { return clk.tsc_hz; }

void clock_tell(struct kinfo *k)
{
	k->flags = clk.source == SOURCE_TSC ? KINFO_TSC : 0;
	k->tsc_base = clk.base;
	k->tsc_mult = clk.mult;
}

/* ---- References: HPET, ACPI PM timer ---- */

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

/* The best one that this machine has and that is seen counting; false: none. */
static bool find_ref(struct clock_ref *out)
{
	return (hpet_init(out) && counts(out)) || (pm_timer_init(out) && counts(out));
}

/* ---- Calibration ---- */

static struct sample take_sample(void)
{
	struct sample s = {0};
	u64 best = ~0ull;

	for (u32 i = 0; i < SAMPLE_READS; i++) {
		u64 before = rdtsc_ordered(), ref = clk.ref.read() & clk.ref.mask,
		    width = rdtsc_ordered() - before;

		if (width < best) {
			best = width;
			s = (struct sample){before + width / 2, ref};
		}
	}
	return s;
}

/* The TSC's frequency, from one window of the reference; 0: it stood still. */
static u64 measure(void)
{
	u64 window = clk.ref.hz / (NS_PER_S / WINDOW_NS), tsc, ref;
	struct sample a = take_sample(), b;

	for (u32 i = 0; i < WAIT_READS && ((clk.ref.read() - a.ref) & clk.ref.mask) < window; i++)
		cpu_relax();
	b = take_sample();
	tsc = b.tsc - a.tsc;
	ref = (b.ref - a.ref) & clk.ref.mask;
	for (; tsc >> 33; tsc >>= 1, ref >>= 1) /* the product must fit: hz is at most 10^9 */
		;
	return ref ? tsc * clk.ref.hz / ref : 0;
}

/* True: the TSC ran evenly, as far as two windows show. Leaves the last figure in any case. */
static bool calibrate(void)
{
	for (u32 i = 0; i < CALIBRATE_TRIES; i++) {
		u64 first = measure(), second = measure();

		clk.tsc_hz = (first + second) / 2;
		if (clk.tsc_hz && MAX(first, second) - MIN(first, second) < clk.tsc_hz / AGREE_PART)
			return true;
	}
	return false;
}

/* Without any reference: what CPUID says (leaf 0x15: crystal and ratio), else a guess. */
static u64 hz_from_cpuid(void)
{
	struct cpuid r;

	if (cpu_facts.max_leaf >= 0x15) {
		r = cpuid(0x15, 0);
		if (r.eax && r.ebx && r.ecx)
			return (u64)r.ecx * r.ebx / r.eax;
	}
	log_error("clock: nothing here measures the TSC; 1 GHz is assumed, times are wrong");
	return GUESS_HZ;
}

/* now_tsc: a TSC value of the boot CPU of this moment. */
static void fall_back(u64 now_tsc, const char *why)
{
	if (!clk.ref_found) {
		log_error("clock: %s, but there is no other clock: it is used", why);
		return;
	}
	spin_lock(&clk.lock);
	clk.ref_mult = ratio_32_32(NS_PER_S, clk.ref.hz);
	clk.ref_last = clk.ref.read() & clk.ref.mask;
	clk.ref_base = mul_32_32(now_tsc - clk.base, clk.mult);
	spin_unlock(&clk.lock);
	__atomic_store_n(&clk.source, SOURCE_REF, __ATOMIC_RELEASE);
	log_warn("clock: %s; %s is used", why, clk.ref.name);
}

void clock_init(u64 entry_tsc, enum tsc_option option)
{
	bool even = true;

	clk.trusted = option == TSC_RELIABLE;
	clk.ref_found = find_ref(&clk.ref);
	if (clk.ref_found)
		even = calibrate();
	if (!clk.tsc_hz)
		clk.tsc_hz = hz_from_cpuid();
	clk.base = entry_tsc;
	clk.tsc_mult = ratio_32_32(clk.tsc_hz, NS_PER_S);
	clk.mult = ratio_32_32(NS_PER_S, clk.tsc_hz);
	if (option == TSC_OFF)
		fall_back(rdtsc(), "tsc=off");
	else if (!even && !clk.trusted && !cpu_facts.tsc_invariant)
		fall_back(rdtsc(), "the TSC does not run evenly");
	log_info("clock: %s, TSC %lu.%03lu MHz by %s%s", clock_name(), clk.tsc_hz / 1000000,
		 clk.tsc_hz / 1000 % 1000, clk.ref_found ? clk.ref.name : "CPUID",
		 cpu_facts.tsc_invariant ? ", invariant" : "");
}

/* ---- The other CPUs ---- */

void clock_sync_poll(void)
{
	u32 request = __atomic_load_n(&sync.request, __ATOMIC_ACQUIRE);

	if (request == sync.reply)
		return;
	sync.tsc = rdtsc_ordered();
	__atomic_store_n(&sync.reply, request, __ATOMIC_RELEASE);
}

/*
 * Does the boot CPU's TSC lie between two of ours, taken before it was asked and after it answered?
 * *ahead: by how much it is ahead of ours, from the shortest exchange. False also when it does not
 * answer.
 */
static bool in_step(s64 *ahead)
{
	u64 best = ~0ull;
	bool ok = true;

	for (u32 round = 0; round < SYNC_ROUNDS; round++) {
		u64 before = rdtsc_ordered(), after;
		u32 request = __atomic_add_fetch(&sync.request, 1, __ATOMIC_ACQ_REL), i = 0;

		while (__atomic_load_n(&sync.reply, __ATOMIC_ACQUIRE) != request && ++i < SYNC_WAIT)
			cpu_relax();
		after = rdtsc_ordered();
		if (i == SYNC_WAIT)
			return false;
		ok = ok && sync.tsc >= before && sync.tsc <= after;
		if (after - before < best) {
			best = after - before;
			*ahead = (s64)(sync.tsc - before - best / 2);
		}
	}
	return ok;
}

void clock_check_cpu(struct cpu *c)
{
	s64 ahead = 0;

	if (clk.source != SOURCE_TSC || clk.trusted || in_step(&ahead))
		return;
	if (cpu_facts.tsc_invariant && ahead) { /* same rate for ever: setting it once is enough */
		wrmsr(MSR_TSC, rdtsc() + (u64)ahead);
		if (in_step(&ahead))
			return;
	}
	log_warn("clock: cpu%u: its TSC is %ld ticks behind the boot CPU's", c->id, (long)ahead);
	fall_back(sync.tsc, "the TSCs of the CPUs are not in step");
}
