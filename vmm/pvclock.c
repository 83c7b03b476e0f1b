#include "vmm/pvclock.h"

#define NS_PER_S 1000000000ull
#define ENABLED 1ull
#define FLAG_TSC_STABLE 1u    /* the same line for all vCPUs */
#define FLAG_GUEST_STOPPED 2u /* the VM has stood; the guest clears it */

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

static void write_time(const struct pvclock *c, u64 system_time, u64 tsc_offset, u8 flags)
{
	u64 mul = c->host->tsc_mult;
	struct pvclock_time *t;
	s8 shift = 0;

	t = system_time & ENABLED ? ram_ptr(c->ram, system_time & ~ENABLED, sizeof(*t)) : NULL;
	if (!t || !pvclock_usable(c->host))
		return;
	for (; mul >> 32; mul >>= 1)
		shift++;
	begin(&t->version);
	t->tsc = c->clock->start_tsc + tsc_offset;
	t->ns = 0;
	t->mul = (u32)mul;
	t->shift = shift;
	t->flags = flags;
	end(&t->version);
}

static void write_wall(const struct pvclock *c, struct pvclock_wall *w)
{
	begin(&w->version);
	w->s = (u32)(c->unix_s + c->clock->start_ns / NS_PER_S);
	w->ns = (u32)(c->clock->start_ns % NS_PER_S);
	end(&w->version);
}

void pvclock_write(const struct pvclock *c, u64 wall_clock, u64 system_time, u64 tsc_offset)
{
	struct pvclock_wall *w = wall_clock ? ram_ptr(c->ram, wall_clock, sizeof(*w)) : NULL;

	if (w && pvclock_usable(c->host))
		write_wall(c, w);
	write_time(c, system_time, tsc_offset, FLAG_TSC_STABLE);
}

void pvclock_stood(const struct pvclock *c, u64 system_time, u64 tsc_offset)
{
	write_time(c, system_time, tsc_offset, FLAG_TSC_STABLE | FLAG_GUEST_STOPPED);
}
