#include "vmm/pvclock.h"

#define NS_PER_S 1000000000ull
#define ENABLED 1ull
#define FLAG_TSC_STABLE 1u /* the same line for all vCPUs */

struct pvclock_time {
	u32 version; /* odd while it changes */
	u32 reserved;
	u64 tsc; /* of the guest, when its clock was */
	u64 ns;	 /* this */
	u32 mul; /* ns = this + ((ticks << shift) * mul >> 32) */
	s8 shift;
	u8 flags;
	u8 reserved2[2];
} __attribute__((packed, aligned(4)));
static_assert(sizeof(struct pvclock_time) == 32, "struct pvclock_vcpu_time_info");

struct pvclock_wall {
	u32 version;
	u32 s, ns;
};

/* The guest may read it on another vCPU meanwhile. */
static void begin(u32 *version)
{
	__atomic_store_n(version, *version | 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void end(u32 *version) { __atomic_store_n(version, *version + 1, __ATOMIC_RELEASE); }

static void write_time(const struct pvclock *c, struct pvclock_time *t, u64 tsc_offset)
{
	u64 mul = c->host->tsc_mult;
	s8 shift = 0;

	for (; mul >> 32; mul >>= 1)
		shift++;
	begin(&t->version);
	t->tsc = c->start_tsc + tsc_offset;
	t->ns = 0;
	t->mul = (u32)mul;
	t->shift = shift;
	t->flags = FLAG_TSC_STABLE;
	end(&t->version);
}

static void write_wall(const struct pvclock *c, struct pvclock_wall *w)
{
	begin(&w->version);
	w->s = (u32)(c->unix_s + c->start_ns / NS_PER_S);
	w->ns = (u32)(c->start_ns % NS_PER_S);
	end(&w->version);
}

void pvclock_write(const struct pvclock *c, const struct vcpu_run *run)
{
	u64 wall = run->clock.wall_clock, time = run->clock.system_time;
	void *p;

	if (!pvclock_usable(c->host))
		return;
	p = wall ? ram_ptr(c->ram, wall, sizeof(struct pvclock_wall)) : NULL;
	if (p)
		write_wall(c, p);
	p = time & ENABLED ? ram_ptr(c->ram, time & ~ENABLED, sizeof(struct pvclock_time)) : NULL;
	if (p)
		write_time(c, p, run->clock.tsc_offset);
}
