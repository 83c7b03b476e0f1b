/*
 * What every device model is made of: registers behind a bus, saved state as a table, and the few
 * things that it may ask of the machine around it. A model makes no system call, so it runs on the
 * host as it is.
 */
#pragma once

#include "lib/types.h"
#include "services/proto.h"
#include "user/rt.h"

struct device;
struct platform;
struct state_field;

/*
 * A model. offset is in the device's own register space, size a power of two <= max_size, and the
 * whole access lies inside one registered range: the bus splits what is wider. Every function is
 * called with the device's lock held.
 */
struct dev_ops {
	const char *name;
	u32 version;  /* of the saved state */
	u32 max_size; /* widest access, bytes */
	u64 (*read)(struct device *d, u64 offset, u32 size);
	void (*write)(struct device *d, u64 offset, u32 size, u64 value);
	void (*reset)(struct device *d);
	/* after a load: derive lines and timers again; may be NULL */
	void (*restored)(struct device *d);
	const struct state_field *fields;
	u32 field_count;
};

/* The first member of every model's structure. [I] immutable after creation. */
struct device {
	const struct dev_ops *ops; /* [I] */
	struct platform *plat;	   /* [I] */
	/* guards the rest of the model; taken before an interrupt controller's */
	struct rt_mutex lock;
};

#define VTIMER_OFF (~0ull)
/*
 * A deadline on the VM's clock. fn runs on the event thread with dev's lock held. [t] timer list's
 * lock
 */
struct vtimer {
	struct device *dev;	      /* [I] */
	void (*fn)(struct device *d); /* [I] */
	u64 deadline;		      /* [t] ns, VTIMER_OFF = not armed */
	struct vtimer *next;	      /* [t] in order of deadlines */
};

/* The machine as its devices see it; host tests have their own. */
struct platform_ops {
	u64 (*now)(struct platform *p);			    /* the VM's clock: ns since its start */
	void (*line)(struct platform *p, u32 irq, bool up); /* input of PIC and I/O APIC */
	void (*timer)(struct platform *p, struct vtimer *t, u64 deadline); /* VTIMER_OFF disarms */
	void (*msi)(struct platform *p, u64 address, u32 data);
	/* the VM ends after this exit */
	void (*end)(struct platform *p, enum vm_reason reason, u32 status);
	/* the guest has given a CPU back; status not 0: it will not, and says why (_OST's codes) */
	void (*cpu_answer)(struct platform *p, u32 cpu, u32 status);
};

struct platform {
	const struct platform_ops *ops; /* [I] */
};

static inline u64 dev_now(struct device *d) { return d->plat->ops->now(d->plat); }
static inline void dev_line(struct device *d, u32 irq, bool up)
{
	d->plat->ops->line(d->plat, irq, up);
}
static inline void dev_timer(struct device *d, struct vtimer *t, u64 at)
{
	d->plat->ops->timer(d->plat, t, at);
}
static inline void dev_msi(struct device *d, u64 address, u32 data)
{
	d->plat->ops->msi(d->plat, address, data);
}
static inline void dev_end(struct device *d, enum vm_reason r, u32 s)
{
	d->plat->ops->end(d->plat, r, s);
}

/* Binds a zeroed model to its machine and puts it in its power-on state. */
static inline void device_init(struct device *d, const struct dev_ops *ops, struct platform *plat)
{
	d->ops = ops;
	d->plat = plat;
	ops->reset(d);
}

#define NS_PER_S 1000000000ull

/* a * b / c without overflow in between. c > 0; the result must fit 64 bits. */
static inline u64 mul_div(u64 a, u32 b, u32 c)
{
	u64 low = (a & 0xffffffff) * b, high = (a >> 32) * b + (low >> 32);

	return (high / c << 32) + ((high % c << 32) + (low & 0xffffffff)) / c;
}
