#include "vmm/pause.h"

#include "user/sys.h"
#include "vmm/vcpu.h"

static void set_wanted(struct pause *p, bool wanted)
{
	rt_lock(&p->lock);
	__atomic_store_n(&p->wanted, wanted, __ATOMIC_RELEASE);
	rt_unlock(&p->lock);
}

void pause_open(struct machine *m)
{
	for (u32 i = 0; i < m->vcpus; i++)
		event_signal(m->pause.gate[i], 1);
}

static bool all_parked(struct machine *m)
{
	bool all;

	rt_lock(&m->pause.lock);
	all = m->pause.parked == m->vcpus;
	rt_unlock(&m->pause.lock);
	return all;
}

static void set_state(struct vm_shared *shared, enum vm_state state)
{
	__atomic_store_n(&shared->state, state, __ATOMIC_RELEASE);
}

/* The VM has stood: its clock goes on, then its devices and its vCPUs. */
static void go_on(struct machine *m, struct vm_shared *shared)
{
	u64 before = m->clock.stood.ns;

	vm_clock_go(&m->clock);
	rtc_stood(&m->rtc, m->clock.stood.ns - before);
	set_state(shared, VM_STATE_RUNNING); /* before a vCPU can say that the VM has ended */
}

bool pause_step(struct machine *m, bool want, struct vm_shared *shared)
{
	struct pause *p = &m->pause;
	bool stands = vm_clock_stands(&m->clock);

	if (want && !p->wanted) {
		set_wanted(p, true);
		for (u32 i = 0; i < m->vcpus; i++)
			vcpu_kick(m->vcpu[i]);
		pause_open(m); /* CPUs that the guest does not have stand there (cpus.c) */
	} else if (!want && p->wanted) {
		if (stands)
			go_on(m, shared);
		set_wanted(p, false);
		pause_open(m);
		return stands;
	}
	if (!want || stands || !all_parked(m))
		return false;
	vm_clock_stop(&m->clock);
	set_state(shared, VM_STATE_PAUSED);
	return true;
}

/* Returns how long the clock has stood meanwhile. */
static struct vm_clock_stood park(struct machine *m, u32 index)
{
	struct pause *p = &m->pause;
	struct vm_clock_stood before, after;

	rt_lock(&p->lock);
	before = m->clock.stood;
	if (++p->parked == m->vcpus)
		event_signal(m->timer_event, 1); /* wakes the event thread */
	while (p->wanted && !machine_ended(m)) {
		rt_unlock(&p->lock);
		if (event_wait(p->gate[index], DEADLINE_NEVER) < 0)
			__builtin_ia32_pause();
		rt_lock(&p->lock);
	}
	p->parked--;
	after = m->clock.stood;
	rt_unlock(&p->lock);
	return (struct vm_clock_stood){after.tsc - before.tsc, after.ns - before.ns};
}

s64 pause_here(struct vcpu *v)
{
	struct vcpu_state *s = &v->state;
	struct vm_clock_stood stood;
	s64 err;

	if (likely(!__atomic_load_n(&v->m->pause.wanted, __ATOMIC_ACQUIRE)))
		return 0;
	err = vcpu_read(v, STATE_MSR | STATE_CLOCK | STATE_TIMER_STOP);
	if (err)
		return err;
	stood = park(v->m, v->index);
	s->groups = STATE_CLOCK;
	s->clock.tsc_offset -= stood.tsc;
	if (s->clock.apic_deadline)
		s->clock.apic_deadline += stood.ns;
	if (stood.ns)
		pvclock_stood(&v->m->pvclock, s->msr.pv[PV_SYSTEM_TIME], s->clock.tsc_offset);
	return vcpu_set(v->handle, s);
}
