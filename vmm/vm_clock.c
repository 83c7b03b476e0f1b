#include "vmm/vm_clock.h"

#include "user/rt.h"

void vm_clock_init(struct vm_clock *c)
{
	*c = (struct vm_clock){0};
	c->start_ns = rt_clock_tsc(&c->start_tsc);
}

void vm_clock_stop(struct vm_clock *c)
{
	c->stop_ns = rt_clock_tsc(&c->stop_tsc);
	__atomic_store_n(&c->standing, MAX(c->stop_ns - c->start_ns, 1), __ATOMIC_RELEASE);
}

void vm_clock_go(struct vm_clock *c)
{
	u64 tsc, ns = rt_clock_tsc(&tsc);
	struct vm_clock_stood s = {.tsc = tsc - c->stop_tsc, .ns = ns - c->stop_ns};

	c->start_tsc += s.tsc;
	c->start_ns += s.ns;
	c->stood.tsc += s.tsc;
	c->stood.ns += s.ns;
	__atomic_store_n(&c->standing, 0, __ATOMIC_RELEASE);
}

u64 vm_clock_now(const struct vm_clock *c)
{
	u64 standing = __atomic_load_n(&c->standing, __ATOMIC_ACQUIRE);

	return standing ? standing : rt_clock_ns() - c->start_ns;
}
