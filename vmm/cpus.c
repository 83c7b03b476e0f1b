#include "vmm/cpus.h"

#include "arch/apic.h"
#include "user/sys.h"
#include "vmm/vcpu.h"

static u64 load(const u64 *mask) { return __atomic_load_n(mask, __ATOMIC_ACQUIRE); }

u32 cpus_at_start(const struct vm_def *def, struct vm_shared *shared)
{
	u32 before = rt_count_bits(load(&shared->vcpus));

	return before >= 1 && before <= def->vcpus_max ? before : def->vcpus;
}

int cpus_init(struct machine *m, struct vm_shared *shared, struct vcpu *ap)
{
	struct cpus *c = &m->cpus;
	s64 h = 0;

	c->shared = shared;
	c->on = m->cpu_hotplug.boot;
	c->gone = m->cpu_hotplug.possible & ~c->on;
	__atomic_store_n(&shared->vcpus, c->on, __ATOMIC_RELEASE);
	if (!ap)
		return 0;
	c->reset = rt_alloc(sizeof(*c->reset));
	if (!c->reset)
		h = -E_NOMEM;
	else
		*c->reset = (struct vcpu_state){.size = sizeof(*c->reset), .groups = STATE_ALL};
	if (!h)
		h = vcpu_get(ap->handle, c->reset);
	for (u32 i = 1; i < m->vcpus && !h; i++)
		if (c->gone & BIT(i))
			h = vcpu_kick(m->vcpu[i]); /* it stands before it runs */
	if (h < 0)
		rt_log("vCPUs that can be added: %s", rt_error(h));
	return h < 0 ? (int)h : 0;
}

/* The lowest ones that are missing come, the highest ones go. */
void cpus_set(struct machine *m, u32 count)
{
	struct cpus *c = &m->cpus;
	u64 on = load(&c->on), ask = 0;
	u32 have = rt_count_bits(on);

	if (!count || count > m->vcpus)
		return;
	for (u32 i = m->vcpus; i-- > 1 && have > count;)
		if (on & BIT(i)) {
			ask |= BIT(i);
			have--;
		}
	cpu_hotplug_ask(&m->cpu_hotplug, ask); /* first: nobody who comes is to find an old wish */
	if (ask)
		acpi_pm_gpe(&m->acpi_pm, GPE_CPU_HOTPLUG);
	for (u32 i = 1; i < m->vcpus && have < count; i++)
		if (!(on & BIT(i))) {
			__atomic_fetch_or(&c->on, BIT(i), __ATOMIC_RELEASE);
			event_signal(m->pause.gate[i], 1);
			have++;
		}
}

void cpus_answer(struct machine *m, u32 cpu, u32 status)
{
	struct cpus *c = &m->cpus;

	if (status) {
		__atomic_store_n(&c->shared->vcpus_refused, status, __ATOMIC_RELEASE);
		return;
	}
	__atomic_fetch_and(&c->shared->vcpus, ~BIT(cpu), __ATOMIC_RELEASE);
	__atomic_fetch_and(&c->on, ~BIT(cpu), __ATOMIC_RELEASE); /* before its thread looks */
	__atomic_fetch_or(&c->gone, BIT(cpu), __ATOMIC_RELEASE);
	vcpu_kick(m->vcpu[cpu]);
}

/*
 * What the guest has sent to a CPU that it didn't have is forgotten by INIT. That comes before the
 * guest hears of the CPU: its own INIT and SIPI shall not be lost.
 */
static void come(struct machine *m, u32 cpu)
{
	__atomic_fetch_and(&m->cpus.gone, ~BIT(cpu), __ATOMIC_RELEASE);
	vm_msi(m->vm, MSI_ADDR_BASE | (u64)cpu << 12, APIC_DM_INIT << 8);
	__atomic_fetch_or(&m->cpus.shared->vcpus, BIT(cpu), __ATOMIC_RELEASE);
	cpu_hotplug_insert(&m->cpu_hotplug, cpu);
	acpi_pm_gpe(&m->acpi_pm, GPE_CPU_HOTPLUG);
}

/* The state after reset. Its TSC is the VM's: the clock stands only while each thread is parked. */
static s64 reset(struct vcpu *v)
{
	v->state = *v->m->cpus.reset;
	v->state.clock.tsc_offset -= v->m->clock.stood.tsc;
	msr_init(&v->msr);
	return vcpu_set(v->handle, &v->state);
}

s64 cpus_stand(struct vcpu *v)
{
	struct machine *m = v->m;
	struct cpus *c = &m->cpus;
	s64 err;

	if (likely(!(load(&c->gone) & BIT(v->index))))
		return 0;
	err = reset(v);
	while (!err && !machine_ended(m) && !(load(&c->on) & BIT(v->index))) {
		if (event_wait(m->pause.gate[v->index], DEADLINE_NEVER) < 0)
			__builtin_ia32_pause();
		err = pause_here(v);
	}
	if (!err && !machine_ended(m))
		come(m, v->index);
	return err;
}
